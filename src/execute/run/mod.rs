//! RUN: a command that sees a stage's private root as its `/`.
//!
//! Which [`Isolation`] is possible is found out once, by trying ([`select()`]). [`execute()`] looks up what the command needs
//! in the image, and starts `init`: a child process that isolates itself, runs the command, and puts everything back.

mod borrow;
mod capabilities;
mod child;
mod chroot;
mod command;
mod container;
mod execute;
mod failure;
mod huge_pages;
mod idmap;
pub mod in_place;
pub mod init;
mod job;
mod lent;
mod namespaces;
mod output;
mod select;
mod stubs;
mod supervise;
mod syscalls;
mod terminal;
mod trial;
mod user_namespace;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use self::child::{Ended, IdMaps};
use self::job::Mode;
use crate::dockerfile::instruction::{Network, Security};
use crate::interrupt::{Interrupt, Interrupted, LastAct};
use crate::layer::LayerPath;
use crate::plan::{RunMount, RunStep};
use crate::rootfs::users;
use crate::rootfs::{self, IdShift};

pub use container::inside as inside_container;
pub use execute::execute;
pub use huge_pages::give_up as give_up_huge_pages;
pub use lent::{Lent, What};
pub use output::{Lines, Output};
pub use select::{Attempt, Error as SelectError, IsolationOptions, Requested, select};
pub use terminal::Terminal;
pub use user_namespace::{Error as UserNamespaceError, run_in_user_namespace};

/// How a RUN gets to see the private root.
#[derive(Debug)]
pub enum Isolation {
    Namespaces(Namespaces),
    /// The private root's entries are renamed into `/` and back; a command sees the container's mounts.
    InPlace(in_place::Session),
    /// A change of root only, without `/proc`.
    Chroot,
}

/// What namespaces there are besides those for mounts, ipc and the host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaces {
    users: Users,
    /// A pid namespace with a `/proc` of its own.
    pid: bool,
}

/// The ids in a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Users {
    /// Those of the executor: there is no user namespace between them.
    Same,
    Mapped {
        maps: IdMaps,
        shift: IdShift,
    },
}

impl Isolation {
    /// Returns how owners in the image relate to owners on disk, for private roots that a RUN is to see.
    pub fn id_shift(&self) -> IdShift {
        match self {
            Self::Namespaces(Namespaces {
                users: Users::Mapped { shift, .. },
                ..
            }) => *shift,
            Self::Namespaces(_) | Self::InPlace(_) | Self::Chroot => IdShift::default(),
        }
    }

    /// Returns where private roots have to be, if that matters.
    pub fn work_dir(&self) -> Option<&'static Path> {
        match self {
            Self::InPlace(_) => Some(Path::new(in_place::WORK_DIR)),
            Self::Namespaces(_) | Self::Chroot => None,
        }
    }

    /// Has what [`Isolation::close`] does also done before a signal ends the process; to be asked for after all that is to be done
    /// before that.
    pub fn last_act(&self, interrupt: &Interrupt) -> Option<LastAct> {
        match self {
            Self::InPlace(session) => Some(interrupt.last_act(session.closing())),
            Self::Namespaces(_) | Self::Chroot => None,
        }
    }

    /// Ends the use of this isolation, which leaves the container as it was found.
    pub fn close(self) {
        if let Self::InPlace(session) = self {
            session.close();
        }
    }
}

/// What a RUN did besides changing files.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Files whose time of change moved although the command did not touch them: their place in a snapshot is to be refreshed.
    pub refreshed: Vec<LayerPath>,
}

/// What a RUN needs besides its step.
pub struct RunContext<'a> {
    /// The executable that is started as `init`: [`this_executable`], but for tests.
    pub executable: &'a Path,
    /// Variables with secrets; they override the image's.
    pub secret_env: &'a BTreeMap<String, String>,
    /// The mounts of the step, prepared; those above others first.
    pub lent: &'a [Lent],
    pub interrupt: &'a Interrupt,
    /// Ends the command too, because something else failed that the build needs.
    pub halt: &'a Interrupt,
    pub output: &'a Output,
}

/// The file of this process, also when it has been moved away.
pub fn this_executable() -> &'static Path {
    Path::new("/proc/self/exe")
}

/// Keeps other processes from reading this one's memory and environment; the first thing an executor does.
///
/// # Errors
/// The kernel refuses it on no system we know.
pub fn hide_this_process() -> io::Result<()> {
    let hidden = rustix::process::DumpableBehavior::NotDumpable;
    Ok(rustix::process::set_dumpable_behavior(hidden)?)
}

/// Why a RUN failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("process \"{command}\" did not complete successfully: exit code: {code}")]
    Exited { command: String, code: i32 },
    #[error("process \"{command}\" did not complete successfully: killed by {}", signal_name(*.signal))]
    Killed { command: String, signal: i32 },
    #[error("process \"{command}\" did not start: {step}")]
    NotStarted {
        command: String,
        step: String,
        hint: Option<&'static str>,
        source: io::Error,
    },
    #[error("cannot isolate the command: {step}")]
    Isolate { step: String, source: io::Error },
    #[error("cannot run the command's parent")]
    Child(#[source] io::Error),
    #[error(transparent)]
    User(#[from] users::Error),
    #[error("cannot prepare the root")]
    Root(#[source] rootfs::Error),
    #[error("cannot create the working directory `{path}`")]
    WorkingDir { path: String, source: rootfs::Error },
    #[error("`--network=none` needs namespaces, which are not in use here")]
    Network,
    #[error("`--security=insecure` needs isolation by namespaces")]
    Security,
    #[error("`--mount=type={0}` needs namespaces or running in place, which are not in use here")]
    Mount(&'static str),
    #[error("cannot find the place `{target}` of a mount")]
    MountTarget {
        target: String,
        source: rootfs::Error,
    },
    #[error("cannot run in place")]
    InPlace(#[source] in_place::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Returns the word of the instruction that is at fault, if it is a single one.
    pub fn word(&self) -> Option<String> {
        match self {
            Self::Network => Some("--network".to_owned()),
            Self::Security => Some("--security".to_owned()),
            Self::Mount(kind) => Some(format!("type={kind}")),
            _ => None,
        }
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Killed { signal, .. } if *signal == libc::SIGKILL => {
                Some("the kernel may have killed it for want of memory; raise the container's memory limit".into())
            }
            Self::Exited { code, .. } => Some(
                match code {
                    126 => "the shell found the command, and cannot execute it",
                    127 => "the shell found no such command in the image",
                    _ => "what the command printed stands above",
                }
                .into(),
            ),
            Self::NotStarted { hint, .. } => hint.map(str::to_owned),
            Self::User(error) => error.help(),
            Self::Root(error)
            | Self::WorkingDir { source: error, .. }
            | Self::MountTarget { source: error, .. } => error.help(),
            Self::InPlace(error) => error.help(),
            Self::Network => Some("use `--isolation=namespaces` where it is possible".into()),
            Self::Mount(_) => {
                Some("use `--isolation=namespaces` or `--isolation=in-place` where it is possible".into())
            }
            _ => None,
        }
    }

    /// Returns the exit status that this failure gives to the executor.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Exited { code, .. } => u8::try_from(*code).unwrap_or(1),
            Self::Killed { .. } => 255,
            Self::Interrupted(interrupted) => interrupted.exit_status(),
            _ => 1,
        }
    }
}

/// Fails if `step` asks for something that `isolation` cannot give; for a look at the whole plan before any work.
///
/// # Errors
/// [`Error::Network`], [`Error::Security`], [`Error::Mount`].
pub fn check(isolation: &Isolation, step: &RunStep) -> Result<(), Error> {
    match (isolation, step.network) {
        (Isolation::Namespaces(_), _) | (_, Network::Default | Network::Host) => {}
        (Isolation::InPlace(_) | Isolation::Chroot, Network::None) => return Err(Error::Network),
    }
    match (isolation, step.security) {
        (Isolation::Namespaces(_), _) | (_, Security::Sandbox) => {}
        (Isolation::InPlace(_) | Isolation::Chroot, Security::Insecure) => {
            return Err(Error::Security);
        }
    }
    // A change of root alone shows nothing that is not in the root.
    match step.mounts.iter().find(|mount| has_target(mount)) {
        Some(mount) if matches!(isolation, Isolation::Chroot) => {
            Err(Error::Mount(mount_type(mount)))
        }
        _ => Ok(()),
    }
}

/// Tells whether there is more to a mount than a variable.
fn has_target(mount: &RunMount) -> bool {
    !matches!(mount, RunMount::Secret { target: None, .. })
}

fn mount_type(mount: &RunMount) -> &'static str {
    match mount {
        RunMount::Bind { .. } => "bind",
        RunMount::Cache { .. } => "cache",
        RunMount::Tmpfs { .. } => "tmpfs",
        RunMount::Secret { .. } => "secret",
        RunMount::Ssh { .. } => "ssh",
    }
}

impl Namespaces {
    fn mode(&self, network: Network, security: Security, hostname: &str) -> Mode {
        Mode::Namespaces {
            user: self.users != Users::Same,
            pid: self.pid,
            isolate_network: network == Network::None,
            insecure: security == Security::Insecure,
            hostname: hostname.to_owned(),
        }
    }
}

impl Users {
    fn write_maps(&self, pid: i32) -> Result<(), Ended> {
        match self {
            Self::Same => Ok(()),
            Self::Mapped { maps, .. } => maps.write(pid),
        }
    }
}

fn signal_name(signal: i32) -> String {
    #[rustfmt::skip] // a table keeps its columns
    let names = [
        (libc::SIGHUP, "SIGHUP"), (libc::SIGINT, "SIGINT"), (libc::SIGQUIT, "SIGQUIT"), (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"), (libc::SIGABRT, "SIGABRT"), (libc::SIGBUS, "SIGBUS"), (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"), (libc::SIGUSR1, "SIGUSR1"), (libc::SIGSEGV, "SIGSEGV"), (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"), (libc::SIGALRM, "SIGALRM"), (libc::SIGTERM, "SIGTERM"), (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"), (libc::SIGSYS, "SIGSYS"),
    ];
    match names.iter().find(|(number, _)| *number == signal) {
        Some((_, name)) => format!("signal {signal} ({name})"),
        None => format!("signal {signal}"),
    }
}
