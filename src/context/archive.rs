//! A context that comes as a tar, compressed or not: from a file, from standard input, or from a server.

use std::io::{self, BufReader, Read};
use std::path::Path;

use rustix::fs::FileType;
use tracing::info;
use url::Url;

use super::Error;
use crate::layer::{self, Limits, Reader, decompress};
use crate::log::timeline::Timeline;
use crate::net::redact::redacted;
use crate::net::{Download, Get, Net};
use crate::rootfs::{self, Rootfs};

/// Bytes that an archive leaves free on its disk.
const RESERVE: u64 = 1 << 20;

/// Why an archive could not become a context.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it is empty, or no tar")]
    Empty,
    #[error(transparent)]
    Layer(#[from] layer::Error),
    #[error(transparent)]
    Files(#[from] rootfs::Error),
}

/// Unpacks a file.
pub fn from_file(path: &Path, timeline: &Timeline, root: &Rootfs) -> Result<(), Error> {
    let name = path.display().to_string();
    let opened = fs_err::File::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        // of a pipe nobody knows where it ends
        Ok((file, metadata.is_file().then_some(metadata.len())))
    });
    let (file, size) = opened.map_err(|source| archive_error(&name, source.into()))?;
    let file = timeline.fetch(&name, size).reading(file);
    unpack(file, root).map_err(|error| archive_error(&name, error))?;
    Ok(())
}

/// Unpacks standard input.
///
/// # Errors
/// [`Error::NoInput`] if that is a terminal or another device, from which no archive comes.
pub fn from_stdin(timeline: &Timeline, root: &Rootfs) -> Result<(), Error> {
    let stdin = io::stdin();
    info!("To simulate EOF and exit, press 'Ctrl+D'");
    let kind = rustix::fs::fstat(&stdin).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !matches!(kind, Ok(kind) if kind != FileType::CharacterDevice) {
        return Err(Error::NoInput);
    }
    let name = "standard input";
    let input = timeline.fetch(name, None).reading(stdin);
    unpack(input, root).map_err(|error| archive_error(name, error))?;
    Ok(())
}

/// Unpacks what a server sends, while it arrives; returns when it was made, as the server says, else by its newest entry.
pub fn from_url(url: &Url, net: &Net, root: &Rootfs) -> Result<Option<i64>, Error> {
    let name = redacted(url);
    info!("Retrieving https tar file");
    let download = net
        .get(&Get::new(url.clone()))
        .map_err(|source| Error::Fetch { source })?;
    if download.status != 200 {
        let status = download.status;
        return Err(Error::Status { url: name, status });
    }
    let time = from_download(&name, download, net.timeline(), root)?;
    info!("Retrieved https tar file");
    info!("Extracted https tar file");
    Ok(Some(time))
}

/// Unpacks what an answer brings; returns when it was made, as the server says, else by its newest entry.
pub fn from_download(
    name: &str,
    download: Download,
    timeline: &Timeline,
    root: &Rootfs,
) -> Result<i64, Error> {
    let modified = download.last_modified();
    let size = download.size;
    let download = download.counted_by(timeline.fetch(name, size));
    let unpacked = unpack(download.decoded(), root);
    let newest = unpacked.map_err(|error| archive_error(name, error))?;
    Ok(modified.unwrap_or(newest))
}

fn archive_error(name: &str, source: ArchiveError) -> Error {
    Error::Archive {
        name: name.to_owned(),
        source,
    }
}

/// Unpacks an archive as a layer would be, but that names which mark deletions there are plain files here; returns the time of the
/// newest entry.
fn unpack(input: impl Read + Send, root: &Rootfs) -> Result<i64, ArchiveError> {
    let limits = Limits {
        unpacked: Some(root.free_space()?.saturating_sub(RESERVE)),
        ..Limits::default()
    };
    let mut reader = Reader::new(decompress(BufReader::new(input))?, limits);
    let mut batch = root.batch();
    let mut newest = None;
    while let Some(entry) = reader.next()? {
        batch.put(&entry, &mut reader)?;
        newest = newest.max(Some(entry.mtime.seconds));
    }
    batch.finish()?;
    newest.ok_or(ArchiveError::Empty)
}
