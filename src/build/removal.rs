//! Removing a root while something else goes on.

use std::thread::JoinHandle;

use tracing::warn;

use crate::rootfs::{self, Rootfs};

/// A root that is being removed; dropped, it waits until that is done.
#[derive(Debug)]
pub struct Removal(Option<JoinHandle<Result<(), rootfs::Error>>>);

impl Removal {
    /// Starts to remove `root`; without a thread it goes with the work directory.
    pub fn start(root: Rootfs) -> Self {
        let dir = root.path().to_owned();
        let thread = std::thread::Builder::new().name("removal".to_owned());
        let started = thread.spawn(move || root.delete());
        match started {
            Ok(thread) => Self(Some(thread)),
            Err(error) => {
                warn!("cannot remove {} yet: {error}", dir.display());
                Self(None)
            }
        }
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let Some(thread) = self.0.take() else {
            return;
        };
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("cannot remove a stage's root: {error}"),
            Err(_) => warn!("removing a stage's root broke off"),
        }
    }
}
