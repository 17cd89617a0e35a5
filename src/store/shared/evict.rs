//! What leaves a shared store, and in which order.

use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType};

use super::super::aside::Directory;
use super::super::{BlobStore, Error, name};
use crate::image::Digest;

/// A blob of a store, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub digest: Digest,
    pub size: u64,
    pub last_used: SystemTime,
}

/// Lists the blobs of a store, the one that was not used for longest first.
pub fn list(blobs: &BlobStore) -> Result<Vec<Stored>, Error> {
    let directory = &blobs.0;
    let failed = |e: rustix::io::Errno| directory.error("list", "sha256", e);
    let sha256 = Directory::open_below(directory, "sha256")?;
    let mut stored = Vec::new();
    for entry in Dir::read_from(&sha256.handle).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file_name = entry.file_name();
        let hex = file_name.to_str().ok();
        let Some(digest) = hex.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok())
        else {
            continue;
        };
        // another process may have removed it meanwhile
        let Ok(stat) = rustix::fs::statat(&sha256.handle, file_name, AtFlags::SYMLINK_NOFOLLOW)
        else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            continue;
        }
        let seconds = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        let rest = Duration::from_nanos(stat.st_mtime_nsec);
        stored.push(Stored {
            digest,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            last_used: SystemTime::UNIX_EPOCH + seconds + rest,
        });
    }
    stored.sort_by(|a, b| (a.last_used, &a.digest).cmp(&(b.last_used, &b.digest)));
    Ok(stored)
}

/// Removes blobs until those that are left have `max_size` bytes at most. One process does this at a time.
pub fn to_size(blobs: &BlobStore, max_size: u64) -> Result<(), Error> {
    let _lock = blobs.0.lock(LOCK)?;
    let stored = list(blobs)?;
    let mut size: u64 = stored.iter().map(|blob| blob.size).sum();
    for blob in stored {
        if size <= max_size {
            break;
        }
        remove(blobs, &blob.digest)?;
        tracing::debug!(digest = %blob.digest, size_bytes = blob.size, "removed from the cache directory to keep its limit");
        size -= blob.size;
    }
    Ok(())
}

/// Removes a blob; one that is gone already is no error.
pub fn remove(blobs: &BlobStore, digest: &Digest) -> Result<(), Error> {
    blobs.0.remove(&name(digest))
}

/// The file that is locked while blobs are removed.
const LOCK: &str = ".lock";
