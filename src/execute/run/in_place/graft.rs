//! RUN mounts in place: what a command is to find at a path is renamed there from the work directory, and back.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{self, Mode};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::container::Container;
use super::dir::{self, Identity};
use super::journal::path_as_text;
use super::metadata::Metadata;
use super::search::{Next, search};
use crate::layer::LayerPath;

/// Where that is which was at a target before, by the graft's number.
const UNDER: &str = "under";

/// A directory or file of the work directory that is lent to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Graft {
    /// Below the work directory.
    #[serde(with = "path_as_text")]
    pub(super) home: LayerPath,
    #[serde(with = "path_as_text")]
    pub(super) target: LayerPath,
    pub(super) identity: Identity,
}

/// What was made for a graft, to be removed after it.
#[derive(Debug)]
pub(super) struct Stubs {
    /// Directories, outermost first.
    made: Vec<LayerPath>,
    /// The directory in which something was made, what it was before, and what our own change has made of it.
    host: Option<(LayerPath, Metadata, Metadata)>,
}

impl Graft {
    /// Looks up what is to be lent.
    pub(super) fn find(
        container: &Container,
        home: &LayerPath,
        target: &LayerPath,
    ) -> io::Result<Self> {
        let seen = dir::look(&container.work, home)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            home: home.clone(),
            target: target.clone(),
            identity: seen.identity,
        })
    }

    /// Renames it to its target in the root. Missing directories are made, root's and 0755; no link is followed.
    pub(super) fn place(&self, container: &Container, number: usize) -> io::Result<Stubs> {
        let (parent, name) = split(&self.target)?;
        let mut made = Vec::new();
        let mut host = None;
        let mut path = LayerPath::root();
        let mut handle = dir::open(&container.root, &path)?;
        for component in parent.components() {
            let below = path.join(component);
            if dir::look_at(&handle, component)?.is_none() {
                if host.is_none() {
                    host = Some((path.clone(), Metadata::read(&handle)?));
                }
                container.step("make a directory for a mount");
                fs::mkdirat(&handle, component, Mode::from_raw_mode(0o755))?;
                made.push(below.clone());
            }
            handle = dir::open(&handle, &LayerPath::clean(component))?;
            path = below;
        }
        if host.is_none() {
            host = Some((path, Metadata::read(&handle)?));
        }
        if dir::look_at(&handle, name)?.is_some() {
            container.step("take what is under a mount");
            let under = container.work_dir(UNDER)?;
            dir::rename_as(&handle, name, under, number.to_string().as_bytes())?;
        }
        container.step("place a mount");
        let (home, home_name) = self.home(container)?;
        dir::rename_as(home, home_name, &handle, name)?;
        let host = host.map(|(path, before)| {
            let after = dir::open(&container.root, &path).and_then(Metadata::read);
            after.map(|after| (path, before, after))
        });
        let host = host.transpose()?;
        Ok(Stubs { made, host })
    }

    /// Renames it back to where it belongs, wherever the command has left it, and removes the stubs that are still empty.
    /// Meant to be repeated.
    pub(super) fn take_back(
        &self,
        container: &Container,
        number: usize,
        stubs: Option<&Stubs>,
    ) -> io::Result<()> {
        let host = stubs.and_then(|stubs| stubs.host.as_ref());
        let host = host.filter(|(path, _, after)| {
            let now = dir::open(&container.root, path).and_then(Metadata::read);
            now.is_ok_and(|now| now == *after)
        });
        let (home, home_name) = self.home(container)?;
        let is_it = |seen: dir::Seen| seen.identity == self.identity;
        if !dir::look_at(&home, home_name)?.is_some_and(is_it) {
            let at_target = dir::look(&container.root, &self.target)?.is_some_and(is_it);
            let found = match at_target {
                true => Some(self.target.clone()),
                false => self.search(container)?,
            };
            // A command may also have removed it.
            if let Some(found) = found {
                let (parent, name) = split(&found)?;
                container.step("take a mount back");
                let parent = dir::open(&container.root, &parent)?;
                dir::rename_as(parent, name, home, home_name)?;
            }
        }
        let (parent, name) = split(&self.target)?;
        let under = container.work_dir(UNDER)?;
        let number = number.to_string();
        if dir::look_at(&under, number.as_bytes())?.is_some()
            && let Some(parent) = dir::find(&container.root, &parent)?
        {
            container.step("uncover what was under a mount");
            match dir::rename_as(&under, number.as_bytes(), parent, name) {
                // The command made something else of that name, so that is the image's.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let made = stubs.map_or(&[][..], |stubs| &stubs.made);
        for path in made.iter().rev() {
            dir::remove_if_empty(&container.root, path)?;
        }
        if let Some((path, before, _)) = host {
            before.write(dir::open(&container.root, path)?)?;
        }
        Ok(())
    }

    fn home(&self, container: &Container) -> io::Result<(OwnedFd, &[u8])> {
        let (parent, name) = split(&self.home)?;
        Ok((dir::create(&container.work, &parent)?, name))
    }

    /// Looks for it on the root's filesystem, the work directory left out.
    fn search(&self, container: &Container) -> io::Result<Option<LayerPath>> {
        search(&container.root, |path, seen| {
            if seen.identity == self.identity {
                return Next::Found;
            }
            let is_here = seen.identity.0 == self.identity.0;
            match is_here && path != container.work_path.as_bytes() {
                true => Next::Into,
                false => Next::Past,
            }
        })
    }
}

fn split(path: &LayerPath) -> io::Result<(LayerPath, &[u8])> {
    let parts = path.parent().zip(path.file_name());
    parts.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
