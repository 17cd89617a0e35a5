//! Where the container's own things are after a command, which may have renamed anything.
//!
//! What is mounted in a directory rides along with it. So nothing is taken to be where it was: directories are known by device
//! and inode, mounts by number.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;

use super::container::Container;
use super::journal::Header;
use super::metadata::Metadata;
use super::search::{Next, search};
use super::{dir, namespace};
use crate::layer::LayerPath;

/// The root as the command left it.
pub(super) struct Found {
    /// What stays, at its present path.
    pub(super) kept: BTreeSet<LayerPath>,
    /// The directories that hold it or are the container's own, at their present paths.
    pub(super) pinned: BTreeMap<LayerPath, Pinned>,
}

pub(super) struct Pinned {
    pub(super) metadata: Metadata,
    /// Its path before the command, if the directory is the container's.
    pub(super) origin: Option<LayerPath>,
}

impl Found {
    /// Returns the container's directories that are not where they belong: their place, where they are.
    pub(super) fn displaced(&self) -> Vec<(&LayerPath, &LayerPath)> {
        let own = self.pinned.iter().filter_map(|(path, pinned)| {
            let origin = pinned.origin.as_ref()?;
            (origin != path).then_some((origin, path))
        });
        own.collect()
    }
}

/// Finds where the things that stay are now.
pub(super) fn find(container: &Container, header: &Header) -> io::Result<Found> {
    let mounts = container.mounts()?;
    let numbered = namespace()? == header.namespace;
    let mut kept = BTreeSet::new();
    for stays in &header.kept {
        let mount = mounts
            .iter()
            .find(|m| numbered && Some(m.id) == stays.mount);
        let path = mount.map_or(&stays.path, |mount| &mount.path);
        // What an interrupted process had put into the work directory is not the command's doing.
        if path == &container.work_path || !path.starts_with(&container.work_path) {
            kept.insert(path.clone());
        }
    }
    let in_place: BTreeSet<LayerPath> = header
        .kept
        .iter()
        .filter(|stays| kept.contains(&stays.path))
        .flat_map(|stays| stays.path.ancestors())
        .collect();
    let own: BTreeMap<dir::Identity, &LayerPath> = header
        .pinned
        .iter()
        .map(|p| (p.identity, &p.path))
        .collect();

    let mut paths: BTreeSet<LayerPath> = kept.iter().flat_map(LayerPath::ancestors).collect();
    paths.insert(LayerPath::root());
    let mut pinned: BTreeMap<LayerPath, Pinned> = BTreeMap::new();
    let mut searched = false;
    loop {
        while let Some(path) = paths.pop_first() {
            let Some(handle) = dir::find(&container.root, &path)? else {
                continue;
            };
            for (child, identity) in child_dirs(&handle, &path)? {
                if own.contains_key(&identity) && !kept.contains(&child) {
                    paths.insert(child);
                }
            }
            let identity = dir::look_at(&handle, b".")?.map(|seen| seen.identity);
            let origin = identity.and_then(|identity| own.get(&identity).copied());
            let origin = origin.or(in_place.get(&path)).cloned();
            let metadata = Metadata::read(&handle)?;
            pinned.insert(path, Pinned { metadata, origin });
        }
        let found: BTreeSet<_> = pinned.values().filter_map(|p| p.origin.as_ref()).collect();
        if searched || header.pinned.iter().all(|p| found.contains(&p.path)) {
            break;
        }
        searched = true;
        look_everywhere(container, &own, &kept, &mut paths)?;
        paths.retain(|path| !pinned.contains_key(path));
    }
    // What stays without being mounted went with the directory it is in.
    let now: BTreeMap<_, _> = pinned
        .iter()
        .filter_map(|(path, p)| Some((p.origin.as_ref()?, path)))
        .collect();
    for stays in header.kept.iter().filter(|stays| stays.mount.is_none()) {
        if let Some(parent) = stays.path.parent()
            && let Some(name) = stays.path.file_name()
            && let Some(now) = now.get(&parent)
        {
            kept.remove(&stays.path);
            kept.insert(now.join(name));
        }
    }
    Ok(Found { kept, pinned })
}

/// Returns the directories in a directory, each with what identifies it.
fn child_dirs(handle: impl AsFd, path: &LayerPath) -> io::Result<Vec<(LayerPath, dir::Identity)>> {
    let mut children = Vec::new();
    for name in dir::names(&handle)? {
        let seen = dir::look_at(&handle, &name)?;
        if let Some(seen) = seen.filter(|seen| seen.is_dir()) {
            children.push((path.join(name), seen.identity));
        }
    }
    Ok(children)
}

/// Looks for directories of the container anywhere, and collects them with those above them.
fn look_everywhere(
    container: &Container,
    own: &BTreeMap<dir::Identity, &LayerPath>,
    kept: &BTreeSet<LayerPath>,
    found: &mut BTreeSet<LayerPath>,
) -> io::Result<()> {
    search(&container.root, |path, seen| {
        if !seen.is_dir() || kept.iter().any(|kept| kept.as_bytes() == path) {
            return Next::Past;
        }
        if own.contains_key(&seen.identity) {
            let path = LayerPath::clean(path);
            found.extend(path.ancestors());
            found.insert(path);
        }
        Next::Into
    })?;
    Ok(())
}
