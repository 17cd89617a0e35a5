//! `RUN --mount`: what a command finds at a path, or in a variable, beside the image.
//!
//! [`Shelf::prepare`] makes each mount of a step something that lies ready on disk: a directory of another stage, a copy that is thrown
//! away, a cache that stays, a secret's file, a socket that leads to an SSH agent. How it gets to its target, [`run`](super::run) knows.
//!
//! | below the work directory | what | lives |
//! | --- | --- | --- |
//! | `lent/` | copies, sockets | one RUN; a copy of the context that nobody writes to, one build |
//! | `secrets/`, mode 0700 | the secrets of one RUN | one RUN |
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

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use super::run::{Isolation, Lent, What};
use super::{Tree, copy};
use crate::interrupt::{Interrupt, Interrupted};
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::{RunMount, RunStep};
use crate::rootfs::{self, IdShift};
use cache::Cache;
use staging::Staging;

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
    interrupt: &'b Interrupt,
    /// Copies of the context that several commands only read, by what they are a copy of.
    contexts: Mutex<BTreeMap<(String, LayerPath), Shared>>,
    read_only_was_said: AtomicBool,
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
    _locks: Vec<OwnedFd>,
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
            interrupt: options.interrupt,
            contexts: Mutex::default(),
            read_only_was_said: AtomicBool::new(false),
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
            staging: Staging::new(self.work_dir, self.ids),
            prepared: Prepared::default(),
            caches: BTreeMap::new(),
            now,
        };
        for (mount, source) in step.mounts.iter().zip(sources) {
            work.prepare(mount, source.as_ref(), step)?;
        }
        let mut prepared = work.prepared;
        // A mount above another is made first, whatever their order in the instruction.
        prepared.lent.sort_by(|a, b| a.target.cmp(&b.target));
        prepared._staging = Some(work.staging);
        Ok(prepared)
    }
}

/// The mounts of one step while they are made.
struct Work<'s> {
    shelf: &'s Shelf<'s>,
    staging: Staging,
    prepared: Prepared,
    /// Caches of this step, with the target where each appeared first.
    caches: BTreeMap<PathBuf, String>,
    now: Time,
}

impl Work<'_> {
    fn prepare(
        &mut self,
        mount: &RunMount,
        tree: Option<&Tree<'_>>,
        step: &RunStep,
    ) -> Result<(), Error> {
        let shelf = self.shelf;
        match mount {
            RunMount::Bind {
                target,
                source,
                readonly,
                ..
            } => {
                let tree = tree.expect("a bind has a source");
                let what = self.bind(tree, source, *readonly)?;
                self.lend(target, what, *readonly);
            }
            RunMount::Cache {
                target, readonly, ..
            } => {
                let what = self.cache(mount, tree)?;
                self.lend(target, what, *readonly);
            }
            RunMount::Tmpfs { target, size } => {
                let what = match shelf.in_place {
                    false => What::Tmpfs { size: *size },
                    true => {
                        if size.is_some() {
                            warn!(
                                "the size of the tmpfs at {target} is not limited, because RUN runs in place"
                            );
                        }
                        What::Directory(self.staging.directory(0o1777, self.now)?)
                    }
                };
                self.lend(target, what, false);
            }
            RunMount::Secret {
                id,
                target,
                env,
                required,
                mode,
                uid,
                gid,
            } => {
                let value = shelf.secrets.get(id);
                if value.is_none() && *required {
                    return Err(Error::NoSecret(id.clone()));
                }
                if let Some(name) = env {
                    let text = std::str::from_utf8(value.unwrap_or_default());
                    let text = text.ok().filter(|text| !text.contains('\0'));
                    let text = text.ok_or_else(|| Error::NotText(id.clone()))?;
                    self.prepared.env.insert(name.clone(), text.to_owned());
                }
                if let (Some(target), Some(value)) = (target, value) {
                    let file = self.staging.secret(value, (*mode, *uid, *gid), self.now)?;
                    self.lend(target, What::File(file), !shelf.in_place);
                }
            }
            RunMount::Ssh {
                id,
                target,
                required,
                mode,
                uid,
                gid,
            } => {
                let forwarding = self.staging.socket((*mode, *uid, *gid), |place| {
                    let forwarding = shelf.agents.forward(id, place);
                    forwarding.map_err(|source| Error::Agent {
                        id: id.clone(),
                        source,
                    })
                })?;
                match forwarding {
                    Some((socket, forwarding)) => {
                        self.prepared._agents.push(forwarding);
                        self.lend(target, What::File(socket), false);
                        if !step.env.contains_key("SSH_AUTH_SOCK") {
                            let name = "SSH_AUTH_SOCK".to_owned();
                            let first = self.prepared.env.entry(name);
                            first.or_insert_with(|| target.clone());
                        }
                    }
                    None if *required => return Err(Error::NoAgent(id.clone())),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn lend(&mut self, target: &str, what: What, readonly: bool) {
        let first = |said: &AtomicBool| !said.swap(true, Ordering::Relaxed);
        if readonly && self.shelf.in_place && first(&self.shelf.read_only_was_said) {
            warn!(
                "read-only mounts can be written to, because RUN runs in place; what is written is thrown away"
            );
        }
        self.prepared.lent.push(Lent {
            target: target.to_owned(),
            what,
            readonly: readonly && !self.shelf.in_place,
        });
    }

    /// Shows a file or directory of `tree`: itself where it can be protected, else a copy.
    fn bind(&mut self, tree: &Tree<'_>, source: &str, readonly: bool) -> Result<What, Error> {
        let path = LayerPath::clean(source);
        let found = tree.candidate(&path, &path)?;
        let is_directory = found.stat.is_dir();
        let is_protected = readonly && !self.shelf.in_place;
        if !is_protected {
            let copy = self.staging.copy(tree, &path, self.now)?;
            return Ok(what(copy, is_directory));
        }
        if tree.is_as_it_is() {
            let path = tree.root.path().join(found.path.as_path());
            return Ok(what(path, is_directory));
        }
        // Other owners than on disk, and not all files: a copy for all commands of the build.
        let mut contexts = self.shelf.contexts.lock().expect("nothing panics with it");
        let key = (tree.name.to_owned(), path);
        if let Some(shared) = contexts.get(&key) {
            return Ok(what(shared.path.clone(), shared.is_directory));
        }
        let dir = self.shelf.work_dir.join("lent");
        let dir = dir.join(format!("context-{}", contexts.len()));
        let root = rootfs::Rootfs::create(dir)?.with_id_shift(self.shelf.ids);
        let to = LayerPath::clean("copy");
        copy::replicate(tree, &key.1, &root, &to, self.now)?;
        let copy = root.path().join(to.as_path());
        let shared = Shared {
            path: copy.clone(),
            is_directory,
        };
        contexts.insert(key, shared);
        Ok(what(copy, is_directory))
    }

    /// Finds or makes a cache, and keeps others out as its sharing says as long as the command runs.
    fn cache(&mut self, mount: &RunMount, tree: Option<&Tree<'_>>) -> Result<What, Error> {
        let RunMount::Cache { target, id, .. } = mount else {
            unreachable!("the caller has looked");
        };
        let fail = |dir: &Path, source| Error::Cache {
            id: id.clone(),
            dir: dir.to_owned(),
            source,
        };
        let shelf = self.shelf;
        let key = shelf.caches.join(cache::key(mount, tree));
        if let Some(first) = self.caches.get(&key).cloned() {
            return self.second_view(&key, &first);
        }
        let sharing = cache::sharing(mount);
        let cache = Cache::take(&key, sharing, shelf.interrupt);
        let Cache { slot, lock } = cache.map_err(|error| match error {
            cache::Taken::Interrupted(interrupted) => interrupted.into(),
            cache::Taken::Io(source) => fail(&key, source),
        })?;
        self.prepared._locks.push(lock);
        let content = slot.join(cache::CONTENT);
        let whole = || fs_err::symlink_metadata(&content).is_ok();
        if !whole() {
            let _making = cache::lock_making(&slot).map_err(|source| fail(&slot, source))?;
            // Another stage or build may have been faster.
            if !whole() {
                self.make_cache(mount, tree, &slot)?;
                kept::write_id(&key, id).map_err(|source| fail(&key, source))?;
            }
        }
        self.caches.insert(key, target.clone());
        if shelf.in_place && !content.starts_with(shelf.work_dir) {
            return Ok(What::File(self.staging.link(&content)?));
        }
        Ok(What::Directory(content))
    }

    /// Makes the directory of a cache in its `slot`; it appears there whole.
    fn make_cache(
        &self,
        mount: &RunMount,
        tree: Option<&Tree<'_>>,
        slot: &Path,
    ) -> Result<(), Error> {
        let RunMount::Cache { id, mode, .. } = mount else {
            unreachable!("the caller has looked");
        };
        let root = rootfs::Rootfs::create(slot)?.with_id_shift(self.shelf.ids);
        let new = LayerPath::clean(cache::UNFINISHED);
        // what a killed build left
        root.remove(&new)?;
        if !cache::begin_with(mount, tree, &root, &new, self.now)? {
            let (uid, gid) = cache::owner(mount);
            staging::directory(&root, &new, (*mode, uid, gid), self.now)?;
        }
        fs_err::rename(slot.join(cache::UNFINISHED), slot.join(cache::CONTENT)).map_err(|source| {
            Error::Cache {
                id: id.clone(),
                dir: slot.to_owned(),
                source,
            }
        })
    }

    /// Shows a cache at a second target of the same command.
    fn second_view(&mut self, key: &Path, first: &str) -> Result<What, Error> {
        match self.shelf.in_place {
            // It cannot be at two places.
            true => Ok(What::File(self.staging.link(Path::new(first))?)),
            false => {
                let lent = self.prepared.lent.iter().find(
                    |lent| matches!(&lent.what, What::Directory(path) if path.starts_with(key)),
                );
                Ok(lent.expect("it was lent before").what.clone())
            }
        }
    }
}

fn what(path: PathBuf, is_directory: bool) -> What {
    match is_directory {
        true => What::Directory(path),
        false => What::File(path),
    }
}
