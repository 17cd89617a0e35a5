//! The mounts of one command while they are made.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use super::super::run::{Lent, What};
use super::super::{Tree, copy};
use super::cache::Wanted;
use super::staging::Staging;
use super::{Error, Prepared, Shared, Shelf};
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::{RunMount, RunStep};
use crate::rootfs;

/// What a step's mounts are made with.
pub(super) struct Work<'s> {
    pub(super) shelf: &'s Shelf<'s>,
    pub(super) staging: Staging,
    pub(super) prepared: Prepared,
    /// Caches of this step, with the target where each appeared first.
    pub(super) caches: BTreeMap<PathBuf, String>,
    pub(super) now: Time,
}

impl Work<'_> {
    /// Makes one mount ready; `tree` is where it takes files from, if anywhere.
    pub(super) fn prepare(
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
                target,
                id,
                from: _,
                source,
                sharing,
                readonly,
                access,
            } => {
                let wanted = Wanted {
                    id,
                    target,
                    source: source.as_deref(),
                    sharing: *sharing,
                    access: *access,
                };
                let what = self.cache(&wanted, tree)?;
                self.lend(target, what, *readonly);
            }
            RunMount::Tmpfs {
                target,
                size,
                readonly,
            } => {
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
                self.lend(target, what, *readonly);
            }
            RunMount::Secret {
                id,
                target,
                env,
                required,
                access,
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
                    let file = self.staging.secret(value, *access, self.now)?;
                    self.lend(target, What::File(file), !shelf.in_place);
                }
            }
            RunMount::Ssh {
                id,
                target,
                required,
                access,
            } => {
                let forwarding = self.staging.socket(*access, |place| {
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
}

fn what(path: PathBuf, is_directory: bool) -> What {
    match is_directory {
        true => What::Directory(path),
        false => What::File(path),
    }
}
