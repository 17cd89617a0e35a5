//! Private roots: the directory a stage's image is unpacked into and built in.
//!
//! Everything below a root is reached through a handle on its directory, so neither a symlink nor `..` in an image leads out of
//! it, and the directory may be renamed while it is open. [`put`](Rootfs::put) is the one way an entry comes into being,
//! whether a layer or a COPY brings it; what the kernel refuses (owners, devices, attributes) is kept in [`metadata`] and read back by
//! [`stat`](Rootfs::stat) and [`entry`](Rootfs::entry), so that the image is right although the disk is not.

mod attributes;
pub mod content;
mod excerpt;
pub mod ids;
mod lock;
mod lookup;
pub mod metadata;
mod nearby;
mod parent;
mod present;
mod put;
mod remove;
mod resolve;
pub mod stat;
#[cfg(test)]
pub(crate) mod testing;
mod unpack;
pub mod users;
pub mod walk;
mod xattr;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use crate::layer::{self, LayerPath};

pub use content::ContentHash;
pub use excerpt::Excerpt;
pub use ids::IdShift;
pub use lock::Lock;
pub use metadata::Refused;
pub use nearby::{Nearby, Opened};
pub use put::Batch;
pub use remove::{remove_dir_all, remove_tree};
pub(crate) use resolve::MAX_SYMLINKS;
pub use stat::{FileType, Stat};
pub use unpack::Unpacked;

/// A directory tree that is, or becomes, the file system of an image; also a build context, which is only read.
///
/// Paths are relative to the root. Symlinks in the directories on the way are followed inside it, the last component never is;
/// [`Rootfs::resolve`] follows it too.
#[derive(Debug)]
pub struct Rootfs {
    path: PathBuf,
    root: OwnedFd,
    ids: IdShift,
    /// Whether owners can be given away and permissions do not bind us.
    privileged: bool,
    /// Whether modes may be changed where permissions bind us.
    is_ours: bool,
    /// Cleared once the kernel turns out not to offer `openat2`.
    openat2: AtomicBool,
    metadata: Mutex<metadata::Table>,
    content: Mutex<content::Table>,
    /// Names of attributes that entries brought, beyond those that always travel.
    brought: Mutex<BTreeSet<Vec<u8>>>,
}

/// Why something in a root could not be looked at or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open the directory `{}`", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot {action} `{path}`")]
    Access {
        action: &'static str,
        path: LayerPath,
        source: io::Error,
    },
    #[error("`{path}` is not a directory")]
    NotADirectory { path: LayerPath },
    #[error("`{path}` is not a regular file")]
    NotAFile { path: LayerPath },
    #[error("cannot follow `{path}`: too many levels of symbolic links")]
    TooManySymlinks { path: LayerPath },
    #[error("hard link `{path}` names `{target}`, which does not exist")]
    MissingLinkTarget { path: LayerPath, target: LayerPath },
    #[error("the root directory cannot be replaced by a {kind}")]
    ReplacesRoot { kind: &'static str },
    #[error("cannot read the content of `{path}`")]
    Content { path: LayerPath, source: io::Error },
    #[error("the content of `{path}` has {found} bytes instead of {size}")]
    ContentSize {
        path: LayerPath,
        size: u64,
        found: u64,
    },
    #[error("`{path}` changed while it was read")]
    Moved { path: LayerPath },
    #[error(transparent)]
    Layer(#[from] layer::Error),
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        let source = match self {
            Self::Open { source, .. } | Self::Access { source, .. } => source,
            Self::Layer(e) => return e.help(),
            _ => return None,
        };
        match source.kind() {
            io::ErrorKind::StorageFull => {
                Some("the disk is full; `--kaniko-dir` can point to a larger one".into())
            }
            io::ErrorKind::QuotaExceeded => {
                Some("the disk quota is used up; `--kaniko-dir` can point elsewhere".into())
            }
            io::ErrorKind::ReadOnlyFilesystem => Some(
                "the file system is read-only; `--kaniko-dir` can point to a writable one".into(),
            ),
            _ => None,
        }
    }

    fn access(action: &'static str, path: &LayerPath, errno: Errno) -> Self {
        let path = path.clone();
        match errno {
            Errno::LOOP => Self::TooManySymlinks { path },
            Errno::NOTDIR => Self::NotADirectory { path },
            _ => Self::Access {
                action,
                path,
                source: errno.into(),
            },
        }
    }
}

impl Rootfs {
    /// Makes the directory `dir`, with its parents, if it does not exist yet and opens it.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = dir.into();
        fs_err::create_dir_all(&path).map_err(|source| Error::Open {
            path: path.clone(),
            source,
        })?;
        Self::open(path)
    }

    /// Opens an existing directory; nothing in it is changed or even read.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = dir.into();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(rustix::fs::CWD, &path, flags, Mode::empty());
        let root = opened.map_err(|errno| Error::Open {
            path: path.clone(),
            source: errno.into(),
        })?;
        // Without the call (some sandboxes) the user id decides.
        let privileged = match rustix::thread::capabilities(None) {
            Ok(sets) => sets.effective.contains(CapabilitySet::DAC_OVERRIDE),
            Err(_) => rustix::process::geteuid().is_root(),
        };
        Ok(Self {
            path,
            root,
            ids: IdShift::default(),
            privileged,
            is_ours: true,
            openat2: AtomicBool::new(true),
            metadata: Mutex::default(),
            content: Mutex::default(),
            brought: Mutex::default(),
        })
    }

    /// Opens an existing directory of somebody else, which is only read: what permissions keep from us stays closed.
    pub fn open_foreign(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        Ok(Self {
            is_ours: false,
            ..Self::open(dir)?
        })
    }

    /// Lets owners on disk differ from the image's by `ids`; to be set before anything is put into the root.
    pub fn with_id_shift(mut self, ids: IdShift) -> Self {
        self.ids = ids;
        self
    }

    /// Returns where the root was when it was opened; for mounts and messages, not for access.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the handle on the root's directory; it was opened with `O_PATH`.
    pub fn dir_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Makes a directory of this root the root; what is known of the files stays known.
    pub fn into_directory(self, path: &LayerPath) -> Result<Self, Error> {
        let opened = self.open_real_dir(path);
        let root = opened.map_err(|errno| Error::access("open", path, errno))?;
        Ok(Self {
            path: self.path.join(path.as_path()),
            root,
            ..self
        })
    }

    /// Returns how many bytes the disk has room for.
    pub fn free_space(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.root)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    pub fn id_shift(&self) -> IdShift {
        self.ids
    }

    /// Says how often the kernel refused something that the image should have; for one warning.
    pub fn refused(&self) -> Refused {
        self.metadata().refused()
    }

    fn metadata(&self) -> MutexGuard<'_, metadata::Table> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn content(&self) -> MutexGuard<'_, content::Table> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn brought(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_openat2(&self) -> bool {
        self.openat2.load(Ordering::Relaxed)
    }
}
