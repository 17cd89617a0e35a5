//! One build at a time in a container.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::io::Errno;

use super::container::Container;
use super::dir;

pub(super) const NAME: &str = "lock";

/// Takes the lock, waiting if need be. Closing the file gives it back.
pub(super) fn take(container: &Container) -> io::Result<OwnedFd> {
    let mut said = false;
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(&container.work, NAME, flags, Mode::RUSR | Mode::WUSR)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::info!("waiting for another build in this container to end");
                }
                flock(&file, FlockOperation::LockExclusive)?;
            }
            result => result?,
        }
        // Who held it may have removed it meanwhile, and the directory too.
        let own = fstat(&file)?;
        let named = dir::look_at(&container.work, NAME.as_bytes())?;
        if named.is_some_and(|named| named.identity == (own.st_dev, own.st_ino)) {
            return Ok(file);
        }
    }
}

/// Removes the lock's file while holding it: who waits for it finds out and makes a new one.
pub(super) fn remove(container: &Container) -> io::Result<()> {
    Ok(unlinkat(&container.work, NAME, AtFlags::empty())?)
}
