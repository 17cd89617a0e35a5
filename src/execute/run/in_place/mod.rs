//! RUN in place: the image's files are renamed into the container's own root for a command, and back after it.
//!
//! Nothing is needed for this but the right to rename below `/`: no namespace, no mount, no chroot. `/proc`, `/sys` and
//! `/dev` are the real ones. A directory that the executor created is renamed in microseconds, whatever its size. In order:
//!
//! 1. `plan`: mounts cannot be moved, so they and the directories above them stay. Mounts that a command should not see ride
//!    along with the directory they are in.
//! 2. `aside`: everything else of the container goes to `aside/` in the work directory. What the kernel refuses to rename,
//!    a directory of the container's own image, is rebuilt there.
//! 3. `enter`: the private root's entries go into the root.
//! 4. The command runs.
//! 5. `leave`: everything that is not the container's goes back into the private root.
//! 6. `aside` again: the container's things return, and every directory that stayed gets back what it was.
//!
//! The `journal` says at any time what is left to undo; [`Session::open`] does so after a process that was killed. It is
//! valid under the lock of the work directory only, which a session holds as long as it lives.
//!
//! Between 2 and 6 an absolute path means something else than before. Other threads must hold handles by then.

mod aside;
mod container;
mod dir;
mod enter;
mod found;
mod graft;
mod journal;
mod leave;
mod lock;
mod metadata;
mod mounts;
mod plan;
mod processes;
mod search;
mod session;
#[cfg(test)]
mod tests;
mod undo;
mod warning;

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::layer::LayerPath;
use container::Container;

pub use session::{Entered, Left, Options, RunOptions, Session};
pub use warning::Warning;

/// Where the work directory is: on the mount of `/`, because a rename does not cross mounts.
pub const WORK_DIR: &str = "/.executor";

/// Why a command cannot run in place, or what went wrong about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not in a container")]
    NotInContainer,
    #[error("cannot use the work directory `{}`", .path.display())]
    Work { path: PathBuf, source: io::Error },
    #[error("cannot lock `{}`", .path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot keep the journal of what is moved")]
    Journal { source: io::Error },
    #[error("cannot read what is mounted")]
    Mounts { source: io::Error },
    #[error("the root `{}` is not in the work directory", .path.display())]
    Elsewhere { path: PathBuf },
    #[error("cannot open the root `{}`", .path.display())]
    PrivateRoot { path: PathBuf, source: io::Error },
    #[error("cannot move `{path}`")]
    Move { path: LayerPath, source: io::Error },
    #[error("cannot mount `{}` at `{target}`", .path.display())]
    Mount {
        path: PathBuf,
        target: LayerPath,
        source: io::Error,
    },
    #[error("cannot end what the command left running")]
    Kill { source: io::Error },
    #[error("cannot move `{path}` back into the image{}", and_more(*.more))]
    Image {
        path: LayerPath,
        more: usize,
        source: io::Error,
    },
    #[error("cannot bring `{path}` of this container back{}", and_more(*.more))]
    Container {
        path: LayerPath,
        more: usize,
        source: io::Error,
    },
}

impl Error {
    /// Returns what the user can do about it, if anything.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotInContainer => Some(
                "run the executor in a container, or use --force if this machine is one or may be changed".into(),
            ),
            Self::Work { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Some("the container needs a writable root filesystem".into())
            }
            Self::Work { path, source } if source.kind() == io::ErrorKind::CrossesDevices => {
                Some(format!("nothing may be mounted at `{}`", path.display()))
            }
            Self::Mount { target, source, .. }
                if source.kind() == io::ErrorKind::CrossesDevices =>
            {
                Some(format!(
                    "a directory above `{target}` is a mount of this container"
                ))
            }
            Self::Container { .. } => Some("the next start tries again".into()),
            _ => None,
        }
    }
}

fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => " and one more path".into(),
        n => format!(" and {n} more paths"),
    }
}

/// Finds out whether running in place can work: renames an empty directory from the work directory into the root and back.
///
/// `work_dir` must stand directly in `root`; it is created if missing and, if this created it, removed again.
///
/// # Errors
/// The kernel's answer: `EROFS` for a read-only root, `EACCES` for a user who is not root, `EXDEV` for a work directory on a volume.
pub fn trial(work_dir: &Path, root: &Path) -> Result<(), Errno> {
    const TRIAL: &[u8] = b"trial";
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let existed = work_dir.exists();
    let container = Container::open(root, work_dir, |_| {}).map_err(|error| match error {
        Error::Work { source, .. } if source.kind() == io::ErrorKind::CrossesDevices => Errno::XDEV,
        Error::Work { source, .. } => errno(source),
        _ => Errno::IO,
    })?;
    // A name of its own, since another process may try at the same time.
    let name = format!(".executor-trial-{}", std::process::id());
    let result = container.work_dir("trial").map_err(errno).and_then(|_| {
        dir::rename_as(&container.work, TRIAL, &container.root, name.as_bytes())?;
        dir::rename_as(&container.root, name.as_bytes(), &container.work, TRIAL)
    });
    let removed = dir::remove(&container.work, TRIAL);
    if !existed && let Some(name) = container.work_path.file_name() {
        // Not empty if another process has begun to use it.
        let _ = dir::remove(&container.root, name);
    }
    result.and(removed)
}

/// Names the mount namespace of this process.
fn namespace() -> io::Result<String> {
    let link = fs_err::read_link("/proc/self/ns/mnt")?;
    Ok(link.to_string_lossy().into_owned())
}
