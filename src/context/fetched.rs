//! The directory a context is fetched into, and that it does not stay.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use tempfile::TempDir;

use crate::interrupt::{Interrupt, LastAct};
use crate::rootfs::{self, Lock};

/// Where fetched contexts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Below this directory, which builds share; what killed builds left there is removed.
    Shared(PathBuf),
    /// In a fresh directory of its own, made in this one.
    Fresh(PathBuf),
}

/// A fetched context's directory; it is removed with the value, or when a signal ends the process.
#[derive(Debug)]
pub struct Fetched {
    dir: Option<TempDir>, // taken only by `drop`
    shared: Option<PathBuf>,
    /// Says to others that the directory is in use.
    _lock: Lock,
    _last_act: LastAct,
}

impl Fetched {
    /// Makes an empty directory.
    pub fn create(place: &Place, interrupt: &Interrupt) -> io::Result<Self> {
        // held until the new directory has a lock of its own
        let _entered;
        let (dir, shared) = match place {
            Place::Fresh(parent) => (TempDir::with_prefix_in("executor-", parent)?, None),
            Place::Shared(parent) => {
                _entered = enter(parent)?;
                sweep(parent)?;
                (TempDir::with_prefix_in("", parent)?, Some(parent.clone()))
            }
        };
        let lock = open(dir.path())?;
        lock.take(FlockOperation::NonBlockingLockExclusive)?;
        let last_act = interrupt.last_act({
            let (dir, shared) = (dir.path().to_owned(), shared.clone());
            move || abandon(&dir, shared.as_deref())
        });
        Ok(Self {
            dir: Some(dir),
            shared,
            _lock: lock,
            _last_act: last_act,
        })
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        let dir = self.dir.as_ref();
        dir.expect("taken only when the value is dropped").path()
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            let path = dir.keep();
            if let Err(error) = rootfs::remove_dir_all(&path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
        remove_if_empty(self.shared.as_deref());
    }
}

fn open(dir: &Path) -> io::Result<Lock> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(Lock::new(rustix::fs::open(dir, flags, Mode::empty())?))
}

/// Makes a shared directory unless it is there, and keeps others from sweeping or removing it while the handle is open.
fn enter(shared: &Path) -> io::Result<Lock> {
    loop {
        let is_other = || shared.symlink_metadata().is_ok_and(|found| !found.is_dir());
        match fs_err::create_dir_all(shared) {
            // its last user was just removing it
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !is_other() => continue,
            made => made?,
        }
        let handle = match open(shared) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            handle => handle?,
        };
        handle.take(FlockOperation::LockExclusive)?;
        if is_at(&handle, shared)? {
            return Ok(handle);
        }
    }
}

/// Tells whether a directory is the one that a path leads to.
fn is_at(handle: &impl AsFd, path: &Path) -> io::Result<bool> {
    let opened = rustix::fs::fstat(handle)?;
    match rustix::fs::stat(path) {
        Ok(found) => Ok((found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes what is below a shared directory and nobody holds.
fn sweep(shared: &Path) -> io::Result<()> {
    for found in fs_err::read_dir(shared)? {
        let path = found?.path();
        let Ok(dir) = open(&path) else {
            continue;
        };
        if dir.take(FlockOperation::NonBlockingLockExclusive).is_ok() {
            rootfs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Removes what a signal leaves, while a thread may still be writing.
fn abandon(dir: &Path, shared: Option<&Path>) {
    const ATTEMPTS: usize = 3;
    if !(0..ATTEMPTS).any(|_| rootfs::remove_dir_all(dir).is_ok()) {
        tracing::warn!("a fetched context is left in {}", dir.display());
    }
    remove_if_empty(shared);
}

/// Removes the shared directory with its last user; others may still be there, and then it stays.
fn remove_if_empty(shared: Option<&Path>) {
    let Some(shared) = shared else {
        return;
    };
    let Ok(handle) = open(shared) else {
        return;
    };
    // Whoever has it locked may be about to use it, or one more who would remove it but found it in use until just now.
    if handle.take(FlockOperation::LockExclusive).is_err() {
        return;
    }
    // the opened one may be gone, and the one in its place somebody else's, who has just made it
    if !is_at(&handle, shared).unwrap_or(false) {
        return;
    }
    let Err(error) = fs_err::remove_dir(shared) else {
        return;
    };
    if !matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
    ) {
        tracing::debug!("{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("context");
        fs_err::create_dir_all(shared.join("left/behind")).unwrap();
        let place = Place::Shared(shared.clone());
        let interrupt = Interrupt::new();
        let first = Fetched::create(&place, &interrupt).unwrap();
        let second = Fetched::create(&place, &interrupt).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        assert!(!shared.join("left").exists());
        drop(first);
        assert!(second.path().is_dir());
        drop(second);
        assert!(!shared.exists());
    }

    #[test]
    fn those_that_begin_and_end_at_once_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("context");
        let place = Place::Shared(shared.clone());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let fetched = Fetched::create(&place, &Interrupt::new()).unwrap();
                        fs_err::write(fetched.path().join("file"), "").unwrap();
                    }
                });
            }
        });
        assert!(!shared.exists(), "the last one removes it");
    }
}
