//! Writing changes as a layer.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};

use super::{Change, Error};
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath, Writer};
use crate::rootfs::Rootfs;
use crate::rootfs::content::Hasher;

/// What a layer got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Files, directories, links and devices.
    pub entries: u64,
    pub whiteouts: u64,
    /// Bytes in files.
    pub size: u64,
}

/// Writes `changes` and the directories above them into `layer`, sorted by path, with the state that `root` has now.
///
/// The first of a file's names in the layer is the file, the others are hard links to it. No time is later than `clamp`, in seconds since
/// 1970. The root itself has no entry.
///
/// # Errors
/// [`layer::Error::ReservedName`](crate::layer::Error::ReservedName) for a file whose name would be read as a whiteout.
pub fn write<W: Write>(
    changes: &[Change],
    root: &Rootfs,
    layer: &mut Writer<W>,
    clamp: Option<i64>,
) -> Result<Written, Error> {
    let mut written = Written::default();
    let mut first_names: HashMap<(u64, u64), LayerPath> = HashMap::new();
    for (path, is_removed) in with_parents(changes) {
        if is_removed {
            layer.append_whiteout(&path)?;
            written.whiteouts += 1;
            continue;
        }
        let Some(stat) = root.stat(&path)? else {
            continue;
        };
        let Some(mut entry) = root.entry_of(&path, &stat)? else {
            continue;
        };
        entry.mtime = clamped(entry.mtime, clamp);
        written.entries += 1;
        if stat.links > 1 && !stat.is_dir() {
            match first_names.get(&(stat.device, stat.inode)) {
                Some(target) => {
                    let target = target.clone();
                    entry.kind = Kind::HardLink { target };
                    entry.xattrs.clear();
                    layer.append(&entry, &mut io::empty())?;
                    continue;
                }
                None => drop(first_names.insert((stat.device, stat.inode), path.clone())),
            }
        }
        written.size += append(root, layer, &entry)?;
    }
    Ok(written)
}

/// Writes one entry with its content; returns the size of that.
fn append<W: Write>(root: &Rootfs, layer: &mut Writer<W>, entry: &Entry) -> Result<u64, Error> {
    let Kind::File { size } = entry.kind else {
        layer.append(entry, &mut io::empty())?;
        return Ok(0);
    };
    let mut content = Hashed {
        file: root.open_file(&entry.path)?,
        hasher: Hasher::default(),
    };
    layer.append(entry, &mut content)?;
    root.remember_content(&content.file, content.hasher.finish());
    Ok(size)
}

/// Passes on what it reads and hashes it.
struct Hashed {
    file: std::fs::File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Adds the directories above, and says of each path whether it is gone.
fn with_parents(changes: &[Change]) -> BTreeMap<LayerPath, bool> {
    let mut paths = BTreeMap::new();
    for change in changes {
        let mut above = change.path().parent();
        while let Some(dir) = above.filter(|dir| !paths.contains_key(dir)) {
            above = dir.parent();
            paths.insert(dir, false);
        }
        let is_removed = matches!(change, Change::Remove(_));
        paths.insert(change.path().clone(), is_removed);
    }
    paths.remove(&LayerPath::root());
    paths
}

fn clamped(time: Time, clamp: Option<i64>) -> Time {
    let seconds = clamp.map_or(time.seconds, |clamp| time.seconds.min(clamp));
    Time::from_seconds(seconds)
}
