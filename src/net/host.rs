//! Who may rely on the container's own files just now.

use std::sync::Arc;

/// Held while `/` is not the container's own, and by whoever executes a program of the container.
///
/// A credential helper that started while an image's files stand in `/` would be the image's program with our credentials.
#[derive(Debug, Clone, Default)]
pub struct HostLock(Arc<tokio::sync::Mutex<()>>);

/// Proof that the [`HostLock`] is held, until dropped.
#[derive(Debug)]
pub struct HostGuard(
    #[expect(dead_code, reason = "held for its drop")] tokio::sync::OwnedMutexGuard<()>,
);

impl HostLock {
    /// Waits for the lock in async code.
    pub async fn lock(&self) -> HostGuard {
        HostGuard(Arc::clone(&self.0).lock_owned().await)
    }

    /// Waits for the lock on an ordinary thread.
    pub fn blocking_lock(&self) -> HostGuard {
        HostGuard(Arc::clone(&self.0).blocking_lock_owned())
    }
}
