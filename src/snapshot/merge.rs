//! Comparing a root with its baseline, in one walk.

use std::collections::{HashMap, HashSet};
use std::iter::Peekable;

use super::nodes::Nodes;
use super::tree::{Node, Tree, depth_of, read_hash, size_of, xattr_hash};
use super::{Change, Error, Options};
use crate::layer::LayerPath;
use crate::rootfs::walk::Walk;
use crate::rootfs::{ContentHash, FileType, Rootfs, Stat};

/// Finds what differs between `root` and its baseline, and makes the baseline say what was found. Sorted by path.
///
/// Of a missing directory only the topmost is reported. A new name for a file brings the other names along, so that they are one file in
/// the layer too. Sockets are left out with a warning.
///
/// # Errors
/// Those of the walk; the baseline is of no use then.
pub fn changes(
    tree: &mut Tree,
    root: &Rootfs,
    options: &Options<'_>,
) -> Result<Vec<Change>, Error> {
    tree.absorb(root);
    let before = std::mem::take(&mut tree.nodes);
    let mut merge = Merge {
        tree,
        before: before.into_iter().peekable(),
        path: Vec::new(),
        ends: Vec::new(),
        hidden: None,
        xattrs: Vec::new(),
        changes: Vec::new(),
        changed_links: HashSet::new(),
        unchanged_links: HashMap::new(),
    };
    let mut walk = root.walk(&LayerPath::root())?;
    while let Some(found) = walk.next()? {
        let stat = found.stat;
        let depth = found.depth;
        if (options.ignore)(found.path) {
            walk.skip();
            continue;
        }
        let depth = depth_of(depth, walk.path())?;
        merge.step(root, &walk, &stat, depth, options.full)?;
    }
    merge.remove_before(0, b"");
    Ok(merge.finish())
}

struct Merge<'t> {
    /// The baseline, which gets its nodes anew.
    tree: &'t mut Tree,
    /// The nodes it had.
    before: Peekable<<Nodes as IntoIterator>::IntoIter>,
    /// Path of the node that was passed last, and where its components end.
    path: Vec<u8>,
    ends: Vec<usize>,
    /// Nodes deeper than this vanish with what is above them.
    hidden: Option<u16>,
    /// What the baseline shall know of attributes; later, because it is asked by inode until the end.
    xattrs: Vec<(Node, Option<ContentHash>)>,
    changes: Vec<Change>,
    /// Files with several names that are changes, and the names of those that are not.
    changed_links: HashSet<(u64, u64)>,
    unchanged_links: HashMap<(u64, u64), Vec<LayerPath>>,
}

impl Merge<'_> {
    fn step(
        &mut self,
        root: &Rootfs,
        walk: &Walk<'_>,
        stat: &Stat,
        depth: u16,
        full: bool,
    ) -> Result<(), Error> {
        let name_start = walk
            .path()
            .iter()
            .rposition(|b| *b == b'/')
            .map_or(0, |i| i + 1);
        let name = &walk.path()[name_start..];
        let known = self.remove_before(depth, name);
        let Some(mut node) = known else {
            self.warn_of_socket(walk, stat);
            let mut node = self.tree.node(name, depth, stat);
            if stat.kind == FileType::Symlink {
                node.hash = ContentHash::of(&walk.read_link()?).0;
            }
            self.note_xattrs(node, xattr_hash(walk)?);
            self.tree.nodes.push(node);
            self.put(walk, stat);
            return Ok(());
        };
        self.before.next();
        self.pass(&node);
        if node.kind == FileType::Directory && stat.kind != FileType::Directory {
            self.hidden = Some(depth);
        }
        let is_candidate = node.ctime != stat.ctime
            || node.inode != stat.inode
            || !self.tree.is_device(&node, stat.device);
        let is_read = is_candidate || (full && stat.kind == FileType::File);
        if !is_read {
            self.tree.nodes.push(node);
            return Ok(());
        }
        let xattrs = xattr_hash(walk)?;
        let mut differs = is_different(&node, stat) || xattrs != self.tree.xattrs(&node);
        match stat.kind {
            FileType::Symlink => {
                let hash = ContentHash::of(&walk.read_link()?).0;
                differs |= hash != node.hash;
                node.hash = hash;
            }
            // What differs anyway is read when the layer is written.
            FileType::File if differs => node.hash = [0; 16],
            FileType::File => {
                let hash = read_hash(root, walk)?.0;
                differs = hash != node.hash;
                node.hash = hash;
            }
            _ => node.hash = [0; 16],
        }
        let was_socket = node.kind == FileType::Socket;
        self.tree.update(&mut node, stat);
        self.note_xattrs(node, xattrs);
        self.tree.nodes.push(node);
        match (differs, stat.kind) {
            (true, FileType::Socket) if !was_socket => {
                self.warn_of_socket(walk, stat);
                self.changes
                    .push(Change::Remove(LayerPath::clean(walk.path())));
            }
            (true, _) => self.put(walk, stat),
            (false, FileType::File) if stat.links > 1 => {
                let names = self.unchanged_links.entry((stat.device, stat.inode));
                names.or_default().push(LayerPath::clean(walk.path()));
            }
            (false, _) => {}
        }
        Ok(())
    }

    /// Notes what the baseline shall know of attributes, unless it is nothing as before.
    fn note_xattrs(&mut self, node: Node, xattrs: Option<ContentHash>) {
        if xattrs.is_some() || self.tree.xattrs(&node).is_some() {
            self.xattrs.push((node, xattrs));
        }
    }

    /// Passes over the baseline's nodes that come before `name` at `depth`, which are gone, and returns the one that stands there.
    fn remove_before(&mut self, depth: u16, name: &[u8]) -> Option<Node> {
        while let Some(node) = self.before.peek().copied() {
            if self.hidden.is_some_and(|above| node.depth > above) {
                self.before.next();
                continue;
            }
            let there = self.tree.name(&node);
            let is_gone =
                node.depth > depth || (node.depth == depth && (there < name || name.is_empty()));
            if !is_gone {
                return (node.depth == depth && there == name).then_some(node);
            }
            self.pass(&node);
            if node.kind != FileType::Socket {
                self.changes
                    .push(Change::Remove(LayerPath::clean(&self.path)));
            }
            self.hidden = Some(node.depth);
            self.before.next();
        }
        None
    }

    /// Makes `path` that of `node`, whose directory was passed before.
    fn pass(&mut self, node: &Node) {
        self.hidden = None;
        self.ends.truncate(usize::from(node.depth));
        self.path.truncate(self.ends.last().copied().unwrap_or(0));
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(self.tree.name(node));
        self.ends.push(self.path.len());
    }

    fn put(&mut self, walk: &Walk<'_>, stat: &Stat) {
        if stat.kind == FileType::Socket {
            return;
        }
        if stat.links > 1 && stat.kind == FileType::File {
            self.changed_links.insert((stat.device, stat.inode));
        }
        self.changes
            .push(Change::Put(LayerPath::clean(walk.path())));
    }

    fn warn_of_socket(&self, walk: &Walk<'_>, stat: &Stat) {
        if stat.kind == FileType::Socket {
            let path = String::from_utf8_lossy(walk.path());
            tracing::warn!("ignoring socket `/{path}`, which cannot be part of an image");
        }
    }

    fn finish(mut self) -> Vec<Change> {
        for inode in &self.changed_links {
            let names = self.unchanged_links.remove(inode).unwrap_or_default();
            self.changes.extend(names.into_iter().map(Change::Put));
        }
        for (node, hash) in self.xattrs {
            self.tree.set_xattrs(&node, hash);
        }
        self.changes.sort_by(|a, b| a.path().cmp(b.path()));
        self.changes
    }
}

/// Tells whether something differs that can be told without reading.
fn is_different(node: &Node, stat: &Stat) -> bool {
    let is_link = stat.kind == FileType::Symlink;
    node.kind != stat.kind
        || (node.uid, node.gid) != (stat.uid, stat.gid)
        || (!is_link && u32::from(node.mode) != stat.mode)
        || node.size != size_of(stat)
        || (stat.kind != FileType::Directory && node.mtime() != stat.mtime)
}
