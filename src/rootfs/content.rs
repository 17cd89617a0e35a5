//! Hashes of what files contain, taken while the bytes pass through.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::Stat;

/// The first half of a file's SHA-256: enough to tell whether content changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub(crate) [u8; 16]);

impl ContentHash {
    pub fn of(bytes: &[u8]) -> Self {
        Hasher::default().chain(bytes).finish()
    }
}

/// What is known of files by inode. A row holds for as long as the inode's ctime stands still.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: HashMap<u64, Row>,
    moved: Vec<(u64, i64, i64)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    ctime: i64,
    pub hash: ContentHash,
    /// Whether it is known to have no extended attributes.
    pub is_bare: bool,
}

impl Table {
    pub fn insert(&mut self, stat: &Stat, hash: ContentHash, is_bare: bool) {
        let ctime = stat.ctime;
        let row = Row {
            ctime,
            hash,
            is_bare,
        };
        self.rows.insert(stat.inode, row);
    }

    pub fn get(&self, inode: u64, ctime: i64) -> Option<Row> {
        let row = self.rows.get(&inode).filter(|row| row.ctime == ctime);
        row.copied()
    }

    /// Carries a row over a change of our own that leaves content and attributes alone.
    pub fn follow(&mut self, before: &Stat, after: &Stat) {
        if let Some(row) = self.get(before.inode, before.ctime) {
            self.insert(after, row.hash, row.is_bare);
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
        self.rows = HashMap::new();
    }
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
