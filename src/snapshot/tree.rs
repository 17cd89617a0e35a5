//! What a root looked like, in about a hundred bytes per file.

use std::collections::{BTreeMap, HashMap};

use super::nodes::Nodes;
use super::{Error, Options};
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::rootfs::content::Hasher;
use crate::rootfs::walk::Walk;
use crate::rootfs::{ContentHash, FileType, Rootfs, Stat};

/// A baseline: every file of a root, directories before their content, names in byte order.
#[derive(Debug, Default, Clone)]
pub struct Tree {
    pub(super) nodes: Nodes,
    /// All names, one after the other.
    names: Vec<u8>,
    devices: Vec<u64>,
    /// Hashes of extended attributes, of the few inodes that have any.
    xattrs: HashMap<(u16, u64), ContentHash>,
}

/// One file. Where it stands follows from its depth and what comes before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub inode: u64,
    /// Size of a file, numbers of a device.
    pub size: u64,
    pub mtime_seconds: i64,
    pub ctime: i64,
    /// Of a file's content or a link's target; all zero while it is not known.
    pub hash: [u8; 16],
    name: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime_nanoseconds: u32,
    pub mode: u16,
    pub depth: u16,
    pub device: u16,
    name_length: u8,
    pub kind: FileType,
}

/// A file that was renamed from outside between two looks, which moves its ctime and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    pub inode: u64,
    pub ctime_before: i64,
    pub ctime_after: i64,
}

/// Looks at all of `root`. Content is read only where it did not pass through the root.
pub fn scan(root: &Rootfs, options: &Options<'_>) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    let mut walk = root.walk(&LayerPath::root())?;
    while let Some(found) = walk.next()? {
        let (stat, depth) = (found.stat, found.depth);
        let name = found.name.to_vec();
        if (options.ignore)(walk.path()) {
            walk.skip();
            continue;
        }
        let depth = depth_of(depth, walk.path())?;
        let mut node = tree.node(&name, depth, &stat);
        let hash = match stat.kind {
            FileType::File => match root.content_hash(stat.inode, stat.ctime) {
                Some(hash) => Some(hash),
                None => Some(read_hash(root, &walk)?),
            },
            FileType::Symlink => Some(ContentHash::of(&walk.read_link()?)),
            _ => None,
        };
        node.hash = hash.map_or([0; 16], |hash| hash.0);
        tree.set_xattrs(&node, xattr_hash(&walk)?);
        tree.nodes.push(node);
        if stat.links == 1 {
            root.forget_content_of(stat.inode);
        }
    }
    root.forget_content();
    Ok(tree)
}

/// Hashes the content of the file that the walk found last.
pub(super) fn read_hash(root: &Rootfs, walk: &Walk<'_>) -> Result<ContentHash, Error> {
    let mut file = walk.open_file()?;
    let hash = Hasher::read(&mut file).map_err(|source| Error::Read {
        path: LayerPath::clean(walk.path()),
        source,
    })?;
    root.remember_content(&file, hash);
    Ok(hash)
}

/// Hashes the extended attributes of the file that the walk found last; `None` if there are none.
pub(super) fn xattr_hash(walk: &Walk<'_>) -> Result<Option<ContentHash>, Error> {
    Ok(hash_xattrs(&walk.xattrs()?))
}

pub(super) fn hash_xattrs(xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<ContentHash> {
    let mut hasher = Hasher::default();
    for part in xattrs.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    (!xattrs.is_empty()).then(|| hasher.finish())
}

pub(super) fn depth_of(depth: usize, path: &[u8]) -> Result<u16, Error> {
    u16::try_from(depth).map_err(|_| Error::TooDeep {
        path: LayerPath::clean(path),
    })
}

impl Tree {
    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Returns the latest ctime of any file, in nanoseconds since 1970.
    pub fn newest_ctime(&self) -> i64 {
        self.nodes
            .iter()
            .map(|node| node.ctime)
            .max()
            .unwrap_or(i64::MIN)
    }

    /// Accepts new ctimes for files that were only moved to another place and back. A file whose ctime is not `ctime_before`
    /// was changed by something else and stays a candidate.
    pub fn moved(&mut self, root: &Rootfs, files: &[Moved]) {
        self.absorb(root);
        self.move_ctimes(files);
    }

    fn move_ctimes(&mut self, files: &[Moved]) {
        let mut by_inode: HashMap<u64, Vec<&Moved>> = HashMap::new();
        for moved in files {
            by_inode.entry(moved.inode).or_default().push(moved);
        }
        for node in self.nodes.iter_mut().filter(|_| !files.is_empty()) {
            for moved in by_inode.get(&node.inode).into_iter().flatten() {
                if moved.ctime_before == node.ctime {
                    node.ctime = moved.ctime_after;
                }
            }
        }
    }

    /// Takes over the hashes of files that passed through the root since they were looked at.
    pub(super) fn absorb(&mut self, root: &Rootfs) {
        let own = root
            .take_moved()
            .into_iter()
            .map(|(inode, before, after)| Moved {
                inode,
                ctime_before: before,
                ctime_after: after,
            });
        self.move_ctimes(&own.collect::<Vec<_>>());
        for node in self.nodes.iter_mut() {
            if node.hash == [0; 16]
                && node.kind == FileType::File
                && let Some(hash) = root.content_hash(node.inode, node.ctime)
            {
                node.hash = hash.0;
            }
        }
        root.forget_content();
    }

    /// Makes a node, without hash, and remembers its name.
    pub(super) fn node(&mut self, name: &[u8], depth: u16, stat: &Stat) -> Node {
        let start =
            u32::try_from(self.names.len()).expect("names of 4 GiB do not fit a disk's inodes");
        self.names.extend_from_slice(name);
        let mut node = Node {
            inode: stat.inode,
            size: 0,
            mtime_seconds: 0,
            ctime: 0,
            hash: [0; 16],
            name: start,
            uid: 0,
            gid: 0,
            mtime_nanoseconds: 0,
            mode: 0,
            depth,
            device: 0,
            name_length: u8::try_from(name.len()).expect("Linux has names of up to 255 bytes"),
            kind: stat.kind,
        };
        self.update(&mut node, stat);
        node
    }

    /// Makes `node` say what `stat` says; its hash stays.
    pub(super) fn update(&mut self, node: &mut Node, stat: &Stat) {
        let device = self
            .devices
            .iter()
            .position(|device| *device == stat.device);
        let device = device.unwrap_or_else(|| {
            self.devices.push(stat.device);
            self.devices.len() - 1
        });
        *node = Node {
            inode: stat.inode,
            size: size_of(stat),
            mtime_seconds: stat.mtime.seconds,
            mtime_nanoseconds: stat.mtime.nanoseconds,
            ctime: stat.ctime,
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode as u16,
            device: device as u16,
            kind: stat.kind,
            ..*node
        };
    }

    pub(super) fn name(&self, node: &Node) -> &[u8] {
        &self.names[node.name as usize..node.name as usize + usize::from(node.name_length)]
    }

    pub(super) fn is_device(&self, node: &Node, device: u64) -> bool {
        self.devices.get(usize::from(node.device)) == Some(&device)
    }

    pub(super) fn xattrs(&self, node: &Node) -> Option<ContentHash> {
        self.xattrs.get(&(node.device, node.inode)).copied()
    }

    pub(super) fn set_xattrs(&mut self, node: &Node, hash: Option<ContentHash>) {
        let key = (node.device, node.inode);
        match hash {
            Some(hash) => drop(self.xattrs.insert(key, hash)),
            None => drop(self.xattrs.remove(&key)),
        }
    }
}

impl Node {
    pub fn mtime(&self) -> Time {
        Time {
            seconds: self.mtime_seconds,
            nanoseconds: self.mtime_nanoseconds,
        }
    }
}

/// Returns what a node keeps as size: a directory's own is the file system's affair.
pub(super) fn size_of(stat: &Stat) -> u64 {
    match stat.kind {
        FileType::File => stat.size,
        FileType::CharDevice | FileType::BlockDevice => {
            u64::from(stat.rdev.0) << 32 | u64::from(stat.rdev.1)
        }
        _ => 0,
    }
}
