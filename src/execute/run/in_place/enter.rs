//! Moving the image's files into the root.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::container::Container;
use super::graft::Stubs;
use super::metadata::Metadata;
use super::plan::{self, Plan};
use super::warning::Warning;
use super::{Error, dir};
use crate::layer::LayerPath;

/// A file that was renamed by itself, whose time of change is therefore new.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) path: LayerPath,
    pub(super) identity: dir::Identity,
    pub(super) ctime: (i64, u64),
}

/// What one process knows about the image in the root, beside the journal.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) private: OwnedFd,
    pub(super) moved: Vec<Moved>,
    /// One for each of the journal's grafts, but for one that failed.
    pub(super) stubs: Vec<Stubs>,
}

/// Renames the private root's entries into the pinned directories and gives these what the image's have.
///
/// What has moved is known even after a failure.
pub(super) fn move_in(
    container: &Container,
    plan: &Plan,
    inside: &mut Inside,
) -> Result<(), Error> {
    let Inside { private, moved, .. } = inside;
    let mut metadata = Vec::new();
    for path in &plan.pinned {
        let fail = |source: io::Error| Error::Move {
            path: path.clone(),
            source,
        };
        let Some(from) = dir::find(&private, path).map_err(fail)? else {
            continue;
        };
        metadata.push((path, Metadata::read(&from).map_err(fail)?));
        let to = dir::open(&container.root, path).map_err(fail)?;
        for name in dir::names(&from).map_err(fail)? {
            let child = path.join(&name);
            if plan.keeps(&child) || plan.pins(&child) {
                continue;
            }
            container.step("move in");
            let renamed = dir::rename(&from, &name, &to);
            renamed.map_err(|errno| Error::Move {
                path: child.clone(),
                source: errno.into(),
            })?;
            if let Some(seen) = dir::look_at(&to, &name).map_err(fail)?
                && !seen.is_dir()
            {
                moved.push(Moved {
                    path: child,
                    identity: seen.identity,
                    ctime: seen.ctime,
                });
            }
        }
    }
    for (path, metadata) in metadata.iter().rev() {
        container.step("lend a directory what the image's is");
        let lent = dir::open(&container.root, path).and_then(|dir| metadata.write(dir));
        lent.map_err(|source| Error::Move {
            path: (*path).clone(),
            source,
        })?;
    }
    Ok(())
}

/// Tells what of the image a command does not see.
pub(super) fn shadowed(plan: &Plan, private: impl AsFd) -> io::Result<Vec<Warning>> {
    let mut warnings = Vec::new();
    for kept in plan.kept.iter().map(|kept| &kept.path) {
        if plan::is_expected(kept) {
            continue;
        }
        let matters = match dir::look(&private, kept)? {
            None => false,
            Some(seen) if seen.is_dir() => !dir::names(dir::open(&private, kept)?)?.is_empty(),
            Some(seen) => seen.size > 0,
        };
        if matters {
            warnings.push(Warning::Shadowed {
                path: kept.clone(),
                by: kept.clone(),
            });
        }
    }
    for pinned in &plan.pinned {
        let seen = dir::look(&private, pinned)?;
        if seen.is_some_and(|seen| !seen.is_dir()) {
            let by = plan.kept.iter().map(|kept| &kept.path);
            let by = by.filter(|kept| kept.starts_with(pinned)).min();
            warnings.push(Warning::Shadowed {
                path: pinned.clone(),
                by: by.unwrap_or(pinned).clone(),
            });
        }
    }
    Ok(warnings)
}

/// Waits until a change made from now on gets a later time than everything up to now: ten milliseconds at most.
pub(super) fn let_the_clock_move_on() {
    let now = || {
        let time = clock_gettime(ClockId::RealtimeCoarse);
        (time.tv_sec, time.tv_nsec)
    };
    let start = now();
    while now() == start {
        std::thread::sleep(Duration::from_micros(500));
    }
}
