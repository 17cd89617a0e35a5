//! Looking at files and reading them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::walk::Names;
use super::{ContentHash, Error, Rootfs, Stat, xattr};
use crate::layer::{Entry, LayerPath};

impl Rootfs {
    /// Returns what `path` is, itself and not what it may link to; `None` if nothing is there.
    pub fn stat(&self, path: &LayerPath) -> Result<Option<Stat>, Error> {
        self.nearby().stat(path)
    }

    /// Returns `path` as the entry that would make it; `None` if nothing is there, or a socket, which no layer can hold.
    ///
    /// A file with several names is a [`Kind::File`](crate::layer::Kind::File) under each of them.
    pub fn entry(&self, path: &LayerPath) -> Result<Option<Entry>, Error> {
        let found = self.nearby().entry(path)?;
        Ok(found.map(|(entry, _)| entry))
    }

    pub(super) fn xattrs_at(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        disk: &Stat,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        // Nothing but files and directories can have attributes of the kinds that travel.
        if self.is_bare(disk) || !(disk.is_file() || disk.is_dir()) {
            return Ok(self.metadata().intended(disk).xattrs);
        }
        let fd = self.open_disk(dir, name, disk, OFlags::NONBLOCK)?;
        self.xattrs_of(fd.as_fd(), disk)
    }

    pub(super) fn xattrs_of(
        &self,
        fd: BorrowedFd<'_>,
        disk: &Stat,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        let mut found = self.metadata().intended(disk).xattrs;
        if self.is_bare(disk) {
            return Ok(found);
        }
        let brought = self.brought();
        let wanted = |name: &[u8]| xattr::is_read(name) || brought.contains(name);
        found.extend(xattr::read(fd, wanted)?);
        Ok(found)
    }

    /// Returns the hash of the content of the file `stat`, if it passed through this root and was not touched since.
    pub(crate) fn content_hash(&self, inode: u64, ctime: i64) -> Option<ContentHash> {
        Some(self.content().get(inode, ctime)?.hash())
    }

    /// Tells whether the file `stat` is known to have no extended attributes.
    pub(super) fn is_bare(&self, stat: &Stat) -> bool {
        let known = self.content().get(stat.inode, stat.ctime);
        known.is_some_and(|known| known.is_bare())
    }

    /// Remembers what the file `opened` contains, as just read from it.
    pub(crate) fn remember_content(&self, opened: &File, hash: ContentHash) {
        if let Ok(stat) = Stat::read(opened.as_fd(), b"") {
            self.content().insert(&stat, hash, false);
        }
    }

    /// Returns the inodes whose ctime we moved ourselves, only to read them, with the ctimes before and after, in the order in which it
    /// happened; each is returned once.
    pub(crate) fn take_moved(&self) -> Vec<(u64, i64, i64)> {
        self.content().take_moved()
    }

    /// Forgets the content hash of one file, once a baseline holds it.
    pub(crate) fn forget_content_of(&self, inode: u64) {
        self.content().remove(inode);
    }

    /// Forgets all content hashes, once a baseline holds them.
    pub(crate) fn forget_content(&self) {
        self.content().clear();
    }

    /// Opens the regular file `path` for reading.
    pub fn open_file(&self, path: &LayerPath) -> Result<File, Error> {
        self.nearby().open_file(path)
    }

    /// Returns the names in the directory `path`, sorted by bytes. A symlink to a directory will do.
    pub fn read_dir(&self, path: &LayerPath) -> Result<Vec<Vec<u8>>, Error> {
        let real = self.resolve(path.as_bytes())?;
        let names = self.parent_of(&real).and_then(|(dir, name)| {
            let disk = Stat::read(dir.as_fd(), name)?;
            let fd = self.open_disk(dir.as_fd(), name, &disk, OFlags::DIRECTORY)?;
            Names::read(fd.as_fd())
        });
        let mut names = names.map_err(|e| Error::access("read the directory", path, e))?;
        names.sort();
        Ok(names.iter().map(<[u8]>::to_vec).collect())
    }

    /// Returns what the symlink `path` says, as it stands there.
    pub fn read_link(&self, path: &LayerPath) -> Result<Vec<u8>, Error> {
        let target = self
            .parent_of(path)
            .and_then(|(dir, name)| rustix::fs::readlinkat(dir, name, Vec::new()));
        let target = target.map_err(|e| Error::access("read the link", path, e))?;
        Ok(target.into_bytes())
    }

    /// Opens `name`, found to be `disk`, for reading. Where permissions bind us, a file that its owner may not read is made readable
    /// for the moment, unless the root is somebody else's.
    pub(super) fn open_disk(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        disk: &Stat,
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(dir, name, flags, Mode::empty());
        let search = if disk.is_dir() { 0o100 } else { 0 };
        match open() {
            Err(Errno::ACCESS) if !self.privileged && self.is_ours => {
                let chmod = |mode| {
                    let mode = Mode::from_raw_mode(mode);
                    rustix::fs::chmodat(dir, name, mode, rustix::fs::AtFlags::empty())
                };
                chmod(disk.mode | 0o400 | search).map_err(|_| Errno::ACCESS)?;
                let opened = open();
                if disk.is_dir() {
                    // It stays open to us, for what it contains; the mode it had is remembered.
                    let mut intended = self.metadata().intended(disk);
                    intended.mode.get_or_insert(disk.mode);
                    self.metadata().record(&Stat::read(dir, name)?, intended);
                } else {
                    chmod(disk.mode)?;
                }
                let after = Stat::read(dir, name)?.ctime;
                self.content().moved(disk.inode, disk.ctime, after);
                opened
            }
            opened => opened,
        }
    }

    /// Turns what the disk says into what the image should have.
    pub(super) fn corrected(&self, disk: Stat) -> Stat {
        let mut stat = disk;
        stat.uid = self.ids.from_disk(disk.uid);
        stat.gid = self.ids.from_disk(disk.gid);
        self.metadata().correct(&disk, &mut stat);
        stat
    }
}
