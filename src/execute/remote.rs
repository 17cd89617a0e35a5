//! Sources of ADD that are on a server: fetched whole before anything is copied.
//!
//! # Spec
//! Language spec 3.10.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use url::Url;

use super::Error;
use crate::image::{Digest, Digester};
use crate::layer::entry::Time;
use crate::net::percent::decoded;
use crate::net::redact::redacted;
use crate::net::{Get, Net};
use crate::plan::{CopySource, CopyStep};

/// What fetching takes.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub net: &'a Net,
    /// Where files wait until they are copied; they have no name there.
    pub dir: &'a Path,
}

/// A file as a server sent it.
#[derive(Debug)]
pub struct Remote {
    /// What it is called in a directory.
    pub name: String,
    pub size: u64,
    /// When it last changed, if the server says so, else the epoch.
    pub mtime: Time,
    pub digest: Digest,
    content: File,
}

/// Name of a file whose URL has no path (URL-2).
const UNNAMED: &str = "__unnamed__";

/// Fetches what `step` names by URL, in order.
///
/// # Errors
/// [`Error::Status`] and [`Error::Download`] if a server does not give it, [`Error::DigestMismatch`] if it is not what
/// `--checksum` says; git repositories are not supported yet.
pub fn fetch(step: &CopyStep, means: Means<'_>) -> Result<Vec<Remote>, Error> {
    let mut remotes = Vec::new();
    for source in &step.sources {
        match source {
            CopySource::Url { url, checksum } => {
                let remote = Remote::fetch(url, means)?;
                let wanted = checksum.as_deref();
                if let Some(wanted) = wanted.map(str::to_ascii_lowercase)
                    && wanted != remote.digest.as_str()
                {
                    let got = remote.digest;
                    return Err(Error::DigestMismatch { got, wanted });
                }
                remotes.push(remote);
            }
            CopySource::Git { url, .. } => {
                let shown = url.parse().map(|url| redacted(&url));
                return Err(Error::Git(
                    shown.unwrap_or_else(|_| "git repository".into()),
                ));
            }
            CopySource::Path(_) | CopySource::Inline { .. } => {}
        }
    }
    Ok(remotes)
}

impl Remote {
    fn fetch(text: &str, means: Means<'_>) -> Result<Self, Error> {
        let url: Url = text.parse().map_err(|_| Error::Url)?;
        let (name, shown) = (name(&url), redacted(&url));
        let download = means.net.get(&Get::new(url)).map_err(Error::Download)?;
        if !(200..400).contains(&download.status.as_u16()) {
            return Err(Error::Status {
                status: download.status.as_u16(),
                url: shown,
            });
        }
        let mtime = Time::from_seconds(download.last_modified().unwrap_or(0));
        let keep = |mut body: Box<dyn Read + Send>| {
            let mut copy = Hashing {
                file: tempfile::tempfile_in(means.dir)?,
                digester: Digester::new(),
            };
            let size = io::copy(&mut body, &mut copy)?;
            Ok((size, copy))
        };
        let kept = keep(download.decoded());
        let (size, copy) = kept.map_err(|source| Error::Fetch { url: shown, source })?;
        Ok(Self {
            name,
            size,
            mtime,
            digest: copy.digester.finish(),
            content: copy.file,
        })
    }

    /// Returns the content, from its beginning; what was returned before moves along.
    pub(super) fn content(&self) -> io::Result<File> {
        let mut content = self.content.try_clone()?;
        content.rewind()?;
        Ok(content)
    }
}

struct Hashing {
    file: File,
    digester: Digester,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Returns the last part of the path, decoded, so that an encoded slash does not get into a name.
fn name(url: &Url) -> String {
    let path = decoded(url.path());
    let last = path.split('/').rfind(|part| !part.is_empty());
    let usable = last.filter(|name| !matches!(*name, "." | "..") && !name.contains('\0'));
    usable.unwrap_or(UNNAMED).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("http://h/a/b.tar?x=/y#/z", "b.tar"),
            ("http://h/a/",              "a"),
            ("http://h/a%20b%2",         "a b%2"),
            ("http://h/x/..%2f..%2fc",   "c"),
            ("http://h/x%2f..",          UNNAMED),
            ("http://h/a%00",            UNNAMED),
            ("http://h",                 UNNAMED),
            ("http://h/?q",              UNNAMED),
        ];
        for (url, want) in cases {
            assert_eq!(name(&url.parse().unwrap()), want, "{url}");
        }
    }
}
