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

/// A file as the entry that would make it, what is there, and for a regular file its content.
pub struct Opened {
    pub entry: Entry,
    pub stat: Stat,
    pub file: Option<File>,
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
        let found = self.find(path, false)?;
        Ok(found.map(|found| (found.entry, found.stat)))
    }

    /// Like [`entry`](Self::entry), with the content if it is a file: opened once, for that and its attributes.
    pub fn open(&mut self, path: &LayerPath) -> Result<Option<Opened>, Error> {
        self.find(path, true)
    }

    fn find(&mut self, path: &LayerPath, with_content: bool) -> Result<Option<Opened>, Error> {
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
        let file = match with_content && stat.is_file() {
            true => Some(self.open_found(path, &disk)?),
            false => None,
        };
        let xattrs = match &file {
            Some(file) => root.xattrs_of(file.as_fd(), &disk),
            None => self
                .dir_of(path)
                .and_then(|(dir, name)| root.xattrs_at(dir.as_fd(), name, &disk)),
        };
        let entry = Entry {
            path: path.clone(),
            kind,
            mode: stat.mode,
            uid: stat.uid,
            gid: stat.gid,
            mtime: stat.mtime,
            xattrs: xattrs.map_err(|e| Error::access("read the attributes of", path, e))?,
        };
        Ok(Some(Opened { entry, stat, file }))
    }

    /// Like [`Rootfs::open_file`].
    pub fn open_file(&mut self, path: &LayerPath) -> Result<File, Error> {
        // Not opened first: that alone may have effects on a device or wait for a fifo's writer.
        let disk = self
            .dir_of(path)
            .and_then(|(dir, name)| Stat::read(dir.as_fd(), name));
        let disk = disk.map_err(|e| Error::access("open", path, e))?;
        if !self.root.corrected(disk).is_file() {
            return Err(Error::NotAFile { path: path.clone() });
        }
        self.open_found(path, &disk)
    }

    fn open_found(&mut self, path: &LayerPath, disk: &Stat) -> Result<File, Error> {
        let root = self.root;
        let opened = self
            .dir_of(path)
            .and_then(|(dir, name)| root.open_disk(dir.as_fd(), name, disk, OFlags::NONBLOCK));
        match opened {
            Ok(fd) => Ok(File::from(fd)),
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::rootfs::testing::{Scratch, as_user, dir, entry, file, symlink};

    #[test]
    fn what_is_opened_is_the_entry_and_its_content() {
        let t = Scratch::new();
        let mut noted = file("d/noted", 0o640, 3);
        noted.xattrs.insert(b"user.note".to_vec(), b"x".to_vec());
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (dir("d", 0o755),                None),
            (noted,                          Some("abc")),
            (file("d/bare", 0o644, 2),       Some("de")),
            (file("d/empty", 0o644, 0),      Some("")),
            (symlink("link", "d/bare"),      None),
            (entry("fifo", Kind::Fifo, 0o6), None),
        ];
        for (entry, content) in &cases {
            t.put(entry, content.unwrap_or_default());
        }
        // once with what is known of the files, and once from the disk
        for root in [&t.root, &Rootfs::open(t.root.path()).unwrap()] {
            let mut files = root.nearby();
            for (entry, content) in &cases {
                let opened = files.open(&entry.path).unwrap().unwrap();
                assert_eq!(opened.entry.xattrs, entry.xattrs, "{}", entry.path);
                let found = Some((opened.entry, opened.stat));
                assert_eq!(found, files.entry(&entry.path).unwrap());
                let read = opened.file.map(|file| io::read_to_string(file).unwrap());
                assert_eq!(read.as_deref(), *content, "{}", entry.path);
            }
            let nothing = files.open(&LayerPath::clean("d/nothing")).unwrap();
            assert!(nothing.is_none());
        }
        // an empty file on disk
        let zero = Kind::CharDevice { major: 0, minor: 0 };
        let zero = entry("zero", zero, 0o600);
        t.put(&zero, "");
        let opened = t.root.nearby().open(&zero.path).unwrap().unwrap();
        assert_eq!(opened.entry.kind, zero.kind);
        assert!(opened.file.is_none());
    }

    #[test]
    fn what_permissions_keep_from_us() {
        let t = Scratch::new();
        t.put(&file("secret", 0o600, 1), "s");
        t.run("chmod 0 secret");
        let path = t.root.path().to_owned();
        t.run("chmod 755 . ..");
        as_user(move || {
            let root = Rootfs::open_foreign(path).unwrap();
            let error = root.nearby().open(&LayerPath::clean("secret")).err();
            assert_eq!(error.unwrap().to_string(), "cannot open `/secret`");
        });
    }
}
