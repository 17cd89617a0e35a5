//! Whether outputs can be written, as far as can be told before the work. Writes nothing.

use std::io;
use std::path::Path;

use super::Error;
use crate::cli::options::Output;
use crate::output;

/// Checks the paths of what is to be written beside the registry.
///
/// # Errors
/// What writing it would fail with after the build.
pub fn check(output: &Output) -> Result<(), Error> {
    let files = [
        &output.digest_file,
        &output.image_name_with_digest_file,
        &output.image_name_tag_with_digest_file,
    ];
    let files = files
        .into_iter()
        .flatten()
        .filter(|file| file.starts_with('/'));
    let tarball = output.tar_path.as_deref();
    for file in files.map(Path::new).chain(tarball) {
        if file.is_dir() {
            return Err(refused("write to", file, io::ErrorKind::IsADirectory));
        }
    }
    let parent = tarball.and_then(Path::parent);
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        return Err(refused("open", parent, io::ErrorKind::NotFound));
    }
    match &output.oci_layout_path {
        Some(path) if path.exists() && !path.is_dir() => {
            Err(refused("write to", path, io::ErrorKind::NotADirectory))
        }
        _ => Ok(()),
    }
}

fn refused(action: &'static str, path: &Path, kind: io::ErrorKind) -> Error {
    Error::Output(output::Error::Io {
        action,
        path: path.to_owned(),
        source: kind.into(),
    })
}
