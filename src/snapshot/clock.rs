//! Letting the clock pass what it stamped.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Tree;

/// How often the clock is asked before it is taken to have been set back.
const ATTEMPTS: u32 = 100;

/// Waits until a change made now gets a later ctime than everything in `tree`: a tick of the coarse clock, 10 ms at most.
pub fn pass(tree: &Tree) {
    let newest = tree.newest_ctime();
    for _ in 0..ATTEMPTS {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let seconds = now.tv_sec.saturating_mul(1_000_000_000);
        if seconds.saturating_add(now.tv_nsec) > newest {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    tracing::warn!(
        "the clock is behind the newest change in the root; changes within it may be missed"
    );
}
