//! How the commands of a plan are isolated: found out before anything is done for them.

use std::fs::{FileTimes, Metadata};
use std::path::Path;

use super::outlook::At;
use super::{Error, MountOptions, Options, workspace};
use crate::dockerfile::instruction::Security;
use crate::execute::mount;
use crate::execute::run::{self, Isolation};
use crate::interrupt::Interrupt;
use crate::layer::LayerPath;
use crate::plan::{Action, Plan};

/// Leaves the container as it was found.
pub struct Closing(Option<Isolation>);

impl Closing {
    pub fn isolation(&self) -> &Isolation {
        self.0.as_ref().expect("only the drop takes it")
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(isolation) = self.0.take() {
            isolation.close();
        }
    }
}

/// Finds out how commands can be isolated, if there are any among the steps that are executed.
pub fn select(
    plan: &Plan,
    executed: &[At],
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Option<Closing>, Error> {
    if !executed.iter().any(|at| is_run(plan, *at)) {
        return Ok(None);
    }
    let hide = options
        .work_dir
        .iter()
        .map(|dir| LayerPath::clean(dir.as_os_str().as_encoded_bytes()))
        .chain(options.isolation.hide.iter().cloned())
        .collect();
    let work_dir = match &options.work_dir {
        Some(dir) => dir.as_path(),
        None => workspace::temporary_parent(),
    };
    fs_err::create_dir_all(work_dir).map_err(|source| Error::Workspace {
        dir: work_dir.to_owned(),
        source,
    })?;
    let before = fs_err::metadata(work_dir).ok();
    let isolation = run::select(&run::IsolationOptions {
        requested: options.isolation.requested,
        force: options.isolation.force,
        in_container: run::inside_container(),
        work_dir,
        executable: run::this_executable(),
        keep: options.snapshot.ignore.below(Path::new("/")),
        hide,
        interrupt,
    });
    restore_times(work_dir, before);
    let isolation = isolation.map_err(Error::Isolation)?;
    Ok(Some(Closing(Some(isolation))))
}

/// Checks that an isolation can do what the executed commands ask for, and that what they must have is there.
pub fn check(
    isolation: &Isolation,
    plan: &Plan,
    executed: &[At],
    options: &Options,
) -> Result<(), Error> {
    let MountOptions {
        secrets, agents, ..
    } = &options.mounts;
    for at in executed {
        let stage = &plan.stages[at.0];
        let step = &stage.steps[at.1];
        if let Action::Run(run) = &step.action {
            let is_insecure = run.security == Security::Insecure;
            let allowed = match is_insecure && !options.isolation.allow_insecure {
                true => Err(Error::NotAllowed("security.insecure")),
                false => Ok(()),
            };
            let checked = allowed.and_then(|()| Ok(run::check(isolation, run)?));
            let checked = checked.and_then(|()| Ok(mount::check(run, secrets, agents)?));
            checked.map_err(|error| Error::at(stage, step, error))?;
        }
    }
    Ok(())
}

fn is_run(plan: &Plan, at: At) -> bool {
    matches!(plan.stages[at.0].steps[at.1].action, Action::Run(_))
}

/// Gives a directory back the times it had before a trial was made in it, so that a foreign image is as it was found.
fn restore_times(dir: &Path, before: Option<Metadata>) {
    let times = before.and_then(|before| {
        let (accessed, modified) = (before.accessed().ok()?, before.modified().ok()?);
        Some(
            FileTimes::new()
                .set_accessed(accessed)
                .set_modified(modified),
        )
    });
    if let Some(times) = times
        && let Err(error) = fs_err::File::open(dir).and_then(|dir| dir.file().set_times(times))
    {
        tracing::debug!("cannot restore the times of {}: {error}", dir.display());
    }
}
