//! Mount points in a private root: created where the image lacks them, removed afterwards.
//!
//! A RUN with mounts that changes nothing must leave nothing (RUN-7): what was created only to hold a mount goes, with the
//! directories made for it, and the directory above gets its old mtime back. The image's symlinks are hostile, so every
//! path is walked component by component and never leaves the root.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::rootfs::MAX_SYMLINKS;

/// What stands at the end of a path that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File,
}

/// What was created in a root to hold mounts.
#[derive(Debug, Default)]
pub struct Stubs(Vec<Stub>);

#[derive(Debug)]
struct Stub {
    parent: OwnedFd,
    name: CString,
    kind: Kind,
    inode: u64,
    parent_before: Timespec,
    parent_after: Timespec,
}

impl Stubs {
    /// Makes sure that something can be mounted at `path`.
    pub fn ensure(&mut self, root: BorrowedFd<'_>, path: &str, kind: Kind) -> io::Result<()> {
        walk(root, path, &mut |parent, name, last| {
            let parent_before = mtime(&rustix::fs::fstat(parent)?);
            let kind = if last { kind } else { Kind::Directory };
            create(parent, name, kind)?;
            let created = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            self.0.push(Stub {
                parent: parent.try_clone_to_owned()?,
                name: name.clone(),
                kind,
                inode: created.st_ino,
                parent_before,
                parent_after: mtime(&rustix::fs::fstat(parent)?),
            });
            Ok(())
        })
        .map(drop)
    }

    /// Removes what is still as it was created, last first.
    pub fn remove(self) {
        for stub in self.0.into_iter().rev() {
            // A stub that the command used is a part of the image now; there is nothing to say about it.
            let _used_by_the_command = stub.remove();
        }
    }
}

impl Stub {
    fn remove(self) -> io::Result<()> {
        let now = rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if now.st_ino != self.inode || (self.kind == Kind::File && now.st_size != 0) {
            return Ok(());
        }
        let parent = mtime(&rustix::fs::fstat(&self.parent)?);
        let flags = match self.kind {
            Kind::Directory => AtFlags::REMOVEDIR,
            Kind::File => AtFlags::empty(),
        };
        rustix::fs::unlinkat(&self.parent, &self.name, flags)?;
        let restored = if parent == self.parent_after {
            self.parent_before
        } else {
            parent
        };
        set_mtime(self.parent.as_fd(), restored)
    }
}

/// Opens `path` as an `O_PATH` descriptor, following symlinks inside the root; `missing` is called to create what is not there.
pub fn walk(
    root: BorrowedFd<'_>,
    path: &str,
    missing: &mut dyn FnMut(BorrowedFd<'_>, &CString, bool) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let components = |path: &[u8]| -> Vec<Vec<u8>> {
        let parts = path.split(|byte| *byte == b'/');
        parts
            .filter(|part| !part.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut ahead: VecDeque<Vec<u8>> = components(path.as_bytes()).into();
    let mut opened = vec![root.try_clone_to_owned()?];
    let mut symlinks = 0;
    while let Some(name) = ahead.pop_front() {
        let directory = opened.last().expect("the root is never popped").as_fd();
        if name == b"." {
            continue;
        }
        if name == b".." {
            if opened.len() > 1 {
                opened.pop();
            }
            continue;
        }
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match rustix::fs::openat(directory, &name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                missing(directory, &name, ahead.is_empty())?;
                rustix::fs::openat(directory, &name, flags, Mode::empty())?
            }
            found => found?,
        };
        let stat = rustix::fs::fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            symlinks += 1;
            if symlinks > MAX_SYMLINKS {
                return Err(Errno::LOOP.into());
            }
            let target = rustix::fs::readlinkat(&found, c"", Vec::new())?.into_bytes();
            if target.starts_with(b"/") {
                opened.truncate(1);
            }
            for part in components(&target).into_iter().rev() {
                ahead.push_front(part);
            }
        } else if !ahead.is_empty() && !is_directory(&stat) {
            return Err(Errno::NOTDIR.into());
        } else {
            opened.push(found);
        }
    }
    Ok(opened.pop().expect("the root is never popped"))
}

fn create(parent: BorrowedFd<'_>, name: &CString, kind: Kind) -> io::Result<()> {
    match kind {
        Kind::Directory => {
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
        }
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?;
        }
    }
    Ok(())
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

pub fn mtime(stat: &Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: stat.st_mtime_nsec as _,
    }
}

/// Sets the mtime of a directory and leaves its atime alone.
pub fn set_mtime(directory: BorrowedFd<'_>, mtime: Timespec) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: mtime,
    };
    Ok(rustix::fs::utimensat(
        directory,
        c".",
        &times,
        AtFlags::empty(),
    )?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> OwnedFd {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        rustix::fs::open(path, flags, Mode::empty()).unwrap()
    }

    #[test]
    fn stubs_leave_no_trace() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs_err::create_dir_all(root.join("etc")).unwrap();
        fs_err::os::unix::fs::symlink("../../../run/x/resolv.conf", root.join("etc/resolv.conf"))
            .unwrap();
        let fd = open(&root);
        let before = mtime(&rustix::fs::stat(&root).unwrap());

        let mut stubs = Stubs::default();
        stubs
            .ensure(fd.as_fd(), "/etc/resolv.conf", Kind::File)
            .unwrap();
        stubs.ensure(fd.as_fd(), "/proc", Kind::Directory).unwrap();
        stubs.ensure(fd.as_fd(), "/proc", Kind::Directory).unwrap();
        assert!(root.join("run/x/resolv.conf").is_file());
        assert!(root.join("proc").is_dir());
        assert!(!temp.path().join("run").exists());

        stubs.remove();
        assert!(!root.join("run").exists());
        assert!(!root.join("proc").exists());
        assert!(root.join("etc").exists());
        assert_eq!(mtime(&rustix::fs::stat(&root).unwrap()), before);
    }

    #[test]
    fn what_the_command_used_stays() {
        let temp = tempfile::tempdir().unwrap();
        let fd = open(temp.path());
        let mut stubs = Stubs::default();
        stubs
            .ensure(fd.as_fd(), "/mnt/a/b", Kind::Directory)
            .unwrap();
        fs_err::write(temp.path().join("mnt/file"), "").unwrap();
        stubs.remove();
        assert!(temp.path().join("mnt/file").exists());
        assert!(!temp.path().join("mnt/a").exists());
    }

    #[test]
    fn a_loop_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let fd = open(temp.path());
        fs_err::os::unix::fs::symlink("loop", temp.path().join("loop")).unwrap();
        let error = walk(fd.as_fd(), "/loop", &mut |_, _, _| Ok(())).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }
}
