//! One command from a plan's step to its outcome.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::child::{self, Ended, Surroundings};
use super::failure::{Failure, Step};
use super::huge_pages;
use super::job::{self, Job, Mode, Status};
use super::lent::{Lent, What};
use super::{Error, Isolation, Outcome, RunContext, check, in_place};
use crate::image::config::DEFAULT_PATH;
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};
use crate::plan::RunStep;
use crate::rootfs::users::{self, User};
use crate::rootfs::{self, IdShift, Rootfs};

/// Runs a command in a private root and waits for its end.
///
/// A working directory that is missing is created, mode 0755, and belongs to the user (RUN-3).
///
/// What the command prints goes where the context says. Whatever happens, the root is left as the command left it: mount
/// points and files that were only put there for the command are gone, and so are processes it left behind.
///
/// # Errors
/// [`Error::Exited`] and [`Error::Killed`] if the command ran and failed; the others if it did not run.
pub fn execute(
    isolation: &Isolation,
    root: &Rootfs,
    step: &RunStep,
    context: &RunContext<'_>,
) -> Result<Outcome, Error> {
    check(isolation, step)?;
    if isolation.id_shift() != IdShift::default() {
        // Root inside may only write to the top directory if that belongs to an id inside.
        let own = root.stat(&LayerPath::root()).map_err(Error::Root)?;
        let (uid, gid) = own.map_or((0, 0), |own| (own.uid, own.gid));
        root.chown(&LayerPath::root(), uid, gid)
            .map_err(Error::Root)?;
    }
    let user = users::lookup(root, &step.user)?;
    create_working_dir(root, &step.working_dir, &user).map_err(|source| Error::WorkingDir {
        path: step.working_dir.clone(),
        source,
    })?;
    let command = job::Command {
        program: step.args.first().cloned().unwrap_or_default(),
        args: step.args.clone(),
        env: environment(step, &user, context.secret_env)
            .into_iter()
            .collect(),
        working_dir: step.working_dir.clone(),
        uid: user.uid,
        gid: user.gid,
        // With the primary group among them nobody escapes a file's "group may not" by changing groups.
        groups: std::iter::once(user.gid).chain(user.groups).collect(),
        script: step
            .script
            .as_ref()
            .map(|script| (script.name.clone(), script.body.clone())),
    };
    let mut outcome = Outcome::default();
    let ended = match isolation {
        Isolation::Namespaces(namespaces) => {
            let mode = namespaces.mode(step.network, step.security, &step.hostname);
            let mut write_maps = |pid| namespaces.users.write_maps(pid);
            start(mode, command, root, &mut write_maps, context)
        }
        Isolation::Chroot => start(Mode::Chroot, command, root, &mut |_| Ok(()), context),
        Isolation::InPlace(session) => {
            let grafts = grafts(root, context.lent)?;
            run_in_place(session, command, root, &grafts, context, &mut outcome)
        }
    };
    let command = step.args.join(" ");
    match ended {
        Ok(Status::Exited(0)) => Ok(outcome),
        Ok(Status::Exited(code)) => Err(Error::Exited { command, code }),
        Ok(Status::Killed(signal)) => Err(Error::Killed { command, signal }),
        Err(Ended::Failed(failure)) => Err(not_started(command, &failure)),
        Err(Ended::Interrupted(interrupted)) => Err(interrupted.into()),
        Err(Ended::InPlace(error)) => Err(Error::InPlace(error)),
        Err(Ended::Broken(error)) => Err(Error::Child(error)),
    }
}

fn start(
    mode: Mode,
    command: job::Command,
    root: &Rootfs,
    prepare: &mut dyn FnMut(i32) -> Result<(), Ended>,
    context: &RunContext<'_>,
) -> Result<Status, Ended> {
    let lent = match mode {
        Mode::Namespaces { .. } => context.lent.to_vec(),
        // Renamed into place by the executor, or refused.
        Mode::InPlace | Mode::Chroot | Mode::UserNamespace => Vec::new(),
    };
    let job = Job {
        mode,
        command: Some(command),
        lent,
        huge_pages: huge_pages::are_given_up(),
    };
    let descriptors = [root.dir_fd()];
    let around = Surroundings {
        executable: context.executable,
        interrupts: &[context.interrupt, context.halt],
        output: context.output,
    };
    child::run(&around, &job, prepare, &descriptors)
}

/// Moves the image's files in once the command's process exists, and out when it has ended, however it did.
fn run_in_place(
    session: &in_place::Session,
    command: job::Command,
    root: &Rootfs,
    grafts: &[(&Path, LayerPath)],
    context: &RunContext<'_>,
    outcome: &mut Outcome,
) -> Result<Status, Ended> {
    let options = in_place::RunOptions {
        working_dir: LayerPath::clean(&command.working_dir),
    };
    // The child is told to stop by a hold of its own; this one keeps the process until everything is back.
    let _hold = context.interrupt.hold(|_| {}).map_err(Ended::Interrupted)?;
    let mut entered = None;
    let mut enter = |pid: i32| {
        let mut files = session
            .enter(root.path(), &options)
            .map_err(Ended::InPlace)?;
        for warning in files.warnings() {
            tracing::warn!("{warning}");
        }
        for (source, target) in grafts {
            files.graft(source, target).map_err(Ended::InPlace)?;
        }
        files
            .record_run(pid.unsigned_abs())
            .map_err(Ended::InPlace)?;
        entered = Some(files);
        Ok(())
    };
    let status = start(Mode::InPlace, command, root, &mut enter, context);
    if let Some(files) = entered {
        let left = files.leave().map_err(Ended::InPlace)?;
        for warning in &left.warnings {
            tracing::warn!("{warning}");
        }
        outcome.refreshed = left.refreshed;
    }
    status
}

/// Finds out where in the root the step's mounts belong, while its symlinks can still be followed in it.
fn grafts<'l>(root: &Rootfs, lent: &'l [Lent]) -> Result<Vec<(&'l Path, LayerPath)>, Error> {
    let mut grafts = Vec::new();
    for lent in lent {
        let source = match &lent.what {
            What::Directory(path) | What::File(path) => path.as_path(),
            // Whoever prepares a command that runs in place makes a directory of it.
            What::Tmpfs { .. } => continue,
        };
        let target = root.resolve(&lent.target);
        let target = target.map_err(|source| Error::MountTarget {
            target: lent.target.clone(),
            source,
        })?;
        grafts.push((source, target));
    }
    Ok(grafts)
}

fn create_working_dir(root: &Rootfs, path: &str, user: &User) -> Result<(), rootfs::Error> {
    let path = root.resolve(path)?;
    let mut missing = Vec::new();
    let mut directory = Some(path);
    while let Some(path) = directory.filter(|path| !path.is_root()) {
        if root.stat(&path)?.is_some() {
            break;
        }
        directory = path.parent();
        missing.push(path);
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let mtime = Time::from_seconds(now.tv_sec);
    for path in missing.into_iter().rev() {
        let entry = directory_entry(path, user, mtime);
        root.put(&entry, &mut io::empty())?;
    }
    Ok(())
}

fn directory_entry(path: LayerPath, user: &User, mtime: Time) -> Entry {
    Entry {
        path,
        kind: Kind::Directory,
        mode: 0o755,
        uid: user.uid,
        gid: user.gid,
        mtime,
        xattrs: BTreeMap::new(),
    }
}

/// The command's whole environment: nothing of the executor's own is in it.
///
/// # Spec
/// Language spec RUN-2.
fn environment(
    step: &RunStep,
    user: &User,
    secret_env: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = step.env.clone();
    for (name, value) in &step.proxy_env {
        env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    env.entry("PATH".into())
        .or_insert_with(|| DEFAULT_PATH.into());
    env.entry("HOME".into())
        .or_insert_with(|| String::from_utf8_lossy(&user.home).into_owned());
    env.extend(secret_env.clone());
    env
}

fn not_started(command: String, failure: &Failure) -> Error {
    let (step, source) = (failure.step.to_string(), failure.error());
    let hint = match (&failure.step, failure.errno) {
        (Step::Isolate(_) | Step::NewProc, _) => return Error::Isolate { step, source },
        (Step::Execute(_), libc::ENOENT) => {
            Some("the file is there, but the interpreter or loader it asks for is not in the image")
        }
        (Step::Execute(_), libc::ENOEXEC) => {
            Some("it is a program for another machine, or a script without `#!`")
        }
        (Step::Find(_), _) => {
            Some("install it in the image or copy it there; a stage from scratch has no shell")
        }
        (Step::Execute(_), libc::E2BIG) => {
            Some("arguments and variables are too long; write them to a file")
        }
        (Step::User(_), libc::EINVAL) => {
            Some("the id is not mapped in the executor's user namespace")
        }
        _ => None,
    };
    Error::NotStarted {
        command,
        step,
        hint,
        source,
    }
}
