//! The directory an entry goes into: found, or made on the way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::attributes::Wanted;
use super::{Batch, Error, Rootfs};
use crate::layer::LayerPath;

/// A directory that entries are put into, held open.
pub(super) struct Parent {
    pub asked: LayerPath,
    /// `asked` without symlinks.
    pub real: LayerPath,
    pub fd: OwnedFd,
}

impl Batch<'_> {
    /// Opens the directory that `path` goes into, making it if it is missing.
    pub(super) fn enter_parent(&mut self, path: &LayerPath) -> Result<Parent, Error> {
        let asked = path.parent().unwrap_or_default();
        // Taken out: whoever removes something must not leave a stale handle here.
        if let Some(parent) = self.parent.take().filter(|parent| parent.asked == asked) {
            return Ok(parent);
        }
        match self.root.open_real_dir(&asked) {
            Ok(fd) => {
                let real = asked.clone();
                return Ok(Parent { asked, real, fd });
            }
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
            Err(errno) => return Err(Error::access("open", &asked, errno)),
        }
        let real = self.root.resolve(asked.as_bytes())?;
        let mut fd = self.root.open_real_dir(&LayerPath::root());
        // From one directory to the next: a way from the root for each would take time by the square of the depth.
        for name in real.components() {
            let above = fd.map_err(|e| Error::access("open", &real, e))?;
            fd = match open_in(above.as_fd(), name) {
                Err(Errno::NOENT) => self.root.make_implied(above.as_fd(), name),
                opened => opened,
            };
        }
        let fd = fd.map_err(|e| Error::access("open", &real, e))?;
        Ok(Parent { asked, real, fd })
    }

    /// Forgets the handle on the last entry's directory, which may be removed now.
    pub(super) fn forget_parent(&mut self) {
        self.parent = None;
    }
}

impl Rootfs {
    /// Makes the directory `name`, which no entry describes, in `above`.
    fn make_implied(&self, above: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
        rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755))?;
        self.settle_new(above, name, None, &Wanted::implied())?;
        open_in(above, name)
    }
}

/// Opens the directory `name` of `above`: `ENOTDIR` if it is a symlink or anything else.
fn open_in(above: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(above, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::rootfs::testing::{Scratch, file};

    #[test]
    fn a_long_way_is_made_step_by_step() {
        let directories = "1234567890/".repeat(1000);
        for openat2 in [true, false] {
            let t = Scratch::new();
            t.root.openat2.store(openat2, Ordering::Relaxed);
            let mut batch = t.root.batch();
            for name in ["f", "g"] {
                let entry = file(&format!("{directories}{name}"), 0o644, 1);
                batch.put(&entry, &mut &b"x"[..]).unwrap();
            }
            batch.finish().unwrap();
            let mut walk = t.root.walk(&LayerPath::root()).unwrap();
            let mut found = 0;
            while walk.next().unwrap().is_some() {
                found += 1;
            }
            assert_eq!(found, 1002);
        }
    }
}
