//! Looking at many files, most of which lie beside the one before.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Error, FileType, Rootfs, Stat};
use crate::layer::{Entry, Kind, LayerPath};

/// Looks at files of a root and holds the directory of the last one open, so nobody may move directories meanwhile.
pub struct Nearby<'r> {
    root: &'r Rootfs,
    dir: Option<(LayerPath, OwnedFd)>,
}

impl Rootfs {
    /// Starts to look at many files.
    pub fn nearby(&self) -> Nearby<'_> {
        Nearby {
            root: self,
            dir: None,
        }
    }
}

impl Nearby<'_> {
    /// Like [`Rootfs::stat`].
    pub fn stat(&mut self, path: &LayerPath) -> Result<Option<Stat>, Error> {
        let root = self.root;
        Ok(self.disk(path)?.map(|disk| root.corrected(disk)))
    }

    /// Like [`Rootfs::entry`]; returns what is there beside it.
    pub fn entry(&mut self, path: &LayerPath) -> Result<Option<(Entry, Stat)>, Error> {
        let Some(disk) = self.disk(path)? else {
            return Ok(None);
        };
        let root = self.root;
        let stat = root.corrected(disk);
        let (major, minor) = stat.rdev;
        let kind = match stat.kind {
            FileType::File => Kind::File { size: stat.size },
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = self
                    .dir_of(path)
                    .and_then(|(dir, name)| rustix::fs::readlinkat(dir, name, Vec::new()));
                let target = target.map_err(|e| Error::access("read the link", path, e))?;
                Kind::Symlink {
                    target: target.into_bytes(),
                }
            }
            FileType::CharDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => return Ok(None),
        };
        let xattrs = self
            .dir_of(path)
            .and_then(|(dir, name)| root.xattrs_at(dir.as_fd(), name, &disk));
        let entry = Entry {
            path: path.clone(),
            kind,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            mtime: stat.mtime,
            xattrs: xattrs.map_err(|e| Error::access("read the attributes of", path, e))?,
        };
        Ok(Some((entry, stat)))
    }

    /// Like [`Rootfs::open_file`].
    pub fn open_file(&mut self, path: &LayerPath) -> Result<File, Error> {
        let root = self.root;
        let opened = self
            .dir_of(path)
            .and_then(|(dir, name)| root.open_file_at(dir.as_fd(), name));
        match opened {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(Error::NotAFile { path: path.clone() }),
            Err(errno) => Err(Error::access("open", path, errno)),
        }
    }

    fn disk(&mut self, path: &LayerPath) -> Result<Option<Stat>, Error> {
        let disk = self
            .dir_of(path)
            .and_then(|(dir, name)| Stat::read(dir.as_fd(), name));
        match disk {
            Ok(disk) => Ok(Some(disk)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Error::access("look at", path, errno)),
        }
    }

    fn dir_of<'s, 'p>(&'s mut self, path: &'p LayerPath) -> Result<(&'s OwnedFd, &'p [u8]), Errno> {
        let parent = path.parent().unwrap_or_default();
        let dir = match self.dir.take() {
            Some(dir) if dir.0 == parent => dir,
            _ => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let fd = self.root.open_at(&parent, flags)?;
                (parent, fd)
            }
        };
        let (_, fd) = self.dir.insert(dir);
        Ok((fd, path.file_name().unwrap_or(b".")))
    }
}
