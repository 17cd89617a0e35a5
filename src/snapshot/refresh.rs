//! Bringing a baseline up to date for an instruction that knows what it touched.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::tree::{Tree, depth_of};
use super::{Error, Options, Resolved};
use crate::layer::{Kind, LayerPath};
use crate::rootfs::content::Hasher;
use crate::rootfs::{ContentHash, Nearby, Rootfs, Stat};

impl Tree {
    /// Makes the baseline say what is at `paths` and in the directories above them now; each path counts by itself, not what is below it,
    /// unless it is gone.
    ///
    /// # Errors
    /// Those of looking at the files; after others the baseline is of no use.
    pub fn refresh(
        &mut self,
        root: &Rootfs,
        paths: &[LayerPath],
        options: &Options<'_>,
    ) -> Result<(), Error> {
        if paths.is_empty() {
            self.absorb(root);
            return Ok(());
        }
        let found = look(root, paths, options)?;
        let mut listed = found.iter().peekable();
        // What lies deeper than this went with its directory.
        let mut hidden: Option<u16> = None;
        let mut path = Vec::new();
        let mut ends: Vec<usize> = Vec::new();
        for mut node in std::mem::take(&mut self.nodes) {
            if hidden.is_some_and(|above| node.depth > above) {
                continue;
            }
            hidden = None;
            ends.truncate(node.depth.into());
            path.truncate(ends.last().copied().unwrap_or(0));
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(self.name(&node));
            ends.push(path.len());
            while let Some((other, seen)) =
                listed.next_if(|(other, _)| order(other.as_bytes(), &path).is_lt())
            {
                self.insert(other, seen.as_ref())?;
            }
            let Some((_, seen)) = listed.next_if(|(other, _)| other.as_bytes() == path) else {
                self.nodes.push(node);
                continue;
            };
            match seen {
                None => hidden = Some(node.depth),
                Some(seen) => {
                    if !seen.stat.is_dir() {
                        hidden = Some(node.depth);
                    }
                    self.update(&mut node, &seen.stat);
                    node.hash = seen.hash;
                    self.set_xattrs(&node, seen.xattrs);
                    self.nodes.push(node);
                }
            }
        }
        for (other, seen) in listed {
            self.insert(other, seen.as_ref())?;
        }
        self.absorb(root);
        Ok(())
    }

    fn insert(&mut self, path: &LayerPath, seen: Option<&Seen>) -> Result<(), Error> {
        let (Some(seen), Some(name)) = (seen, path.file_name()) else {
            return Ok(());
        };
        let depth = depth_of(path.components().count() - 1, path.as_bytes())?;
        let mut node = self.node(name, depth, &seen.stat);
        node.hash = seen.hash;
        self.set_xattrs(&node, seen.xattrs);
        self.nodes.push(node);
        Ok(())
    }
}

struct Seen {
    stat: Stat,
    hash: [u8; 16],
    xattrs: Option<ContentHash>,
}

/// Looks at `paths` and the directories above them.
fn look(
    root: &Rootfs,
    paths: &[LayerPath],
    options: &Options<'_>,
) -> Result<BTreeMap<LayerPath, Option<Seen>>, Error> {
    let mut found = BTreeMap::new();
    let mut files = root.nearby();
    let mut names = Resolved::new(root);
    for path in paths {
        let mut next = Some(names.resolve_parent(path)?);
        // What was looked at before, was so with all above it.
        while let Some(path) = next.filter(|path| !path.is_root() && !found.contains_key(path)) {
            next = path.parent();
            if !is_ignored(&path, options) {
                let seen = see(root, &mut files, &path)?;
                found.insert(path, seen);
            }
        }
    }
    Ok(found)
}

fn see(root: &Rootfs, files: &mut Nearby<'_>, path: &LayerPath) -> Result<Option<Seen>, Error> {
    let Some((entry, stat)) = files.entry(path)? else {
        // A socket has nothing to compare but its stat.
        let stat = files.stat(path)?;
        return Ok(stat.map(|stat| Seen {
            stat,
            hash: [0; 16],
            xattrs: None,
        }));
    };
    let hash = match &entry.kind {
        Kind::File { .. } => Some(match root.content_hash(stat.inode, stat.ctime) {
            Some(hash) => hash,
            None => {
                let read = Hasher::read(&mut files.open_file(path)?);
                read.map_err(|source| Error::Read {
                    path: path.clone(),
                    source,
                })?
            }
        }),
        Kind::Symlink { target } => Some(ContentHash::of(target)),
        _ => None,
    };
    Ok(Some(Seen {
        stat,
        hash: hash.map_or([0; 16], |hash| hash.0),
        xattrs: super::tree::hash_xattrs(&entry.xattrs),
    }))
}

fn is_ignored(path: &LayerPath, options: &Options<'_>) -> bool {
    let mut above = path.ancestors();
    above.push(path.clone());
    above.iter().any(|path| (options.ignore)(path.as_bytes()))
}

/// Compares paths component by component.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let key = |b: &u8| if *b == b'/' { 0 } else { *b };
    a.iter().map(key).cmp(b.iter().map(key))
}
