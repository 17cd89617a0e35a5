//! What a command is lent: things at paths of its root that are no part of the image.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::stubs::Kind;

/// A mount of one command, ready to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lent {
    /// Absolute; symlinks of the image in it are followed inside the root.
    pub target: String,
    pub what: What,
    /// Enforced in namespaces only.
    pub readonly: bool,
}

/// What appears at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// This directory. To run in place it has to be in the work directory, from where it is renamed.
    Directory(PathBuf),
    /// This file, socket, or symlink; as above.
    File(PathBuf),
    /// A new file system in memory, of so many bytes; in namespaces only.
    Tmpfs { size: Option<u64> },
}

impl Lent {
    pub(super) fn kind(&self) -> Kind {
        match self.what {
            What::Directory(_) | What::Tmpfs { .. } => Kind::Directory,
            What::File(_) => Kind::File,
        }
    }
}
