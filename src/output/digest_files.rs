//! Small files that tell what was built: `--digest-file` and its relatives, and `BUILDER_OUTPUT`.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde::Serialize;

use super::file::{OutputFile, io_error};
use super::{BoxError, Error};
use crate::image::{Digest, ImageRef, json};
use crate::net::redact;

/// Where the digest goes: paths, or URLs to which it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestFiles {
    /// The digest alone, without a newline.
    pub digest: Option<String>,
    /// `registry/repository@digest`, one line a destination.
    pub image_name: Option<String>,
    /// `registry/repository:tag@digest`, one line a destination.
    pub image_name_tag: Option<String>,
}

/// Writes the files that are wanted; `put` sends a text to an `http://` or `https://` URL with PUT.
///
/// Directories that are missing are made for the owner alone.
///
/// # Spec
/// Compat spec 9.6.
pub fn write(
    files: &DigestFiles,
    digest: &Digest,
    destinations: &[ImageRef],
    mut put: impl FnMut(&str, &[u8]) -> Result<(), BoxError>,
) -> Result<(), Error> {
    let lines = |tag: fn(&ImageRef) -> String| -> String {
        let lines = destinations.iter();
        lines
            .map(|d| format!("{}{}@{digest}\n", d.name(), tag(d)))
            .collect()
    };
    let tag = |d: &ImageRef| match &d.tag {
        Some(tag) => format!(":{tag}"),
        None => String::new(),
    };
    for (target, text) in [
        (&files.digest, digest.to_string()),
        (&files.image_name, lines(|_| String::new())),
        (&files.image_name_tag, lines(tag)),
    ] {
        match target {
            None => {}
            Some(url) if is_url(url) => put(url, text.as_bytes()).map_err(|source| {
                let url = redact::shown(url);
                Error::Put { url, source }
            })?,
            Some(path) => write_file(Path::new(path), text.as_bytes())?,
        }
    }
    Ok(())
}

fn is_url(target: &str) -> bool {
    target.starts_with("https://") || target.starts_with("http://")
}

/// Writes a file and makes its directories.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent().filter(|p| *p != Path::new("")) {
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(parent);
        made.map_err(|source| io_error("create", parent, source))?;
    }
    OutputFile::write(path, bytes)
}

/// Writes `images` into the directory that `BUILDER_OUTPUT` names: a JSON object for each destination, as it was given.
pub fn write_images(
    directory: &Path,
    destinations: &[String],
    digest: &Digest,
) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Image<'a> {
        name: &'a str,
        digest: &'a Digest,
    }
    let mut text = Vec::new();
    for name in destinations {
        text.extend(json::to_vec(&Image { name, digest }));
        text.push(b'\n');
    }
    write_file(&directory.join("images"), &text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use expect_test::expect;

    use super::*;

    #[test]
    fn names_are_complete_and_only_one_file_has_tags() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let files = DigestFiles {
            digest: Some(path("new/dir/digest")),
            image_name: Some(path("names")),
            image_name_tag: Some(path("tags")),
        };
        let destinations = ["busybox", "r.io/a/b:1"].map(|d| d.parse().unwrap());
        let digest = Digest::of(b"");
        write(&files, &digest, &destinations, |_, _| unreachable!()).unwrap();
        let read = |name: &str| fs_err::read_to_string(path(name)).unwrap();
        let read = |name: &str| read(name).replace(digest.hex(), "<hex>");
        assert_eq!(read("new/dir/digest"), "sha256:<hex>");
        expect![[r"
            index.docker.io/library/busybox@sha256:<hex>
            r.io/a/b@sha256:<hex>
        "]]
        .assert_eq(&read("names"));
        expect![[r"
            index.docker.io/library/busybox:latest@sha256:<hex>
            r.io/a/b:1@sha256:<hex>
        "]]
        .assert_eq(&read("tags"));
        let mode = directory.path().join("new/dir").metadata().unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o700);

        write_images(
            directory.path(),
            &["busybox".to_owned(), "x:1".to_owned()],
            &digest,
        )
        .unwrap();
        expect![[r#"
            {"name":"busybox","digest":"sha256:<hex>"}
            {"name":"x:1","digest":"sha256:<hex>"}
        "#]]
        .assert_eq(&read("images"));
    }

    #[test]
    fn urls_are_sent_to() {
        let files = DigestFiles {
            digest: Some("https://me:pw@example.org/d?sig=1".to_owned()),
            image_name: Some("http://example.org/n".to_owned()),
            image_name_tag: None,
        };
        let digest = Digest::of(b"");
        let mut sent = Vec::new();
        write(&files, &digest, &["x".parse().unwrap()], |url, body| {
            sent.push((url.to_owned(), String::from_utf8(body.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        assert_eq!(
            sent[0],
            (
                "https://me:pw@example.org/d?sig=1".to_owned(),
                digest.to_string()
            )
        );
        assert_eq!(sent[1].0, "http://example.org/n");
        let error = write(&files, &digest, &[], |_, _| Err("status 500".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot send the digest to `https://example.org/d?sig=***`"
        );
    }
}
