//! The container whose root is borrowed: its handles, and the few paths in the work directory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, StatxFlags};
use rustix::io::Errno;

use super::{Error, dir, mounts};
use crate::layer::LayerPath;

/// A root and the work directory on it.
#[derive(Debug)]
pub(super) struct Container {
    /// Where the root is, for the kernel's table of mounts.
    pub(super) path: PathBuf,
    pub(super) root: OwnedFd,
    pub(super) work: OwnedFd,
    /// The work directory, directly below the root.
    pub(super) work_path: LayerPath,
    /// Called before every change that an interrupted process would leave behind.
    pub(super) on_step: fn(&'static str),
}

/// One thing that could not be done, while the rest was.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) path: LayerPath,
    pub(super) source: io::Error,
}

impl Failure {
    pub(super) fn new(path: &LayerPath, source: impl Into<io::Error>) -> Self {
        Self {
            path: path.clone(),
            source: source.into(),
        }
    }
}

impl Container {
    /// Opens a root, and the work directory directly below it, which is created if missing.
    pub(super) fn open(
        root: &Path,
        work_dir: &Path,
        on_step: fn(&'static str),
    ) -> Result<Self, Error> {
        let fail = |source: io::Error| Error::Work {
            path: work_dir.into(),
            source,
        };
        let name = work_dir.strip_prefix(root).ok();
        let name = name.filter(|name| name.components().count() == 1);
        let name = name.ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
        let work_path = LayerPath::clean(name.as_os_str().as_encoded_bytes());
        let handle: OwnedFd = fs_err::File::open(root)
            .map_err(fail)?
            .into_parts()
            .0
            .into();
        let work = dir::create(&handle, &work_path).map_err(fail)?;
        fs::fchmod(&work, Mode::RWXU).map_err(|errno| fail(errno.into()))?;
        if !same_mount(&handle, &work).map_err(fail)? {
            return Err(fail(io::ErrorKind::CrossesDevices.into()));
        }
        Ok(Self {
            path: root.into(),
            root: handle,
            work,
            work_path,
            on_step,
        })
    }

    pub(super) fn step(&self, name: &'static str) {
        (self.on_step)(name);
    }

    pub(super) fn mounts(&self) -> io::Result<Vec<mounts::Mount>> {
        mounts::read(&self.path)
    }

    /// Opens a directory of the work directory, created if missing.
    pub(super) fn work_dir(&self, name: &str) -> io::Result<OwnedFd> {
        dir::create(&self.work, &LayerPath::clean(name))
    }

    /// Opens the directory of the container's things that are out of the way, or the part of it for `path`.
    pub(super) fn aside(&self, path: &LayerPath) -> io::Result<Option<OwnedFd>> {
        dir::find(&self.work, &LayerPath::clean("aside").join(path.as_bytes()))
    }

    pub(super) fn create_aside(&self, path: &LayerPath) -> io::Result<OwnedFd> {
        dir::create(&self.work, &LayerPath::clean("aside").join(path.as_bytes()))
    }

    /// Moves something that is in the way into the work directory, under the first free number of `pile`; returns the number.
    pub(super) fn pile_up(
        &self,
        pile: &str,
        from: impl AsFd,
        name: &[u8],
    ) -> io::Result<(OwnedFd, String)> {
        let pile = self.work_dir(pile)?;
        for number in 0_u32.. {
            let number = number.to_string();
            match dir::rename_as(&from, name, &pile, number.as_bytes()) {
                Ok(()) => return Ok((pile, number)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Moves something that should not be there out of the way, without destroying it.
    pub(super) fn clear_way(&self, from: impl AsFd, name: &[u8]) -> Result<(), Errno> {
        let moved = self.pile_up("lost", from, name).map(drop);
        moved.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Brings the work directory back to its place if a command renamed it.
    pub(super) fn reclaim_work(&self) -> io::Result<()> {
        let Some(name) = self.work_path.file_name() else {
            return Ok(());
        };
        let own = dir::look_at(&self.work, b".")?.map(|seen| seen.identity);
        let is_own = |seen: Option<dir::Seen>| seen.map(|seen| seen.identity) == own;
        if is_own(dir::look_at(&self.root, name)?) {
            return Ok(());
        }
        for other in dir::names(&self.root)? {
            if is_own(dir::look_at(&self.root, &other)?) {
                if dir::look_at(&self.root, name)?.is_some() {
                    self.pile_up("lost", &self.root, name)?;
                }
                return Ok(dir::rename_as(&self.root, &other, &self.root, name)?);
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Removes a tree of the work directory unless something is mounted in it.
    pub(super) fn remove_work_tree(&self, name: &str) -> io::Result<()> {
        let path = self.work_path.join(name);
        let mounts = self.mounts()?;
        if mounts.iter().any(|mount| mount.path.starts_with(&path)) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        dir::remove_tree(&self.work, name.as_bytes())
    }
}

/// Tells whether renaming between two directories can work as far as mounts are concerned.
fn same_mount(one: impl AsFd, other: impl AsFd) -> io::Result<bool> {
    let mount = |dir: &dyn Fn() -> rustix::io::Result<rustix::fs::Statx>| match dir() {
        Ok(statx) if statx.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Ok(Some(statx.stx_mnt_id)),
        Ok(_) | Err(Errno::NOSYS) => Ok(None),
        Err(errno) => Err(io::Error::from(errno)),
    };
    let flags = AtFlags::EMPTY_PATH;
    let one = mount(&|| fs::statx(&one, "", flags, StatxFlags::MNT_ID))?;
    let other = mount(&|| fs::statx(&other, "", flags, StatxFlags::MNT_ID))?;
    Ok(one == other)
}
