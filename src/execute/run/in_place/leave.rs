//! Moving the image's files, as the command left them, out of the root and back into the private root.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::container::{Container, Failure};
use super::dir;
use super::enter::Moved;
use super::found::{self, Found};
use super::journal::Header;
use super::warning::Warning;
use crate::layer::LayerPath;

/// Where a directory of the container waits until its place is free.
const DISPLACED: &str = "displaced";
/// The same for directories of the private root.
const DISPLACED_IMAGE: &str = "displaced-image";

/// What came of moving the image's files out.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// Files whose time of change moved only because they were renamed.
    pub(super) refreshed: Vec<LayerPath>,
    pub(super) warnings: Vec<Warning>,
    /// What of the image did not get where it belongs.
    pub(super) failures: Vec<Failure>,
}

/// Moves everything that is not the container's from the root into the private root. Goes on after a failure.
pub(super) fn move_out(
    container: &Container,
    header: &Header,
    private: impl AsFd,
    moved: &[Moved],
) -> Out {
    let mut out = Out::default();
    let root = LayerPath::root();
    if let Err(source) = container.reclaim_work() {
        out.failures
            .push(Failure::new(&container.work_path, source));
    }
    let found = match found::find(container, header) {
        Ok(found) => found,
        Err(source) => {
            out.failures.push(Failure::new(&root, source));
            return out;
        }
    };
    if let Err(failure) = align(container, header, &found, &private) {
        out.failures.push(failure);
    }
    let untouched: Vec<&LayerPath> = moved
        .iter()
        .filter(|moved| {
            let seen = dir::look(&container.root, &moved.path).ok().flatten();
            seen.is_some_and(|s| (s.identity, s.ctime) == (moved.identity, moved.ctime))
        })
        .map(|moved| &moved.path)
        .collect();
    for path in found.pinned.keys() {
        if let Err(source) = empty(container, &found, path, &private, &mut out) {
            out.failures.push(Failure::new(path, source));
        }
    }
    for (path, pinned) in found.pinned.iter().rev() {
        container.step("hand a directory's metadata to the image's");
        let written = dir::find(&private, path)
            .and_then(|dir| dir.map_or(Ok(()), |dir| pinned.metadata.write(dir)));
        if let Err(source) = written {
            out.failures.push(Failure::new(path, source));
        }
    }
    if let Err(failure) = put_container_dirs_back(container, header, &found) {
        out.failures.push(failure);
    }
    out.refreshed = untouched
        .into_iter()
        .filter(|path| matches!(dir::look(&private, path), Ok(Some(_))))
        .cloned()
        .collect();
    out
}

/// Renames in the private root what the command renamed while its content was in the container's directories.
fn align(
    container: &Container,
    header: &Header,
    found: &Found,
    private: impl AsFd,
) -> Result<(), Failure> {
    let mut waiting = BTreeMap::new();
    let mut displaced = found.displaced();
    displaced.sort_by(|one, other| other.0.cmp(one.0));
    for (origin, path) in displaced {
        let fail = |source| Failure::new(origin, source);
        if let Some((parent, name)) = parent_of(&private, origin).map_err(fail)?
            && dir::look_at(&parent, name)
                .map_err(fail)?
                .is_some_and(dir::Seen::is_dir)
        {
            container.step("take a renamed directory of the image");
            let taken = container.pile_up(DISPLACED_IMAGE, parent, name);
            waiting.insert(path, taken.map_err(fail)?);
        }
    }
    for pinned in header.pinned.iter().rev() {
        if !found.pinned.contains_key(&pinned.path) {
            container.step("remove a directory of the image");
            let removed = dir::remove_if_empty(&private, &pinned.path);
            removed.map_err(|source| Failure::new(&pinned.path, source))?;
        }
    }
    for (path, pinned) in &found.pinned {
        if pinned.origin.as_ref() == Some(path) {
            continue;
        }
        let fail = |source| Failure::new(path, source);
        let Some(name) = path.file_name() else {
            continue;
        };
        container.step("make a directory of the image");
        let parent = dir::create(&private, &path.parent().unwrap_or_default()).map_err(fail)?;
        match waiting.remove(path) {
            Some((pile, number)) => {
                make_room(container, &parent, name).map_err(fail)?;
                let placed = dir::rename_as(pile, number.as_bytes(), parent, name);
                placed.map_err(|errno| Failure::new(path, errno))?;
            }
            None => drop(dir::create(parent, &LayerPath::clean(name)).map_err(fail)?),
        }
    }
    dir::remove_if_empty(&container.work, &LayerPath::clean(DISPLACED_IMAGE))
        .map(drop)
        .map_err(|source| Failure::new(&LayerPath::root(), source))
}

/// Moves the image's entries of one directory to the directory of that path in the private root.
fn empty(
    container: &Container,
    found: &Found,
    path: &LayerPath,
    private: impl AsFd,
    out: &mut Out,
) -> io::Result<()> {
    let from = dir::open(&container.root, path)?;
    let mut names = dir::names(&from)?;
    names.retain(|name| {
        let child = path.join(name);
        !found.kept.contains(&child) && !found.pinned.contains_key(&child)
    });
    if names.is_empty() {
        return Ok(());
    }
    container.step("make a directory for what the command wrote");
    let to = match dir::create(&private, path) {
        Ok(to) => to,
        Err(error) if dir::is_absent(&error) => {
            for name in names {
                container.clear_way(&from, &name)?;
                let path = path.join(name);
                out.warnings.push(Warning::Lost { path });
            }
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for name in names {
        container.step("move out");
        let result = match dir::rename(&from, &name, &to) {
            Err(Errno::EXIST) => {
                make_room(container, &to, &name)?;
                dir::rename(&from, &name, &to)
            }
            result => result,
        };
        if let Err(errno) = result {
            out.failures.push(Failure::new(&path.join(&name), errno));
            // What stays in the container's way would be worse than what the image lacks.
            container.clear_way(&from, &name)?;
        }
    }
    Ok(())
}

/// Moves the container's own directories back to where they were, in two steps, since one may be in another's place.
fn put_container_dirs_back(
    container: &Container,
    header: &Header,
    found: &Found,
) -> Result<(), Failure> {
    let mut displaced = found.displaced();
    displaced.sort_by(|one, other| other.1.cmp(one.1));
    for (origin, path) in displaced {
        let fail = |source| Failure::new(origin, source);
        if let Some((parent, name)) = parent_of(&container.root, path).map_err(fail)? {
            container.step("take a renamed directory");
            container.pile_up(DISPLACED, parent, name).map_err(fail)?;
        }
    }
    for (path, pinned) in found.pinned.iter().rev() {
        if pinned.origin.is_none() {
            container.step("remove a directory that the command made");
            match dir::remove_if_empty(&container.root, path) {
                Ok(true) => {}
                Ok(false) => return Err(Failure::new(path, Errno::NOTEMPTY)),
                Err(source) => return Err(Failure::new(path, source)),
            }
        }
    }
    place_displaced(container, header)
}

/// Puts each waiting directory where the journal says it was, parents first.
fn place_displaced(container: &Container, header: &Header) -> Result<(), Failure> {
    let fail = |source| Failure::new(&LayerPath::root(), source);
    let Some(pile) = dir::find(&container.work, &LayerPath::clean(DISPLACED)).map_err(fail)? else {
        return Ok(());
    };
    let mut waiting = BTreeMap::new();
    for number in dir::names(&pile).map_err(fail)? {
        let identity = dir::look_at(&pile, &number)
            .map_err(fail)?
            .map(|seen| seen.identity);
        let pinned = header.pinned.iter().find(|p| Some(p.identity) == identity);
        let pinned = pinned.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
        waiting.insert(&pinned.path, number);
    }
    for (path, number) in waiting {
        let fail = |source| Failure::new(path, source);
        let Some(name) = path.file_name() else {
            continue;
        };
        container.step("put a directory in its place");
        let parent = dir::create(&container.root, &path.parent().unwrap_or_default());
        let parent = parent.map_err(fail)?;
        make_room(container, &parent, name).map_err(fail)?;
        let placed = dir::rename_as(&pile, &number, parent, name);
        placed.map_err(|errno| Failure::new(path, errno))?;
    }
    dir::remove_if_empty(&container.work, &LayerPath::clean(DISPLACED))
        .map(drop)
        .map_err(fail)
}

/// Frees a name: an empty directory goes, anything else is moved out of the way.
fn make_room(container: &Container, parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match dir::remove(&parent, name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(_) => Ok(container.clear_way(parent, name)?),
    }
}

/// Opens the directory that holds `path`, if it is there, and returns it with the last component.
fn parent_of(base: impl AsFd, path: &LayerPath) -> io::Result<Option<(OwnedFd, &[u8])>> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    Ok(dir::find(base, &parent)?.map(|parent| (parent, name)))
}
