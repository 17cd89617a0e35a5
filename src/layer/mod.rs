//! The layer tar format over `Read` and `Write`. Opens no file.
//!
//! [`Reader`] takes what any tool may have written; [`Writer`] writes one form only, so that equal entries give equal bytes.
//! [`decompress()`] and [`Encoder`]
//! stand between a tar and the blob that holds it.

use std::io;

pub mod path;

pub mod entry;

pub mod whiteout;

mod field;
mod header;
mod pax;
mod sparse;

pub mod reader;

pub mod writer;

pub mod compress;

pub mod decompress;

pub use compress::Encoder;
pub use decompress::{Format, decompress};
pub use entry::{Entry, Kind, Time};
pub use path::LayerPath;
pub use reader::{Limits, Reader};
pub use whiteout::Whiteout;
pub use writer::Writer;

/// What was wrong with a layer that was read, or kept one from being written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the layer at byte {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("the tar ends too early, at byte {offset}")]
    Truncated { offset: u64 },
    #[error("invalid tar header at byte {offset}: {reason}")]
    Header { offset: u64, reason: &'static str },
    #[error("the layer's entry `{path}` has {reason}")]
    Field { path: String, reason: &'static str },
    #[error("the layer's entry `{path}` leaves the root through `{text}`")]
    Escapes { path: String, text: String },
    #[error("the layer's entry `{path}` has type `{kind}`, which is not supported")]
    Unsupported { path: String, kind: char },
    #[error("the layer is larger than the limit of {limit} bytes when unpacked")]
    Unpacked { limit: u64 },
    #[error("the layer has a header of {size} bytes at byte {offset}; the limit is {limit}")]
    ExtendedHeader { offset: u64, size: u64, limit: u64 },
    #[error("the whiteout `{name}` names nothing that could be removed")]
    Whiteout { name: String },
    #[error("`{path}` cannot be in a layer: names that start with `.wh.` mark deletions")]
    ReservedName { path: LayerPath },
    #[error("cannot read the content of `{path}`")]
    Content { path: LayerPath, source: io::Error },
    #[error("`{path}` changed while it was read: expected {expected} bytes, found {found}")]
    ContentSize {
        path: LayerPath,
        expected: u64,
        found: Found,
    },
    #[error("cannot write the layer")]
    Write { source: io::Error },
    #[error("the layer is incomplete because an entry before was not written whole")]
    Incomplete,
}

/// How much content there was in place of what an entry announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Only(u64),
    More,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only(size) => write!(f, "{size}"),
            Self::More => f.write_str("more"),
        }
    }
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unpacked { .. } => Some(
                "this is the room that is left: free some, or `--kaniko-dir` can point to a larger disk; a small archive that unpacks to much may be an attack".to_owned(),
            ),
            Self::Write { source } if source.kind() == io::ErrorKind::StorageFull => {
                Some("the disk is full; `--kaniko-dir` can point to a larger one".to_owned())
            }
            Self::ReservedName { .. } => {
                Some("rename the file, or remove it in the same RUN".to_owned())
            }
            Self::ContentSize { .. } => Some("is a process still writing to it?".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
