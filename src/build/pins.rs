//! What remote sources are at the moment, found out before the cache is looked into.

use std::collections::BTreeMap;

use super::outlook::At;
use super::{Error, Options, workspace};
use crate::context::GitOptions;
use crate::execute::{self, Means, Pinned};
use crate::net::Net;
use crate::plan::{Action, CopySource, Plan};

/// For each step that fetches something, what each of its sources is; absent for sources about which nothing needs to be asked.
pub type Pins = BTreeMap<At, Vec<Option<Pinned>>>;

/// Asks for the commits that repositories are at, and fetches files that no checksum names.
///
/// # Errors
/// That something is not to be had, at its instruction.
pub fn pins(plan: &Plan, net: &Net, options: &Options) -> Result<Pins, Error> {
    find(plan, net, options, |_, _| true)
}

/// Asks for the commits of the repositories that `executed` steps add, so that no work is done before one that cannot be had.
///
/// # Errors
/// That something is not to be had, at its instruction.
pub fn commits(plan: &Plan, net: &Net, options: &Options, executed: &[At]) -> Result<Pins, Error> {
    find(plan, net, options, |at, source| {
        matches!(source, CopySource::Git(_)) && executed.contains(&at)
    })
}

fn find(
    plan: &Plan,
    net: &Net,
    options: &Options,
    wanted: impl Fn(At, &CopySource) -> bool,
) -> Result<Pins, Error> {
    let mut pins = Pins::new();
    let git = of_add(&options.git);
    for (position, stage) in plan.stages.iter().enumerate() {
        for (index, step) in stage.steps.iter().enumerate() {
            let Action::Copy(copy) = &step.action else {
                continue;
            };
            let means = means(options, net, &git);
            let pin = |source| match wanted((position, index), source) {
                true => execute::pin(source, means),
                false => Ok(None),
            };
            let found: Result<Vec<_>, _> = copy.sources.iter().map(pin).collect();
            let found = found.map_err(|error| Error::at(stage, step, error.into()))?;
            if found.iter().any(Option::is_some) {
                pins.insert((position, index), found);
            }
        }
    }
    Ok(pins)
}

/// Returns what fetching takes before there is a work directory of the build's own.
pub fn means<'a>(options: &'a Options, net: &'a Net, git: &'a GitOptions) -> Means<'a> {
    Means {
        net,
        dir: match &options.work_dir {
            Some(dir) => dir,
            None => workspace::temporary_parent(),
        },
        secrets: &options.mounts.secrets,
        git,
    }
}

/// Returns how ADD opens repositories: what opens the build context is shown to no other server.
pub fn of_add(git: &GitOptions) -> GitOptions {
    GitOptions {
        branch: None,
        login: None,
        skip_verify: false,
        ..git.clone()
    }
}
