//! One member of a layer.

use std::collections::BTreeMap;

use super::LayerPath;

/// Metadata of one file, directory, link or device, as a layer's tar carries it and a root should have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: LayerPath,
    pub kind: Kind,
    /// The low twelve bits: permissions, setuid, setgid, sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    /// Extended attributes by full name (`security.capability`, `user.x`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is, and what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file and its size in bytes.
    File {
        size: u64,
    },
    Directory,
    /// The target is any text.
    Symlink {
        target: Vec<u8>,
    },
    /// Another name for a file; the target names it from the root.
    HardLink {
        target: LayerPath,
    },
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// A point in time: seconds since 1970, which may be negative, and nanoseconds within that second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Time {
    pub fn from_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
        }
    }
}
