//! Writing changes as a layer.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};

use super::{Change, Error};
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath, Writer};
use crate::rootfs::content::Hasher;
use crate::rootfs::{Opened, Rootfs, Stat};

/// What a layer got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Files, directories, links and devices.
    pub entries: u64,
    pub whiteouts: u64,
    /// Bytes in files.
    pub size: u64,
}

/// Writes `changes`, which are sorted by path, and the directories above them into `layer`, with the state that `root` has now.
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
    let mut files = root.nearby();
    let mut first_names: HashMap<(u64, u64), LayerPath> = HashMap::new();
    for (path, is_removed) in with_parents(changes) {
        if is_removed {
            layer.append_whiteout(&path)?;
            written.whiteouts += 1;
            continue;
        }
        let Some(Opened {
            mut entry,
            stat,
            file,
        }) = files.open(&path)?
        else {
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
                None => {
                    first_names.insert((stat.device, stat.inode), path.into_owned());
                }
            }
        }
        match file {
            Some(file) => {
                append(root, layer, &entry, &stat, file)?;
                written.size += stat.size;
            }
            None => layer.append(&entry, &mut io::empty())?,
        }
    }
    Ok(written)
}

/// Writes a file with its content, and remembers what that is unless it is known.
fn append<W: Write>(
    root: &Rootfs,
    layer: &mut Writer<W>,
    entry: &Entry,
    stat: &Stat,
    mut file: File,
) -> Result<(), Error> {
    if root.content_hash(stat.inode, stat.ctime).is_some() {
        return Ok(layer.append(entry, &mut file)?);
    }
    let hasher = Hasher::default();
    let mut content = Hashed { file, hasher };
    layer.append(entry, &mut content)?;
    root.remember_content(&content.file, content.hasher.finish());
    Ok(())
}

/// Passes on what it reads and hashes it.
struct Hashed {
    file: File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Returns the changes, each with the directories above it that were not returned before, and says of each path whether it is gone.
///
/// Since the changes are sorted, what was returned before is a directory above the last one or that itself.
fn with_parents(changes: &[Change]) -> impl Iterator<Item = (Cow<'_, LayerPath>, bool)> {
    debug_assert!(changes.is_sorted_by(|a, b| a.path() <= b.path()));
    let mut last: Option<&LayerPath> = None;
    changes.iter().flat_map(move |change| {
        let path = change.path();
        let before = last.replace(path);
        let mut above = path.ancestors();
        above.retain(|dir| !before.is_some_and(|before| before.starts_with(dir)));
        let is_removed = matches!(change, Change::Remove(_));
        let own = (!path.is_root()).then_some((Cow::Borrowed(path), is_removed));
        let above = above.into_iter().map(|dir| (Cow::Owned(dir), false));
        above.chain(own)
    })
}

fn clamped(time: Time, clamp: Option<i64>) -> Time {
    let seconds = clamp.map_or(time.seconds, |clamp| time.seconds.min(clamp));
    Time::from_seconds(seconds)
}
