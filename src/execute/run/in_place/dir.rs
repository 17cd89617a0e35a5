//! Directories by handle: no name is looked up through a symbolic link, and a rename never replaces anything.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::layer::LayerPath;
use crate::rootfs;

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What identifies a directory or file for as long as it exists: device and inode.
pub(super) type Identity = (u64, u64);

/// What `lstat` says, as far as moving needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) kind: FileType,
    pub(super) identity: Identity,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) ctime: (i64, u64),
}

impl Seen {
    pub(super) fn is_dir(self) -> bool {
        self.kind == FileType::Directory
    }
}

/// Opens the directory `path` below `base`.
pub(super) fn open(base: impl AsFd, path: &LayerPath) -> io::Result<OwnedFd> {
    let mut dir = fs::openat(base, ".", DIRECTORY, Mode::empty())?;
    for name in path.components() {
        dir = fs::openat(&dir, name, DIRECTORY, Mode::empty())?;
    }
    Ok(dir)
}

/// Opens the directory `path` below `base`; `None` if there is no such directory.
pub(super) fn find(base: impl AsFd, path: &LayerPath) -> io::Result<Option<OwnedFd>> {
    match open(base, path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens the directory `path` below `base`, creating what is missing with mode 0700.
pub(super) fn create(base: impl AsFd, path: &LayerPath) -> io::Result<OwnedFd> {
    let mut dir = fs::openat(base, ".", DIRECTORY, Mode::empty())?;
    for name in path.components() {
        match fs::mkdirat(&dir, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        dir = fs::openat(&dir, name, DIRECTORY, Mode::empty())?;
    }
    Ok(dir)
}

/// Looks at `path` below `base` without following its last component; `None` if it is not there.
pub(super) fn look(base: impl AsFd, path: &LayerPath) -> io::Result<Option<Seen>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return look_at(base, b".");
    };
    match find(base, &parent)? {
        Some(dir) => look_at(dir, name),
        None => Ok(None),
    }
}

/// Looks at one name of a directory.
pub(super) fn look_at(dir: impl AsFd, name: &[u8]) -> io::Result<Option<Seen>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Seen {
            kind: FileType::from_raw_mode(stat.st_mode),
            identity: (stat.st_dev, stat.st_ino),
            size: stat.st_size as u64,
            ctime: (stat.st_ctime, stat.st_ctime_nsec),
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns the names in a directory, sorted.
pub(super) fn names(dir: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort();
    Ok(names)
}

/// Moves one name into another directory, where it must not exist yet.
pub(super) fn rename(from: impl AsFd, name: &[u8], to: impl AsFd) -> Result<(), Errno> {
    rename_as(from, name, to, name)
}

/// Moves one name into another directory under a new name, which must not exist there yet.
pub(super) fn rename_as(
    from: impl AsFd,
    name: &[u8],
    to: impl AsFd,
    new_name: &[u8],
) -> Result<(), Errno> {
    match fs::renameat_with(&from, name, &to, new_name, RenameFlags::NOREPLACE) {
        // A kernel or filesystem without the flag: nobody else works here, so looking first is as good.
        Err(Errno::NOSYS | Errno::INVAL) => {
            match fs::statat(&to, new_name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => fs::renameat(from, name, to, new_name),
                Err(errno) => Err(errno),
            }
        }
        result => result,
    }
}

/// Removes an empty directory.
pub(super) fn remove(dir: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// Removes the directory `path` below `base` if it is there and empty; tells whether it is gone.
pub(super) fn remove_if_empty(base: impl AsFd, path: &LayerPath) -> io::Result<bool> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(false);
    };
    let Some(dir) = find(base, &parent)? else {
        return Ok(true);
    };
    match remove(dir, name) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::BUSY) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes `name` and everything below it, however deep a command made it. The caller has made sure that nothing is mounted there.
pub(super) fn remove_tree(dir: impl AsFd, name: &[u8]) -> io::Result<()> {
    Ok(rootfs::remove_tree(dir.as_fd(), name, true)?)
}

/// Tells whether an error means that there is nothing under that name, or no directory.
pub(super) fn is_absent(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
