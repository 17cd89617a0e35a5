//! Removing trees of any depth without following anything.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::walk::{Descent, Names};
use super::{Error, Rootfs};
use crate::layer::LayerPath;

impl Rootfs {
    /// Removes `path` and everything below it; nothing there is well. For the root, all that it contains.
    pub fn remove(&self, path: &LayerPath) -> Result<(), Error> {
        let removed = match self.parent_of(path) {
            Ok((dir, _)) if path.is_root() => self.remove_content(dir.as_fd()),
            Ok((dir, name)) => self.remove_at(dir.as_fd(), name),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(errno),
        };
        removed.map_err(|e| Error::access("remove", path, e))
    }

    /// Removes the whole root and its directory.
    pub fn delete(self) -> Result<(), Error> {
        self.remove(&LayerPath::root())?;
        fs_err::remove_dir(&self.path).map_err(|source| Error::Open {
            path: self.path.clone(),
            source,
        })
    }

    fn remove_content(&self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
        for name in Names::read(listed.as_fd())?.iter() {
            self.remove_at(dir, name)?;
        }
        Ok(())
    }

    /// Removes `name` in `dir`, whatever it is. Tells by `Ok` that it is not there any more.
    pub(super) fn remove_at(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(errno),
        }
        let mut descent = Descent::default();
        // Directories still to be removed: of each level the last is the one that was entered.
        let mut levels: Vec<Vec<Vec<u8>>> = vec![vec![name.to_vec()]];
        loop {
            let here = descent.top().unwrap_or(dir);
            let level = levels.last_mut().expect("the first level ends the loop");
            match level.last() {
                Some(child) => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    if !self.privileged {
                        // Ours or not: if it fails, opening says why.
                        let _ = rustix::fs::chmodat(here, &child[..], Mode::RWXU, AtFlags::empty());
                    }
                    let flags = flags | OFlags::CLOEXEC;
                    let fd = rustix::fs::openat(here, &child[..], flags, Mode::empty())?;
                    levels.push(remove_files(fd.as_fd())?);
                    descent.push(fd)?;
                }
                None => {
                    levels.pop();
                    descent.pop()?;
                    let here = descent.top().unwrap_or(dir);
                    let level = levels
                        .last_mut()
                        .expect("every level but the first has a parent");
                    let empty = level.pop().expect("it was entered through its last name");
                    rustix::fs::unlinkat(here, &empty[..], AtFlags::REMOVEDIR)?;
                    if levels.len() == 1 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Removes everything in `dir` but directories, whose names are returned.
fn remove_files(dir: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut directories = Vec::new();
    for name in Names::read(dir)?.iter() {
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => directories.push(name.to_vec()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(directories)
}
