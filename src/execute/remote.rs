//! Sources of ADD that are on a server: fetched whole before anything is copied.
//!
//! # Spec
//! Language spec 3.10, 3.11.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use reqwest::header::AUTHORIZATION;
use url::Url;

use super::Error;
use super::mount::Secrets;
use super::repository::{self, Checkout};
use crate::context::GitOptions;
use crate::image::{Digest, Digester};
use crate::layer::entry::Time;
use crate::net::percent::decoded;
use crate::net::redact::redacted;
use crate::net::{Get, Net, Secret};
use crate::plan::{CopySource, CopyStep};

/// What fetching takes.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub net: &'a Net,
    /// Where files wait until they are copied; made if it is missing.
    pub dir: &'a Path,
    /// What servers may want to see.
    pub secrets: &'a Secrets,
    pub git: &'a GitOptions,
}

impl Means<'_> {
    /// Returns a secret that is text, without the line end that files have.
    pub(super) fn secret(&self, id: &str) -> Option<Secret> {
        let value = std::str::from_utf8(self.secrets.get(id)?).ok()?;
        Some(Secret::new(value.trim_end_matches(['\r', '\n'])))
    }
}

/// What a server had for one source.
#[derive(Debug)]
pub enum Remote {
    File(Arc<RemoteFile>),
    Repository(Box<Checkout>),
}

/// A source of which it is known what it is at the moment.
#[derive(Debug, Clone)]
pub enum Pinned {
    File(Arc<RemoteFile>),
    /// A repository's commit.
    Commit(String),
}

impl Pinned {
    /// Returns a text that differs where the source does.
    pub fn identity(&self) -> String {
        match self {
            Self::File(file) => format!("{} {} {}", file.digest, file.mtime.seconds, file.name),
            Self::Commit(id) => id.clone(),
        }
    }
}

/// A file as a server sent it.
#[derive(Debug)]
pub struct RemoteFile {
    /// What it is called in a directory.
    pub name: String,
    pub size: u64,
    /// When it last changed, if the server says so, else the epoch.
    pub mtime: Time,
    /// The same, if the server says so.
    modified: Option<i64>,
    pub digest: Digest,
    content: File,
}

/// Name of a file whose URL has no path (URL-2).
const UNNAMED: &str = "__unnamed__";

/// Finds out what a remote source is at the moment, if that is not known without asking: a commit, or a file that is then kept.
///
/// # Errors
/// Those of [`fetch`].
pub fn pin(source: &CopySource, means: Means<'_>) -> Result<Option<Pinned>, Error> {
    Ok(match source {
        CopySource::Url {
            url,
            checksum: None,
        } => Some(Pinned::File(Arc::new(RemoteFile::fetch(url, means)?))),
        CopySource::Git(git) => Some(Pinned::Commit(repository::commit(git, means)?)),
        CopySource::Url { .. } | CopySource::Path(_) | CopySource::Inline { .. } => None,
    })
}

/// Fetches what `step` names by URL, in order; `pinned` has for each source, if anything, what [`pin`] found.
///
/// # Errors
/// [`Error::Status`] and [`Error::Download`] if a server does not give it, [`Error::DigestMismatch`] and [`Error::OtherCommit`] if
/// it is not what `--checksum` says, [`Error::Repository`] for repositories.
pub fn fetch(
    step: &CopyStep,
    pinned: &[Option<Pinned>],
    means: Means<'_>,
) -> Result<Vec<Remote>, Error> {
    let mut remotes = Vec::new();
    for (index, source) in step.sources.iter().enumerate() {
        let pinned = pinned.get(index).cloned().flatten();
        match (source, pinned) {
            (CopySource::Url { .. }, Some(Pinned::File(file))) => remotes.push(Remote::File(file)),
            (CopySource::Url { url, checksum }, _) => {
                let file = RemoteFile::fetch(url, means)?;
                let wanted = checksum.as_deref();
                if let Some(wanted) = wanted.map(str::to_ascii_lowercase)
                    && wanted != file.digest.as_str()
                {
                    let got = file.digest;
                    return Err(Error::DigestMismatch { got, wanted });
                }
                remotes.push(Remote::File(Arc::new(file)));
            }
            (CopySource::Git(git), pinned) => {
                let id = match pinned {
                    Some(Pinned::Commit(id)) => id,
                    _ => repository::commit(git, means)?,
                };
                let checkout = repository::check_out(git, &id, means)?;
                remotes.push(Remote::Repository(Box::new(checkout)));
            }
            (CopySource::Path(_) | CopySource::Inline { .. }, _) => {}
        }
    }
    Ok(remotes)
}

/// Finds out when a remote source was made: the time of a commit, or what a server says of a file.
///
/// # Errors
/// Those of [`fetch`].
pub fn source_time(source: &CopySource, means: Means<'_>) -> Result<Option<i64>, Error> {
    Ok(match source {
        CopySource::Url { url, .. } => RemoteFile::fetch(url, means)?.modified,
        CopySource::Git(git) => Some(repository::commit_time(git, means)?),
        CopySource::Path(_) | CopySource::Inline { .. } => None,
    })
}

impl RemoteFile {
    fn fetch(text: &str, means: Means<'_>) -> Result<Self, Error> {
        let url: Url = text.parse().map_err(|_| Error::Url)?;
        let (name, shown) = (name(&url), redacted(&url));
        let authorization = authorization(&url, means);
        let mut get = Get::new(url);
        get.headers
            .extend(authorization.map(|header| (AUTHORIZATION, header)));
        let download = means.net.get(&get).map_err(Error::Download)?;
        if !(200..400).contains(&download.status.as_u16()) {
            return Err(Error::Status {
                status: download.status.as_u16(),
                url: shown,
            });
        }
        let modified = download.last_modified();
        let counting = means.net.timeline().fetch(&shown, download.size);
        let download = download.counted_by(counting);
        let keep = |mut body: Box<dyn Read + Send>| {
            fs_err::create_dir_all(means.dir)?;
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
            mtime: Time::from_seconds(modified.unwrap_or(0)),
            modified,
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

/// Returns what opens a server, if there is a secret for it (URL-7).
fn authorization(url: &Url, means: Means<'_>) -> Option<Secret> {
    let host = url.host_str()?;
    let hosts = url.port().map(|port| format!("{host}:{port}"));
    let hosts = hosts.into_iter().chain([host.to_owned()]);
    let mut found = hosts.filter_map(|host| {
        let token = means.secret(&format!("HTTP_AUTH_TOKEN_{host}"));
        let bearer = token.map(|token| Secret::new(format!("Bearer {}", token.reveal())));
        means.secret(&format!("HTTP_AUTH_HEADER_{host}")).or(bearer)
    });
    found.next()
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
