//! `RUN --mount`: what a command finds at a path, or in a variable, beside the image.
//!
//! [`Shelf::prepare`] makes each mount of a step something that lies ready on disk: a directory of another stage, a copy that is thrown
//! away, a cache that stays, a secret's file, a socket that leads to an SSH agent. How it gets to its target, [`run`](super::run) knows.
//!
//! | below the work directory | what | lives |
//! | --- | --- | --- |
//! | `lent/` | copies, sockets | one RUN; a copy of the context that nobody writes to, one build |
//! | `secrets/`, mode 0700 | the secrets of each RUN | one RUN |
//! | `mounts/` | caches, by a hash of their id | for ever |
//!
//! Caches are in `mounts/` of the cache directory instead, if there is one that can be written.
//!
//! # Spec
//! Language spec 3.4.

mod cache;
pub mod kept;
mod keyring;
mod secret;
mod ssh;
mod staging;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Tree;
use super::run::{Isolation, Lent};
use crate::interrupt::{Interrupt, Interrupted};
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::{RunMount, RunStep};
use crate::rootfs::{self, IdShift, Lock};
use staging::Staging;
use work::Work;

pub use secret::{Error as SecretError, Origin, SecretSource, Secrets};
pub use ssh::{AgentSource, Agents, Error as AgentError};

/// Where everything for mounts is kept, for one build.
pub struct Shelf<'b> {
    work_dir: &'b Path,
    caches: PathBuf,
    ids: IdShift,
    in_place: bool,
    secrets: &'b Secrets,
    agents: &'b Agents,
    interrupts: [&'b Interrupt; 2],
    /// Copies of the context that several commands only read, by what they are a copy of.
    contexts: Mutex<BTreeMap<(String, LayerPath), Shared>>,
    read_only_was_said: AtomicBool,
    /// How many commands were given something.
    commands: AtomicUsize,
}

#[derive(Clone)]
struct Shared {
    path: PathBuf,
    is_directory: bool,
}

/// What one command is given. Goes, with all that was made for that command alone, when dropped.
#[derive(Default)]
pub struct Prepared {
    pub lent: Vec<Lent>,
    /// Variables with secrets, and the one with the agent's socket.
    pub env: BTreeMap<String, String>,
    _agents: Vec<ssh::Forwarding>,
    _locks: Vec<Lock>,
    _staging: Option<Staging>,
}

/// Why a command's mounts cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("secret {0}: not found")]
    NoSecret(String),
    #[error("secret {0} is not text, so it cannot be the value of a variable")]
    NotText(String),
    #[error("no SSH agent \"{0}\" is forwarded to the build")]
    NoAgent(String),
    #[error("cannot forward the SSH agent \"{id}\"")]
    Agent { id: String, source: io::Error },
    #[error(transparent)]
    Copy(#[from] super::Error),
    #[error("cannot prepare a mount")]
    Staging(#[from] rootfs::Error),
    #[error("cannot prepare the directory `{}`", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot use the cache `{id}` in `{}`", .dir.display())]
    Cache {
        id: String,
        dir: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Error {
    /// Returns the word of the instruction that is at fault, if it is a single one.
    pub fn word(&self) -> Option<String> {
        match self {
            Self::NoSecret(_) | Self::NotText(_) => Some("type=secret".to_owned()),
            Self::NoAgent(_) | Self::Agent { .. } => Some("type=ssh".to_owned()),
            Self::Cache { .. } => Some("type=cache".to_owned()),
            Self::Copy(error) => error.word(),
            _ => None,
        }
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoSecret(id) => Some(format!(
                "pass it with `--secret id={id},src=FILE` or `--secret id={id},env=NAME`"
            )),
            Self::NoAgent(id) => Some(format!(
                "pass it with `--ssh {id}=SOCKET` or `--ssh {id}=KEY`"
            )),
            Self::Copy(error) => error.help(),
            Self::Staging(error) => error.help(),
            _ => None,
        }
    }
}

/// Fails if a step requires a secret or an agent that the build was not given; for a look at the whole plan before any work.
///
/// # Errors
/// [`Error::NoSecret`], [`Error::NoAgent`].
pub fn check(step: &RunStep, secrets: &Secrets, agents: &Agents) -> Result<(), Error> {
    for mount in &step.mounts {
        match mount {
            RunMount::Secret {
                id, required: true, ..
            } if secrets.get(id).is_none() => return Err(Error::NoSecret(id.clone())),
            RunMount::Ssh {
                id, required: true, ..
            } if !agents.has(id) => return Err(Error::NoAgent(id.clone())),
            _ => {}
        }
    }
    Ok(())
}

/// What a shelf is made of.
pub struct Options<'b> {
    pub work_dir: &'b Path,
    /// Where caches go, if it is there and can be written.
    pub cache_dir: Option<&'b Path>,
    pub isolation: &'b Isolation,
    pub secrets: &'b Secrets,
    pub agents: &'b Agents,
    pub interrupt: &'b Interrupt,
    /// Set off when another stage failed.
    pub halt: &'b Interrupt,
}

impl<'b> Shelf<'b> {
    pub fn new(options: Options<'b>) -> Self {
        let Options {
            work_dir,
            cache_dir,
            isolation,
            ..
        } = options;
        let in_place = matches!(isolation, Isolation::InPlace(_));
        let cache_dir = cache_dir.filter(|dir| cache::can_keep(dir, work_dir, in_place));
        Self {
            work_dir,
            caches: cache_dir.unwrap_or(work_dir).join("mounts"),
            ids: isolation.id_shift(),
            in_place,
            secrets: options.secrets,
            agents: options.agents,
            interrupts: [options.interrupt, options.halt],
            contexts: Mutex::default(),
            read_only_was_said: AtomicBool::new(false),
            commands: AtomicUsize::new(0),
        }
    }

    /// Makes the mounts of a step ready. `sources` has, in the order of the step's mounts, the trees that they take files from.
    ///
    /// # Errors
    /// [`Error::NoSecret`] and [`Error::NoAgent`] for what is required; [`Error::Copy`] for a source that is not there.
    pub fn prepare(
        &self,
        step: &RunStep,
        sources: &[Option<Tree<'_>>],
        now: Time,
    ) -> Result<Prepared, Error> {
        if step.mounts.is_empty() {
            return Ok(Prepared::default());
        }
        let mut work = Work {
            shelf: self,
            staging: Staging::new(
                self.work_dir,
                self.commands.fetch_add(1, Ordering::Relaxed),
                self.ids,
            ),
            prepared: Prepared::default(),
            caches: BTreeMap::new(),
            now,
        };
        for (mount, source) in in_order(&step.mounts, sources) {
            work.prepare(mount, source, step)?;
        }
        let mut prepared = work.prepared;
        // A mount above another is made first, whatever their order in the instruction.
        prepared.lent.sort_by(|a, b| a.target.cmp(&b.target));
        prepared._staging = Some(work.staging);
        Ok(prepared)
    }
}

/// Returns mounts with their sources, caches last and sorted: commands that take caches in different orders could wait for each other
/// for ever.
fn in_order<'m>(
    mounts: &'m [RunMount],
    sources: &'m [Option<Tree<'m>>],
) -> Vec<(&'m RunMount, Option<&'m Tree<'m>>)> {
    let mut mounts: Vec<_> = mounts
        .iter()
        .zip(sources.iter().map(Option::as_ref))
        .collect();
    mounts.sort_by_key(|(mount, tree)| match mount {
        RunMount::Cache { id, source, .. } => Some((id, tree.map(|tree| tree.name), source)),
        _ => None,
    });
    mounts
}
