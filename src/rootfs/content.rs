//! Hashes of what files contain, taken while the bytes pass through.

use std::io::{self, Read, Write};

use hashbrown::HashTable;
use sha2::{Digest, Sha256};

use super::Stat;

/// The first half of a file's SHA-256, its last bit cleared: enough to tell whether content changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub(crate) [u8; 16]);

/// Of the last byte of a hash: what no hash has set.
const SPARE: u8 = 1;

impl ContentHash {
    pub fn of(bytes: &[u8]) -> Self {
        Hasher::default().chain(bytes).finish()
    }
}

/// What is known of files by inode. A row holds for as long as the inode's ctime stands still.
///
/// About 40 bytes a file: rows stand in segments that never move, and the index has their positions only. A segment whose rows were all
/// taken is freed.
#[derive(Debug, Default)]
pub(super) struct Table {
    index: HashTable<u32>,
    segments: Vec<Segment>,
    moved: Vec<(u64, i64, i64)>,
}

#[derive(Debug)]
struct Segment {
    rows: Vec<Row>,
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    inode: u64,
    ctime: i64,
    /// The hash, and in its spare bit whether the file is known to have no extended attributes.
    marked: [u8; 16],
}

/// Of 64 KiB, as the blocks of a snapshot's tree are, which take the place of segments that were freed.
const SEGMENT: usize = (64 << 10) / size_of::<Row>();

impl Segment {
    fn is_full(&self) -> bool {
        self.rows.len().max(self.taken) == SEGMENT
    }
}

impl Row {
    fn new(stat: &Stat, hash: ContentHash, is_bare: bool) -> Self {
        let mut marked = hash.0;
        marked[15] |= if is_bare { SPARE } else { 0 };
        Self {
            inode: stat.inode,
            ctime: stat.ctime,
            marked,
        }
    }

    pub fn hash(&self) -> ContentHash {
        let mut hash = self.marked;
        hash[15] &= !SPARE;
        ContentHash(hash)
    }

    /// Tells whether the file is known to have no extended attributes.
    pub fn is_bare(&self) -> bool {
        self.marked[15] & SPARE != 0
    }
}

impl Table {
    pub fn insert(&mut self, stat: &Stat, hash: ContentHash, is_bare: bool) {
        let row = Row::new(stat, hash, is_bare);
        if let Some(place) = self.find(stat.inode) {
            let place = place as usize;
            self.segments[place / SEGMENT].rows[place % SEGMENT] = row;
            return;
        }
        if self.segments.last().is_none_or(Segment::is_full) {
            self.segments.push(Segment {
                rows: Vec::with_capacity(SEGMENT),
                taken: 0,
            });
        }
        let full = (self.segments.len() - 1) * SEGMENT;
        let segment = self.segments.last_mut().expect("one was just made");
        let place = u32::try_from(full + segment.rows.len());
        let place = place.expect("four billion files need more memory than this");
        segment.rows.push(row);
        let segments = &self.segments;
        let rehash = |place: &u32| spread(row_at(segments, *place).inode);
        self.index.insert_unique(spread(stat.inode), place, rehash);
    }

    pub fn get(&self, inode: u64, ctime: i64) -> Option<Row> {
        let row = *row_at(&self.segments, self.find(inode)?);
        (row.ctime == ctime).then_some(row)
    }

    fn find(&self, inode: u64) -> Option<u32> {
        let is_it = |place: &u32| row_at(&self.segments, *place).inode == inode;
        self.index.find(spread(inode), is_it).copied()
    }

    /// Forgets a file, and frees its segment once nothing in it is known any more.
    pub fn remove(&mut self, inode: u64) {
        let is_it = |place: &u32| row_at(&self.segments, *place).inode == inode;
        let Ok(found) = self.index.find_entry(spread(inode), is_it) else {
            return;
        };
        let (place, _) = found.remove();
        let segment = &mut self.segments[place as usize / SEGMENT];
        segment.taken += 1;
        if segment.taken == SEGMENT {
            segment.rows = Vec::new();
        }
    }

    /// Carries a row over a change of our own that leaves content and attributes alone.
    pub fn follow(&mut self, before: &Stat, after: &Stat) {
        if let Some(row) = self.get(before.inode, before.ctime) {
            self.insert(after, row.hash(), row.is_bare());
        }
    }

    /// Notes that looking at an inode moved its ctime.
    pub fn moved(&mut self, inode: u64, before: i64, after: i64) {
        self.moved.push((inode, before, after));
    }

    pub fn take_moved(&mut self) -> Vec<(u64, i64, i64)> {
        std::mem::take(&mut self.moved)
    }

    pub fn clear(&mut self) {
        self.index = HashTable::new();
        self.segments = Vec::new();
    }
}

fn row_at(segments: &[Segment], place: u32) -> &Row {
    let place = place as usize;
    &segments[place / SEGMENT].rows[place % SEGMENT]
}

/// Inode numbers follow each other; a hash table wants bits from everywhere.
fn spread(inode: u64) -> u64 {
    let product = inode.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

/// Computes a [`ContentHash`] piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn chain(mut self, bytes: &[u8]) -> Self {
        self.update(bytes);
        self
    }

    /// Hashes all that is left to read.
    pub fn read(from: &mut dyn Read) -> io::Result<ContentHash> {
        let mut buffer = vec![0; 128 * 1024];
        let copied = copy(from, &mut io::sink(), &mut buffer);
        match copied {
            Ok((_, hash)) => Ok(hash),
            Err(CopyError::Read(e) | CopyError::Write(e)) => Err(e),
        }
    }

    pub fn finish(self) -> ContentHash {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0.finalize()[..16]);
        half[15] &= !SPARE;
        ContentHash(half)
    }
}

/// Why content could not be passed on.
pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies all of `from` to `to` through `buffer`; returns the number of bytes and their hash.
pub(super) fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    buffer: &mut [u8],
) -> Result<(u64, ContentHash), CopyError> {
    let mut hasher = Hasher::default();
    let mut size = 0;
    loop {
        let n = match from.read(buffer) {
            Ok(0) => return Ok((size, hasher.finish())),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(CopyError::Read(e)),
        };
        hasher.update(&buffer[..n]);
        to.write_all(&buffer[..n]).map_err(CopyError::Write)?;
        size += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::{Scratch, file};

    #[test]
    fn a_row_holds_while_its_ctime_does() {
        let t = Scratch::new();
        t.put(&file("f", 0o644, 0), "");
        let stat = t.root.stat(&crate::layer::LayerPath::clean("f"));
        let stat = stat.unwrap().unwrap();
        let at = |inode, ctime| Stat {
            inode,
            ctime,
            ..stat
        };
        let mut table = Table::default();
        let count = SEGMENT as u64 * 3 + 1;
        for inode in 0..count {
            let hash = ContentHash::of(&inode.to_le_bytes());
            table.insert(&at(inode, 1), hash, inode % 2 == 0);
        }
        table.follow(&at(7, 1), &at(7, 2));
        table.follow(&at(8, 9), &at(8, 10));
        table.insert(&at(9, 3), ContentHash::of(b"9"), true);
        for inode in (0..count).filter(|inode| !(7..=9).contains(inode)) {
            let row = table.get(inode, 1).unwrap();
            assert_eq!(row.hash(), ContentHash::of(&inode.to_le_bytes()));
            assert_eq!(row.is_bare(), inode % 2 == 0);
        }
        assert_eq!(table.index.len() as u64, count);
        let known = [(7, 1), (7, 2), (8, 1), (8, 10), (9, 1), (9, 3), (count, 1)];
        let found = known.map(|(inode, ctime)| table.get(inode, ctime).is_some());
        assert_eq!(found, [false, true, true, false, false, true, false]);

        for inode in 0..count {
            table.remove(inode);
            table.remove(count + 1);
            assert!(table.get(inode, 1).is_none());
            assert_eq!(table.index.len() as u64, count - 1 - inode);
        }
        let kept: usize = table.segments.iter().map(|s| s.rows.capacity()).sum();
        assert_eq!(kept, SEGMENT);
        for inode in 0..SEGMENT as u64 {
            table.insert(&at(inode, 4), ContentHash::of(b"again"), false);
            assert!(table.get(inode, 4).is_some());
        }
        table.clear();
        assert!(table.get(7, 4).is_none());
    }
}
