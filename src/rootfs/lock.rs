//! Locks on files and directories, against other threads and processes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FlockOperation;

/// An open file whose lock ends with the value.
///
/// Closing the file would not do: a child that another thread is about to start has a copy of it until its exec, and the lock
/// with it, and who only tries to take the lock would find it taken.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// Takes over a file; it is not locked yet.
    pub fn new(file: OwnedFd) -> Self {
        Self(file)
    }

    /// Locks the file.
    pub fn take(&self, operation: FlockOperation) -> rustix::io::Result<()> {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&self.0, operation))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // a file system without locks has nothing to give back
        let _ = self.take(FlockOperation::Unlock);
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_file_does_not_keep_the_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || Lock::new(file.reopen().unwrap().into());
        let (first, second) = (open(), open());
        let copy = first.as_fd().try_clone_to_owned().unwrap();
        let only_try = FlockOperation::NonBlockingLockExclusive;
        first.take(only_try).unwrap();
        assert_eq!(second.take(only_try), Err(rustix::io::Errno::WOULDBLOCK));
        drop(first);
        assert_eq!(second.take(only_try), Ok(()));
        drop(copy);
    }
}
