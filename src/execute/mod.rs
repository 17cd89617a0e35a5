//! Runs the steps of a plan in a stage's private root.
//!
//! [`copy()`] and [`workdir()`] tell which paths they wrote, so that their layer is made from that list and no walk is needed; what a
//! [`run`] changed is found by a snapshot.

pub mod mount;
pub mod run;

mod copy;

mod add;

mod workdir;

mod tree;

mod glob;

mod reads;

mod selection;

mod target;

mod ignored;

mod ignore_paths;

mod remote;

mod repository;

mod error;

pub use copy::copy;
pub use error::Error;
pub use ignore_paths::{IgnorePaths, never_matches};
pub use ignored::ignored_sources;
pub use reads::{
    Found, Hashes, State, files_of_copy, files_of_mount, find_sources, state_of_copy,
    state_of_mount,
};
pub use remote::{Means, Pinned, Remote, fetch, pin, source_time};
pub use repository::{authorization, wanted};
pub use tree::{Owners, Tree};
pub use workdir::workdir;

#[cfg(test)]
mod tests;
