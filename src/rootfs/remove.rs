//! Removing trees of any depth without following anything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
        remove_tree(dir, name, self.privileged)
    }
}

/// Removes a directory and everything below it; nothing there is well. A symlink in its place is removed, not followed.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match Rootfs::open(parent) {
        Ok(parent) => Ok(parent.remove_at(parent.dir_fd(), name.as_bytes())?),
        Err(Error::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Removes `name` in `dir` and everything below it, however deep, while others may be removing there too. `privileged` says that
/// permissions do not bind us.
///
/// Few open files will do: where no more can be had, those further up are closed and opened again on the way back.
pub fn remove_tree(dir: BorrowedFd<'_>, name: &[u8], privileged: bool) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno),
    }
    let mut descent = Descent::default();
    // Directories still to be removed: of each level the last is the one that was entered.
    let mut levels: Vec<Vec<Vec<u8>>> = vec![vec![name.to_vec()]];
    loop {
        let is_first = levels.len() == 1;
        let here = descent.top().unwrap_or(dir);
        let level = levels.last_mut().expect("the first level ends the loop");
        let Some(child) = level.last() else {
            levels.pop();
            descent.pop()?;
            let here = descent.top().unwrap_or(dir);
            let level = levels
                .last_mut()
                .expect("every level but the first has a parent");
            let empty = level.pop().expect("it was entered through its last name");
            match rustix::fs::unlinkat(here, &empty[..], AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
            if levels.len() == 1 {
                return Ok(());
            }
            continue;
        };
        if !privileged {
            // Ours or not: if it fails, opening says why.
            let _ = rustix::fs::chmodat(here, &child[..], Mode::RWXU, AtFlags::empty());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(here, &child[..], flags, Mode::empty()) {
            Ok(fd) => {
                levels.push(remove_files(fd.as_fd())?);
                descent.push(fd)?;
            }
            Err(Errno::MFILE | Errno::NFILE) if descent.close_some() => {}
            Err(Errno::NOENT) if is_first => return Ok(()),
            Err(Errno::NOENT) => drop(level.pop()),
            Err(errno) => return Err(errno),
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

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::rootfs::Stat;

    /// Makes `a/b/b/…` with a file on each level.
    fn deep(dir: BorrowedFd<'_>, levels: usize) {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let open = |dir: &OwnedFd, name: &str| rustix::fs::openat(dir, name, flags, Mode::empty());
        let mut here = rustix::fs::openat(dir, ".", flags, Mode::empty()).unwrap();
        for level in 0..levels {
            let name = if level == 0 { "a" } else { "b" };
            rustix::fs::mkdirat(&here, name, Mode::RWXU).unwrap();
            here = open(&here, name).unwrap();
            rustix::fs::mkdirat(&here, "side", Mode::RWXU).unwrap();
            rustix::fs::symlinkat("/", &here, "link").unwrap();
        }
    }

    #[test]
    fn trees_deeper_than_any_path() {
        let t = tempfile::tempdir().unwrap();
        let root = Rootfs::open(t.path()).unwrap();
        deep(root.dir_fd(), 3000);
        remove_dir_all(&t.path().join("a")).unwrap();
        remove_dir_all(&t.path().join("a")).unwrap();
        remove_dir_all(&t.path().join("no/such")).unwrap();
        assert_eq!(fs_err::read_dir(t.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_place_of_the_directory_is_not_followed() {
        let t = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(t.path().join("other/kept")).unwrap();
        std::os::unix::fs::symlink("other", t.path().join("link")).unwrap();
        remove_dir_all(&t.path().join("link")).unwrap();
        assert!(t.path().join("other/kept").exists() && !t.path().join("link").exists());
    }

    /// What the walk does when no file can be opened any more; the limit itself belongs to the whole process.
    #[test]
    fn handles_further_up_are_closed_and_opened_again() {
        let t = tempfile::tempdir().unwrap();
        let root = Rootfs::open(t.path()).unwrap();
        deep(root.dir_fd(), 6);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut descent = Descent::default();
        for level in 0..6 {
            let name = if level == 0 { "a" } else { "b" };
            let here = descent.top().unwrap_or(root.dir_fd());
            let below = rustix::fs::openat(here, name, flags, Mode::empty()).unwrap();
            descent.push(below).unwrap();
        }
        assert!(descent.close_some());
        assert!(!descent.close_some(), "the first and the last are needed");
        for _ in 0..5 {
            descent.pop().unwrap();
            let here = descent.top().unwrap();
            rustix::fs::unlinkat(here, "link", AtFlags::empty()).unwrap();
            assert!(Stat::read(here, b"b").unwrap().is_dir());
        }
        descent.pop().unwrap();
        assert!(descent.top().is_none());
    }
}
