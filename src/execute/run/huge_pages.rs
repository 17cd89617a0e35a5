//! Huge pages are for commands only.
//!
//! They are resident as a whole once a byte of them is touched. Where the kernel gives them unasked, buffers that are made and given back all the
//! time come to lie in twice the memory that they need.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// This process may have them by the will of who started it, and gave them up.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Has the kernel give this process no huge pages. Children have none either, until one of them asks for them.
pub fn give_up() {
    let could_have = transparent_huge_pages_are_disabled() == Ok(false);
    // Who may not say so has them as before.
    let given_up = could_have && disable_transparent_huge_pages(true).is_ok();
    GIVEN_UP.store(given_up, Ordering::Relaxed);
}

/// Tells whether a command should have huge pages back.
pub fn are_given_up() -> bool {
    GIVEN_UP.load(Ordering::Relaxed)
}

/// Lets this process and its children have huge pages again.
pub fn give_back() {
    // At worst a command is a little slower.
    let _nothing_to_do = disable_transparent_huge_pages(false);
}
