//! An executor that an ordinary user starts: it becomes root of a user namespace before it does anything else.
//!
//! With the ids that `/etc/subuid` and `/etc/subgid` grant to the user, every owner of an image can then be put on disk, and
//! RUN needs no further user namespace. The process that the user started only waits for the one inside.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::child::{self, Ended, IdMaps, Surroundings};
use super::failure::{Failure, Step, errno};
use super::huge_pages;
use super::idmap::IdMap;
use super::job::{self, Job, Mode, Status};
use super::output::Output;
use crate::interrupt::Interrupt;

/// Why a user namespace with more than one id cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`/etc/subuid` and `/etc/subgid` grant no ids to the user {0}")]
    NoSubordinateIds(u32),
    #[error("cannot become root of a user namespace: {step}")]
    Namespace { step: String, source: io::Error },
    #[error("cannot start the executor again")]
    Start(#[source] io::Error),
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoSubordinateIds(_) => {
                Some("`usermod --add-subuids` and `--add-subgids` grant some".into())
            }
            Self::Namespace { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("install newuidmap and newgidmap, Debian's package `uidmap`".into())
            }
            _ => None,
        }
    }
}

/// Runs this process's command line again as root of a user namespace, and returns its exit status.
///
/// For a process that is not root, before it does anything else.
///
/// # Errors
/// Nothing has run then: the caller may go on with the one id it has.
pub fn run_in_user_namespace(executable: &Path, interrupt: &Interrupt) -> Result<u8, Error> {
    let maps = subordinate_maps()?;
    let text = |text: OsString| {
        text.into_string().map_err(|text| {
            let message = format!("`{}` is not UTF-8", text.to_string_lossy());
            Error::Start(io::Error::new(io::ErrorKind::InvalidInput, message))
        })
    };
    let env = std::env::vars_os().map(|(name, value)| Ok((text(name)?, text(value)?)));
    let job = Job {
        mode: Mode::UserNamespace,
        command: Some(job::Command {
            program: text(std::env::current_exe().map_err(Error::Start)?.into())?,
            args: std::env::args_os().map(text).collect::<Result<_, _>>()?,
            env: env.collect::<Result<_, Error>>()?,
            working_dir: ".".into(),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            script: None,
        }),
        lent: Vec::new(),
        huge_pages: huge_pages::are_given_up(),
    };
    let mut write_maps = |pid| {
        with_helper("newuidmap", pid, &maps.uids)?;
        with_helper("newgidmap", pid, &maps.gids)
    };
    let stdin = io::stdin();
    let descriptors = [stdin.as_fd()];
    let around = Surroundings {
        executable,
        interrupts: &[interrupt],
        output: &Output::Own,
    };
    match child::run(&around, &job, &mut write_maps, &descriptors) {
        Ok(Status::Exited(code)) => Ok(u8::try_from(code).unwrap_or(1)),
        Ok(Status::Killed(signal)) => Ok(u8::try_from(128 + signal).unwrap_or(255)),
        Err(Ended::Interrupted(interrupted)) => Ok(interrupted.exit_status()),
        Err(Ended::Failed(failure)) => Err(Error::Namespace {
            step: failure.step.to_string(),
            source: failure.error(),
        }),
        Err(Ended::Broken(error)) => Err(Error::Start(error)),
        Err(Ended::InPlace(error)) => Err(Error::Start(io::Error::other(error))),
    }
}

fn subordinate_maps() -> Result<IdMaps, Error> {
    let (uid, gid) = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    // What cannot be read grants nothing.
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let passwd = read("/etc/passwd");
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    let uids = IdMap::subordinate(uid, uid, name, &read("/etc/subuid"));
    // Both files list users, not groups.
    let gids = IdMap::subordinate(gid, uid, name, &read("/etc/subgid"));
    match (uids, gids) {
        (Some(uids), Some(gids)) => Ok(IdMaps { uids, gids }),
        _ => Err(Error::NoSubordinateIds(uid)),
    }
}

fn with_helper(helper: &str, pid: i32, map: &IdMap) -> Result<(), Ended> {
    let output = Command::new(helper)
        .arg(pid.to_string())
        .args(map.numbers())
        .stdin(Stdio::null())
        .output();
    let failed = |errno| {
        let step = Step::Isolate(format!("map ids with {helper}"));
        Err(Ended::Failed(Failure { step, errno }))
    };
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            tracing::debug!(
                "{helper}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
            failed(libc::EPERM)
        }
        Err(error) => failed(errno(&error)),
    }
}
