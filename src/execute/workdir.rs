//! WORKDIR: a directory that is there afterwards.
//!
//! # Spec
//! Language spec WD-3 to WD-5.

use super::Error;
use super::target::Target;
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::WorkdirStep;
use crate::rootfs::{Rootfs, users};

/// Makes the directory and what is missing above it; returns what it made, in order.
///
/// # Errors
/// [`Error::NotADirectory`] if a file stands in the way.
pub fn workdir(step: &WorkdirStep, root: &Rootfs, now: Time) -> Result<Vec<LayerPath>, Error> {
    let mut target = Target::new(root, now, false);
    target.owner = Some(users::owner(root, &step.user)?);
    let path = target.resolve(&step.path)?;
    if let (None, Some((uid, gid))) = (target.kind(&path)?, target.owner) {
        tracing::info!(
            "Creating directory {} with uid {uid} and gid {gid}",
            step.path
        );
    }
    target.make_directory(&path)?;
    target.finish()
}
