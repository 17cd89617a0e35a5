//! What a RUN changed.
//!
//! A [`Tree`] remembers what a root looked like. A moved ctime or another inode makes a file a *candidate*; nothing else does, since every
//! change moves ctime and no ordinary program can set it back. A candidate is a [`Change`] only if something differs that a layer can carry:
//! a `chown` to the same owner or a new name beside it moves ctime and ships nothing. Directory times are no change.
//!
//! The baseline moves on with each look, so that the next RUN is compared with what this one left.

pub mod clock;
mod merge;
mod nodes;
#[cfg(test)]
mod properties;
mod refresh;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod write;

use std::fmt;

use crate::layer::{self, LayerPath};
use crate::rootfs::{self, Rootfs};

pub use merge::changes;
pub use tree::{Moved, Tree};
pub use write::write;

/// One thing a layer must say: what is at a path now, or that nothing is there any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Put(LayerPath),
    Remove(LayerPath),
}

/// How to look at a root.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// Tells of paths, relative to the root, that they and all below them are not part of the image.
    pub ignore: &'o dyn Fn(&[u8]) -> bool,
    /// Reads the content of every file instead of the candidates' only.
    pub full: bool,
}

/// Why a root could not be looked at or its changes not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Rootfs(#[from] rootfs::Error),
    #[error(transparent)]
    Layer(#[from] layer::Error),
    #[error("cannot read `{path}`")]
    Read {
        path: LayerPath,
        source: std::io::Error,
    },
    #[error("`{path}` lies too deep for a snapshot")]
    TooDeep { path: LayerPath },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Rootfs(e) => e.help(),
            Self::Layer(e) => e.help(),
            Self::Read { .. } | Self::TooDeep { .. } => None,
        }
    }
}

impl Change {
    pub fn path(&self) -> &LayerPath {
        match self {
            Self::Put(path) | Self::Remove(path) => path,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(path) => write!(f, "+ {path}"),
            Self::Remove(path) => write!(f, "- {path}"),
        }
    }
}

/// Returns the changes that an instruction made which knows the paths it touched, without a walk: what is there is put, what is not is
/// removed. Symlinks in their directories are followed; sockets and the root itself are left out.
pub fn touched(root: &Rootfs, paths: &[LayerPath]) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::with_capacity(paths.len());
    let mut files = root.nearby();
    let mut names = Resolved::new(root);
    for path in paths {
        let path = names.resolve_parent(path)?;
        match files.stat(&path)? {
            _ if path.is_root() => {}
            Some(stat) if stat.kind == rootfs::FileType::Socket => {}
            Some(_) => changes.push(Change::Put(path)),
            None => changes.push(Change::Remove(path)),
        }
    }
    changes.sort_by(|a, b| a.path().cmp(b.path()));
    changes.dedup();
    // A whiteout hides everything below.
    let mut topmost: Option<LayerPath> = None;
    changes.retain(|change| {
        if topmost
            .as_ref()
            .is_some_and(|top| change.path().starts_with(top))
        {
            return false;
        }
        if let Change::Remove(path) = change {
            topmost = Some(path.clone());
        }
        true
    });
    Ok(changes)
}

/// Resolves paths that mostly lie beside the one before.
struct Resolved<'r> {
    root: &'r Rootfs,
    /// The last path's directory, as it was named and as it is.
    last: Option<(LayerPath, LayerPath)>,
}

impl<'r> Resolved<'r> {
    fn new(root: &'r Rootfs) -> Self {
        Self { root, last: None }
    }

    /// Like [`Rootfs::resolve_parent`].
    fn resolve_parent(&mut self, path: &LayerPath) -> Result<LayerPath, rootfs::Error> {
        let (Some(named), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(LayerPath::root());
        };
        let last = match self.last.take() {
            Some(last) if last.0 == named => last,
            _ => {
                let real = self.root.resolve(named.as_bytes())?;
                (named, real)
            }
        };
        let (_, real) = self.last.insert(last);
        Ok(real.join(name))
    }
}
