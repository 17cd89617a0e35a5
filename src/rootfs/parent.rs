//! The directory an entry goes into: found, or made on the way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
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
        for dir in real.ancestors().iter().chain([&real]) {
            let above = fd.map_err(|e| Error::access("open", dir, e))?;
            fd = match self.root.open_real_dir(dir) {
                Err(Errno::NOENT) => self.root.make_implied(above.as_fd(), dir),
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
    /// Makes the directory `path`, which no entry describes, in `above`.
    fn make_implied(&self, above: BorrowedFd<'_>, path: &LayerPath) -> Result<OwnedFd, Errno> {
        let name = path.file_name().unwrap_or(b".");
        rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755))?;
        self.settle_new(above, name, None, &Wanted::implied())?;
        self.open_real_dir(path)
    }
}
