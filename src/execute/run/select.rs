//! Which isolation works here: found out by going through the real sequence with an empty root.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::io::Errno;

use super::capabilities;
use super::child::IdMaps;
use super::failure::Step;
use super::idmap::IdMap;
use super::job::Mode;
use super::trial::{says_nothing, trial};
use super::{Isolation, Namespaces, Users, in_place};
use crate::dockerfile::instruction::{Network, Security};
use crate::interrupt::{Interrupt, Interrupted};
use crate::layer::LayerPath;
use crate::rootfs::IdShift;

/// What the user wants, `--isolation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// The first that works.
    Auto,
    Namespaces,
    InPlace,
    Chroot,
}

/// What a selection depends on.
pub struct IsolationOptions<'a> {
    pub requested: Requested,
    /// `--force`: do what is meant for containers outside of one, too.
    pub force: bool,
    /// Whether this process is in a container: [`super::inside_container`].
    pub in_container: bool,
    /// Where private roots will be; the trials make an empty directory in it.
    pub work_dir: &'a Path,
    /// See [`super::RunContext::executable`].
    pub executable: &'a Path,
    /// `--ignore-path`: paths of the container that a command in place is to see.
    pub keep: Vec<LayerPath>,
    /// Mounts at or below these should be out of sight of a command in place: the kaniko dir.
    pub hide: Vec<LayerPath>,
    pub interrupt: &'a Interrupt,
}

/// Why no RUN is possible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "kaniko should only be run inside of a container, run with the --force flag if you are sure you want to continue"
    )]
    OutsideContainer,
    #[error("RUN cannot be isolated here: {}", list(.0))]
    Nothing(Vec<Attempt>),
    #[error("cannot use the work directory `{}`", .path.display())]
    WorkDir { path: PathBuf, source: io::Error },
    #[error("cannot run in place")]
    InPlace(#[source] in_place::Error),
    #[error("cannot run a trial of the isolation")]
    Trial(#[source] io::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// One way that was tried and does not work.
#[derive(Debug)]
pub struct Attempt {
    pub name: &'static str,
    pub step: String,
    pub source: io::Error,
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Nothing(attempts) => {
                let namespaces = attempts.iter().any(|attempt| attempt.name != "chroot");
                Some(match namespaces {
                    true => "a seccomp profile that permits unshare and mount, or root with a writable `/` or CAP_SYS_CHROOT, is enough".into(),
                    false => "root with CAP_SYS_CHROOT is enough".into(),
                })
            }
            _ => None,
        }
    }
}

impl FromStr for Requested {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "namespaces" => Ok(Self::Namespaces),
            "in-place" => Ok(Self::InPlace),
            "chroot" => Ok(Self::Chroot),
            _ => Err(format!(
                "`{text}` is not one of auto, namespaces, in-place, chroot"
            )),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.name, self.step, self.source)
    }
}

fn list(attempts: &[Attempt]) -> String {
    let attempts: Vec<_> = attempts.iter().map(Attempt::to_string).collect();
    attempts.join("; ")
}

/// Finds the isolation that RUN will have, and logs which and why.
///
/// # Errors
/// [`Error::Nothing`] says of each way that was tried what failed. No other work has been done by then.
pub fn select(options: &IsolationOptions<'_>) -> Result<Isolation, Error> {
    let mut refused = Vec::new();
    let order: &[Requested] = match options.requested {
        Requested::Auto => &[Requested::Namespaces, Requested::InPlace, Requested::Chroot],
        Requested::Namespaces => &[Requested::Namespaces],
        Requested::InPlace => &[Requested::InPlace],
        Requested::Chroot => &[Requested::Chroot],
    };
    for way in order {
        let found = match way {
            Requested::Chroot => try_chroot(options, &mut refused)?,
            Requested::InPlace => try_in_place(options, &mut refused)?,
            Requested::Namespaces | Requested::Auto => try_namespaces(options, &mut refused)?,
        };
        if let Some(isolation) = found {
            let because = match options.requested {
                Requested::Auto if refused.is_empty() => "it is the best there is".to_owned(),
                Requested::Auto => list(&refused),
                _ => "it was asked for".to_owned(),
            };
            tracing::info!("Isolation of RUN: {isolation} ({because})");
            warn(&isolation);
            return Ok(isolation);
        }
    }
    Err(Error::Nothing(refused))
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespaces(namespaces) => {
                let users = match &namespaces.users {
                    Users::Same => "",
                    Users::Mapped { shift, .. } if shift.offset == 0 => "user, ",
                    Users::Mapped { .. } => "user with shifted ids, ",
                };
                let pid = if namespaces.pid { ", pid" } else { "" };
                write!(f, "namespaces: {users}mount, ipc, uts{pid}")
            }
            Self::InPlace(_) => write!(f, "in-place"),
            Self::Chroot => write!(f, "chroot"),
        }
    }
}

/// Says what the user should know about an isolation, once.
fn warn(isolation: &Isolation) {
    let shared = match isolation {
        Isolation::Namespaces(namespaces) => namespaces.users == Users::Same && !namespaces.pid,
        Isolation::InPlace(_) => true,
        Isolation::Chroot => {
            tracing::warn!(
                "RUN has no /proc: java, process substitution in bash, /dev/stdout and others do not work"
            );
            true
        }
    };
    if shared && !capabilities::can_reduce() {
        tracing::warn!(
            "RUN can read the environment of the executor: without CAP_SETPCAP nothing can be taken from it"
        );
    }
}

fn try_namespaces(
    options: &IsolationOptions<'_>,
    refused: &mut Vec<Attempt>,
) -> Result<Option<Isolation>, Error> {
    for (name, users) in namespaces_of(Path::new("/proc/self")) {
        let users = match users {
            Ok(users) => users,
            Err(source) => {
                let step = "cannot read the id maps of this process".to_owned();
                refused.push(Attempt { name, step, source });
                continue;
            }
        };
        let mut pid = true;
        loop {
            let users = users.clone();
            let namespaces = Namespaces { users, pid };
            match attempt(options, name, &namespaces)? {
                Ok(()) => return Ok(Some(Isolation::Namespaces(namespaces))),
                // A container's masked /proc may not be mounted anew: its own has to do, and the pids that are in it.
                Err((_, Step::NewProc)) if pid => pid = false,
                Err((attempt, _)) => {
                    refused.push(attempt);
                    break;
                }
            }
        }
    }
    Ok(None)
}

/// Returns the namespaces to try, the best first; `proc` says which ids this process has, if the kernel knows user namespaces.
fn namespaces_of(proc: &Path) -> [(&'static str, io::Result<Users>); 3] {
    let mapped = |map: fn(&str) -> IdMap, offset| -> io::Result<Users> {
        let own = |file: &str| fs_err::read_to_string(proc.join(file));
        let maps = IdMaps {
            uids: map(&own("uid_map")?),
            gids: map(&own("gid_map")?),
        };
        let shift = IdShift { offset };
        Ok(Users::Mapped { maps, shift })
    };
    [
        ("namespaces", Ok(Users::Same)),
        (
            "namespaces with a user namespace",
            mapped(IdMap::identity, 0),
        ),
        ("namespaces with shifted ids", mapped(IdMap::shifted, 1)),
    ]
}

fn try_in_place(
    options: &IsolationOptions<'_>,
    refused: &mut Vec<Attempt>,
) -> Result<Option<Isolation>, Error> {
    let mut refuse = |step: &str, source| {
        refused.push(Attempt {
            name: "in-place",
            step: step.to_owned(),
            source,
        });
        Ok(None)
    };
    if !options.in_container && !options.force {
        if options.requested == Requested::InPlace {
            return Err(Error::OutsideContainer);
        }
        return refuse("this is not a container", Errno::PERM.into());
    }
    if !rustix::process::geteuid().is_root() {
        return refuse("only root can move the files of `/`", Errno::PERM.into());
    }
    let (work_dir, root) = (Path::new(in_place::WORK_DIR), Path::new("/"));
    if let Err(error) = in_place::trial(work_dir, root) {
        if says_nothing(error) {
            return Err(Error::Trial(error.into()));
        }
        return refuse("cannot move a directory in `/`", error.into());
    }
    let session = in_place::Options {
        force: true,
        keep: options.keep.clone(),
        hide: options.hide.clone(),
        on_step: |_| {},
    };
    match in_place::Session::open(work_dir, root, session) {
        Ok(session) => Ok(Some(Isolation::InPlace(session))),
        Err(error) => Err(Error::InPlace(error)),
    }
}

fn try_chroot(
    options: &IsolationOptions<'_>,
    refused: &mut Vec<Attempt>,
) -> Result<Option<Isolation>, Error> {
    if options.requested == Requested::Chroot && !options.in_container && !options.force {
        return Err(Error::OutsideContainer);
    }
    match trial(options, "chroot", Mode::Chroot, &mut |_| Ok(()))? {
        Ok(()) => Ok(Some(Isolation::Chroot)),
        Err((attempt, _)) => {
            refused.push(attempt);
            Ok(None)
        }
    }
}

fn attempt(
    options: &IsolationOptions<'_>,
    name: &'static str,
    namespaces: &Namespaces,
) -> Result<Result<(), (Attempt, Step)>, Error> {
    let mode = namespaces.mode(Network::Default, Security::Sandbox, "trial");
    let mut write_maps = |pid| namespaces.users.write_maps(pid);
    trial(options, name, mode, &mut write_maps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_user_namespaces_may_have_the_others() {
        let usable = |proc: &Path| namespaces_of(proc).map(|(_, users)| users.is_ok());
        let proc = tempfile::tempdir().unwrap();
        assert_eq!(usable(proc.path()), [true, false, false]);
        for file in ["uid_map", "gid_map"] {
            fs_err::write(proc.path().join(file), "0 0 4294967295\n").unwrap();
        }
        assert_eq!(usable(proc.path()), [true; 3]);
    }
}
