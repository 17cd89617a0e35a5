//! Owners, modes, times and extended attributes: set on disk, or remembered where the kernel refuses.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::metadata::Intended;
use super::{Error, FileType, Rootfs, Stat, xattr};
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};

/// What a file shall have; `None` leaves what it has.
#[derive(Debug, Default)]
pub(super) struct Wanted<'e> {
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    mtime: Option<Time>,
    xattrs: Option<&'e BTreeMap<Vec<u8>, Vec<u8>>>,
    device: Option<(FileType, (u32, u32))>,
}

impl<'e> Wanted<'e> {
    /// Everything that `entry` says; a directory's time is set later.
    pub fn of(entry: &'e Entry) -> Self {
        let device = match entry.kind {
            Kind::CharDevice { major, minor } => Some((FileType::CharDevice, (major, minor))),
            Kind::BlockDevice { major, minor } => Some((FileType::BlockDevice, (major, minor))),
            Kind::Fifo => Some((FileType::Fifo, (0, 0))),
            _ => None,
        };
        Self {
            owner: Some((entry.uid, entry.gid)),
            mode: (!matches!(entry.kind, Kind::Symlink { .. })).then_some(entry.mode),
            mtime: (entry.kind != Kind::Directory).then_some(entry.mtime),
            xattrs: Some(&entry.xattrs),
            device,
        }
    }

    /// For a directory that is only on the way to an entry.
    pub fn implied() -> Self {
        Self {
            owner: Some((0, 0)),
            mode: Some(0o755),
            ..Self::default()
        }
    }
}

impl Rootfs {
    /// Changes the low twelve bits of the mode.
    pub fn chmod(&self, path: &LayerPath, mode: u32) -> Result<(), Error> {
        let wanted = Wanted {
            mode: Some(mode),
            ..Wanted::default()
        };
        self.change("change the mode of", path, &wanted)
    }

    /// Changes the owner of `path` itself; setuid and setgid bits stay.
    pub fn chown(&self, path: &LayerPath, uid: u32, gid: u32) -> Result<(), Error> {
        let mode = self.stat(path)?.filter(|stat| !stat.is_symlink());
        let wanted = Wanted {
            owner: Some((uid, gid)),
            mode: mode.map(|stat| stat.mode),
            ..Wanted::default()
        };
        self.change("change the owner of", path, &wanted)
    }

    pub fn set_mtime(&self, path: &LayerPath, mtime: Time) -> Result<(), Error> {
        let wanted = Wanted {
            mtime: Some(mtime),
            ..Wanted::default()
        };
        self.change("set the time of", path, &wanted)
    }

    fn change(
        &self,
        action: &'static str,
        path: &LayerPath,
        wanted: &Wanted<'_>,
    ) -> Result<(), Error> {
        let changed = self.parent_of(path).and_then(|(dir, name)| {
            let before = Stat::read(dir.as_fd(), name)?;
            let known = self.metadata().intended(&before);
            let after = self.settle(dir.as_fd(), name, None, wanted, known)?;
            self.content().follow(&before, &after);
            Ok(())
        });
        changed.map_err(|e| Error::access(action, path, e))
    }

    /// Gives a file that was just made what it shall have; returns what the disk says then.
    pub(super) fn settle_new(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        fd: Option<BorrowedFd<'_>>,
        wanted: &Wanted<'_>,
    ) -> Result<Stat, Errno> {
        self.settle(dir, name, fd, wanted, Intended::default())
    }

    /// Brings the disk as close to `wanted` as the kernel permits and remembers the rest, beside what was `known` and is not changed.
    fn settle(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        fd: Option<BorrowedFd<'_>>,
        wanted: &Wanted<'_>,
        known: Intended,
    ) -> Result<Stat, Errno> {
        // An open file spares the kernel the way to its name.
        let look = || match fd {
            Some(fd) => Stat::read(fd, b""),
            None => Stat::read(dir, name),
        };
        match (wanted.mtime, fd) {
            (Some(mtime), Some(fd)) => rustix::fs::futimens(fd, &timestamps(mtime))?,
            (Some(mtime), None) => {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(dir, name, &timestamps(mtime), flags)?;
            }
            (None, _) => {}
        }
        let mut disk = look()?;
        let chowned = self.set_owner(dir, name, &disk, wanted)?;
        let chmoded = self.set_mode(dir, name, &disk, chowned, wanted)?;
        let refused = match wanted.xattrs {
            Some(xattrs) if !xattrs.is_empty() => {
                Some(self.set_xattrs(dir, name, fd, &disk, xattrs)?)
            }
            Some(_) => Some(BTreeMap::new()),
            None => None,
        };
        if chowned || chmoded || wanted.xattrs.is_some_and(|xattrs| !xattrs.is_empty()) {
            disk = look()?;
        }
        let owner_on_disk = (self.ids.from_disk(disk.uid), self.ids.from_disk(disk.gid));
        let intended = Intended {
            owner: wanted
                .owner
                .or(known.owner)
                .filter(|owner| *owner != owner_on_disk),
            mode: wanted.mode.or(known.mode).filter(|mode| *mode != disk.mode),
            device: wanted
                .device
                .or(known.device)
                .filter(|(kind, _)| *kind != disk.kind),
            xattrs: refused.unwrap_or(known.xattrs),
        };
        self.metadata().record(&disk, intended);
        Ok(disk)
    }

    fn set_owner(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        disk: &Stat,
        wanted: &Wanted<'_>,
    ) -> Result<bool, Errno> {
        let Some(((uid, gid), true)) = wanted.owner.map(|owner| (owner, self.privileged)) else {
            return Ok(false);
        };
        let (Some(uid), Some(gid)) = (self.ids.to_disk(uid), self.ids.to_disk(gid)) else {
            return Ok(false);
        };
        if (uid, gid) == (disk.uid, disk.gid) {
            return Ok(false);
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn set_mode(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        disk: &Stat,
        chowned: bool,
        wanted: &Wanted<'_>,
    ) -> Result<bool, Errno> {
        if wanted.mode.is_none() || disk.kind == FileType::Symlink {
            return Ok(false);
        }
        let on_disk = (disk.uid, disk.gid);
        let owner = wanted
            .owner
            .map(|(u, g)| (self.ids.to_disk(u), self.ids.to_disk(g)));
        let owned =
            chowned || owner.is_none_or(|(u, g)| (u, g) == (Some(on_disk.0), Some(on_disk.1)));
        let mode = self.disk_mode(wanted, disk.kind, owned);
        // A change of owner takes the setuid bits away.
        let as_it_is = disk.mode == mode && !(chowned && mode & 0o6000 != 0);
        if as_it_is {
            return Ok(false);
        }
        match rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::NOTSUP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the mode to have on disk. Where permissions bind us, we keep access; a program of another's is not made setuid.
    pub(super) fn disk_mode(&self, wanted: &Wanted<'_>, kind: FileType, owned: bool) -> u32 {
        let mut mode = wanted.mode.unwrap_or(0o777);
        if !owned && kind != FileType::Directory {
            mode &= 0o1777;
        }
        match kind {
            _ if self.privileged => mode,
            FileType::Directory => mode | 0o700,
            _ => mode | 0o600,
        }
    }

    /// Sets what can be set and returns the rest.
    fn set_xattrs(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        fd: Option<BorrowedFd<'_>>,
        disk: &Stat,
        xattrs: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
        let opened = self.open_for_xattrs(dir, name, disk)?;
        let fd = fd.or(opened.as_ref().map(AsFd::as_fd));
        let mut refused = BTreeMap::new();
        for (key, value) in xattrs.iter().filter(|(key, _)| xattr::is_applied(key)) {
            self.brought().insert(key.clone());
            // Symlinks and devices cannot have any that matter to a RUN.
            let set = fd.map(|fd| xattr::set(fd, key, value));
            if set != Some(Ok(())) {
                refused.insert(key.clone(), value.clone());
            }
        }
        Ok(refused)
    }

    /// Removes the attributes of a directory that `kept` does not name.
    pub(super) fn clear_xattrs(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        kept: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), Errno> {
        let disk = Stat::read(dir, name)?;
        let Some(fd) = self.open_for_xattrs(dir, name, &disk)? else {
            return Ok(());
        };
        let brought = self.brought().clone();
        let wanted = |name: &[u8]| xattr::is_read(name) || brought.contains(name);
        for (key, _) in xattr::read(fd.as_fd(), wanted)? {
            if !kept.contains_key(&key) {
                xattr::remove(fd.as_fd(), &key)?;
            }
        }
        Ok(())
    }

    fn open_for_xattrs(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        disk: &Stat,
    ) -> Result<Option<OwnedFd>, Errno> {
        match disk.kind {
            FileType::File | FileType::Directory => {
                self.open_disk(dir, name, disk, OFlags::NONBLOCK).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Returns `mtime` as the kernel takes it, with the access time left alone.
pub(super) fn timestamps(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanoseconds.min(999_999_999).into(),
        },
    }
}
