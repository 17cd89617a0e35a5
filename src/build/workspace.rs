//! Where a build keeps its roots and blobs, and that nothing of it stays.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::isolate::Closing;
use super::{Error, Options};
use crate::interrupt::{Interrupt, LastAct};
use crate::rootfs;

/// The work directory of one build, locked against other builds; what is below it goes with the value.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    /// The directory exists for this build alone.
    temporary: Option<tempfile::TempDir>,
    /// Files that are open for nothing but to be closed at the end: removing takes a few, also after a build that had no more to open.
    spare: Vec<OwnedFd>,
    _lock: OwnedFd,
    _last_act: LastAct,
}

/// How many open files removing a tree takes.
const SPARE: usize = 8;

/// What a build makes below its work directory, but for `mounts`, where caches outlive it.
const OURS: [&str; 5] = ["stages", "images", "blobs", "lent", "secrets"];

impl Workspace {
    /// Opens the work directory `dir`, or a fresh one in a temporary directory, and removes what a killed build left there.
    ///
    /// Waits while another build uses the same directory.
    pub fn open(dir: Option<PathBuf>, interrupt: &Interrupt) -> Result<Self, Error> {
        let (dir, temporary) = match dir {
            Some(dir) => (dir, None),
            None => {
                let parent = temporary_parent();
                let fresh = tempfile::Builder::new()
                    .prefix("executor-")
                    .tempdir_in(parent);
                let fresh = fresh.map_err(|source| Error::Workspace {
                    dir: parent.into(),
                    source,
                })?;
                (fresh.path().to_owned(), Some(fresh))
            }
        };
        let error = |source| Error::Workspace {
            dir: dir.clone(),
            source,
        };
        fs_err::create_dir_all(&dir).map_err(error)?;
        let lock = lock(&dir).map_err(error)?;
        let spare = (0..SPARE).map(|_| lock.try_clone());
        let spare = spare.collect::<io::Result<_>>().map_err(error)?;
        let last_act = interrupt.last_act({
            let (dir, is_temporary) = (dir.clone(), temporary.is_some());
            move || abandon(&dir, is_temporary)
        });
        let workspace = Self {
            dir,
            temporary,
            spare,
            _lock: lock,
            _last_act: last_act,
        };
        sweep(&workspace.dir).map_err(|source| Error::Workspace {
            dir: workspace.dir.clone(),
            source,
        })?;
        let probe = tempfile::tempfile_in(&workspace.dir);
        probe.map_err(|source| Error::Workspace {
            dir: workspace.dir.clone(),
            source,
        })?;
        Ok(workspace)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the place of a stage's private root.
    pub fn stage_root(&self, index: usize) -> PathBuf {
        self.dir
            .join("stages")
            .join(index.to_string())
            .join("rootfs")
    }

    /// Returns the place of the root of an image that is only copied from.
    pub fn image_root(&self, index: usize) -> PathBuf {
        self.dir
            .join("images")
            .join(index.to_string())
            .join("rootfs")
    }

    pub fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// Moves the blobs to a directory that outlives this; a store that is open stays so.
    pub fn set_blobs_aside(&self) -> Result<tempfile::TempDir, Error> {
        let parent = match (&self.temporary, self.dir.parent()) {
            (Some(_), Some(parent)) => parent,
            _ => &self.dir,
        };
        let fresh = tempfile::Builder::new().prefix("built-").tempdir_in(parent);
        let moved = fresh.and_then(|fresh| {
            fs_err::rename(self.blobs(), fresh.path().join("blobs"))?;
            Ok(fresh)
        });
        moved.map_err(|source| Error::Workspace {
            dir: self.dir.clone(),
            source,
        })
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.spare.clear();
        if let Err(error) = sweep(&self.dir) {
            tracing::warn!(
                "cannot remove work files in {}: {error}",
                self.dir.display()
            );
        }
        let temporary = self.temporary.take().map(tempfile::TempDir::keep);
        if let Some(Err(error)) = temporary.as_deref().map(rootfs::remove_dir_all) {
            tracing::warn!("cannot remove {}: {error}", self.dir.display());
        }
    }
}

/// The work directories of a build.
pub struct Workspaces {
    pub first: Workspace,
    /// For roots, where commands turned out only later to run in place.
    second: Option<Workspace>,
    /// Comes after those of the others.
    _last_act: Option<LastAct>,
}

impl Workspaces {
    /// Opens the directory in which commands are isolated, else the one asked for.
    pub fn open(
        isolation: Option<&Closing>,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let own = isolation.and_then(|isolation| isolation.isolation().work_dir());
        let dir = own.map(PathBuf::from).or_else(|| options.work_dir.clone());
        Ok(Self {
            first: Workspace::open(dir, interrupt)?,
            second: None,
            _last_act: isolation.and_then(|it| it.isolation().last_act(interrupt)),
        })
    }

    /// Opens another one for roots if commands are isolated elsewhere.
    pub fn add(&mut self, isolation: Option<&Closing>, interrupt: &Interrupt) -> Result<(), Error> {
        let dir = isolation.and_then(|isolation| isolation.isolation().work_dir());
        if let Some(dir) = dir.filter(|dir| *dir != self.first.dir()) {
            self.second = Some(Workspace::open(Some(dir.into()), interrupt)?);
            self._last_act = isolation.and_then(|it| it.isolation().last_act(interrupt));
        }
        Ok(())
    }

    pub fn of_roots(&self) -> &Workspace {
        self.second.as_ref().unwrap_or(&self.first)
    }
}

/// Returns where a work directory is made if none was named: on a disk where there is one, and in a root that has nothing else in itself.
pub fn temporary_parent() -> &'static Path {
    let candidates = ["/var/tmp", "/tmp"].map(Path::new);
    candidates
        .into_iter()
        .find(|dir| dir.is_dir())
        .unwrap_or(Path::new("/"))
}

/// Removes what builds make below a work directory.
fn sweep(dir: &Path) -> io::Result<()> {
    for name in OURS {
        rootfs::remove_dir_all(&dir.join(name))?;
    }
    Ok(())
}

/// Removes what a build leaves that a signal ends, while its threads may still be writing.
fn abandon(dir: &Path, is_temporary: bool) {
    const ATTEMPTS: usize = 3;
    let gone = (0..ATTEMPTS).any(|_| sweep(dir).is_ok());
    if !gone || (is_temporary && rootfs::remove_dir_all(dir).is_err()) {
        tracing::warn!("work files are left in {}", dir.display());
    }
}

/// Takes the directory for this build. A file system without locks is used without one.
fn lock(dir: &Path) -> io::Result<OwnedFd> {
    let fd = rustix::fs::open(
        dir,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let taken = rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive);
    if taken == Err(rustix::io::Errno::WOULDBLOCK) {
        tracing::info!("Waiting for another build that uses {}", dir.display());
        rustix::fs::flock(&fd, FlockOperation::LockExclusive)?;
    }
    Ok(fd)
}
