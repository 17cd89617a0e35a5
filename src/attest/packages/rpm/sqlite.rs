//! The table `Packages` of `rpmdb.sqlite`: as much of SQLite's file format as that takes.
//!
//! What is only in a write-ahead log beside the file is not seen; rpm empties its log when it ends.
//!
//! # Spec
//! SQLite, `fileformat2.html`: sections 1.3, 1.6 and 2.1.

use super::Numbers;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Pages one below the other; a tree of a file that fits into memory has fewer.
const DEPTH: usize = 12;
const LEAF: u8 = 0x0d;
const INTERIOR: u8 = 0x05;

/// Returns the blobs of the table; nothing if this is no such database.
pub fn blobs(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let database = Database::open(bytes)?;
    let root = database.root("Packages")?;
    let rows = database.rows(root)?;
    // hnum, which is the row's number, and blob
    rows.iter()
        .map(|row| columns(row)?.get(1).map(|blob| blob.to_vec()))
        .collect()
}

struct Database<'b> {
    bytes: &'b [u8],
    page: usize,
    /// What of a page is not reserved.
    usable: usize,
}

/// What of a file was not looked at yet: a tree in a ring ends, and rows that lie on one another take no more memory than the file.
struct Room {
    pages: usize,
    bytes: usize,
}

impl<'b> Database<'b> {
    fn open(bytes: &'b [u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let page = match u16::from_be_bytes(*bytes.get(16..)?.first_chunk()?) {
            1 => 65536,
            size => usize::from(size),
        };
        let usable = page.checked_sub(usize::from(*bytes.get(20)?))?;
        (page >= 512 && usable >= 480).then_some(Self {
            bytes,
            page,
            usable,
        })
    }

    /// Returns a page; they are counted from 1.
    fn page(&self, number: usize) -> Option<&'b [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page)?;
        self.bytes.get(start..start.checked_add(self.page)?)
    }

    /// Returns the first page of a table.
    fn root(&self, table: &str) -> Option<usize> {
        let schema = self.rows(1)?;
        schema.iter().find_map(|row| {
            let columns = columns(row)?;
            let is_it = columns.first() == Some(&&b"table"[..])
                && columns.get(1) == Some(&table.as_bytes());
            let number = columns.get(3).filter(|_| is_it)?.iter();
            Some(number.fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
        })
    }

    /// Returns the rows of the table that begins at a page.
    fn rows(&self, root: usize) -> Option<Vec<Vec<u8>>> {
        let mut rows = Vec::new();
        let mut room = Room {
            pages: self.bytes.len() / self.page,
            bytes: self.bytes.len(),
        };
        self.collect(root, DEPTH, &mut room, &mut rows)?;
        Some(rows)
    }

    /// Takes the rows below a page.
    fn collect(
        &self,
        number: usize,
        depth: usize,
        room: &mut Room,
        rows: &mut Vec<Vec<u8>>,
    ) -> Option<()> {
        room.pages = room.pages.checked_sub(1)?;
        let page = self.page(number)?;
        // the first page begins with the head of the file
        let head = page.get(if number == 1 { 100 } else { 0 }..)?;
        let count = usize::from(u16::from_be_bytes(*head.get(3..)?.first_chunk()?));
        let is_leaf = *head.first()? == LEAF;
        let pointers = head.get(if is_leaf { 8 } else { 12 }..)?.get(..2 * count)?;
        let cells = pointers
            .chunks_exact(2)
            .map(|at| page.get(usize::from(at[0]) << 8 | usize::from(at[1])..));
        match *head.first()? {
            LEAF => {
                for cell in cells {
                    let row = self.payload(cell?)?;
                    room.bytes = room.bytes.checked_sub(row.len())?;
                    rows.push(row);
                }
            }
            INTERIOR => {
                let depth = depth.checked_sub(1)?;
                for cell in cells {
                    self.collect(cell?.big(0)?, depth, room, rows)?;
                }
                self.collect(head.big(8)?, depth, room, rows)?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns a row, of which what does not fit into its page is in a chain of others.
    fn payload(&self, cell: &[u8]) -> Option<Vec<u8>> {
        let (size, rest) = varint(cell)?;
        let (_row, rest) = varint(rest)?;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= self.bytes.len())?;
        let most = self.usable - 35;
        if size <= most {
            return Some(rest.get(..size)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = least + (size - least) % (self.usable - 4);
        let local = if local <= most { local } else { least };
        let mut payload = rest.get(..local)?.to_vec();
        let mut next = rest.big(local)?;
        while payload.len() < size {
            let page = self.page(next)?;
            next = page.big(0)?;
            let part = page.get(4..self.usable)?;
            payload.extend(&part[..part.len().min(size - payload.len())]);
        }
        Some(payload)
    }
}

/// Splits a row into its columns, as bytes.
fn columns(row: &[u8]) -> Option<Vec<&[u8]>> {
    let (head, after) = varint(row)?;
    let head = usize::try_from(head).ok()?;
    let mut types = row.get(row.len() - after.len()..head)?;
    let mut values = row.get(head..)?;
    let mut columns = Vec::new();
    while !types.is_empty() {
        let (kind, rest) = varint(types)?;
        types = rest;
        let size = match kind {
            0 | 8 | 9 => 0,
            kind @ 1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            kind => (kind - 12) / 2,
        };
        let (value, rest) = values.split_at_checked(usize::try_from(size).ok()?)?;
        values = rest;
        columns.push(value);
    }
    Some(columns)
}

/// Splits off a number of one to nine bytes, seven bits each, and eight in the ninth.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        if index == 8 {
            return Some((number << 8 | u64::from(*byte), &bytes[9..]));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;

    /// Makes a leaf that refers `count` times to one row, whose columns are these texts of less than 58 bytes.
    fn leaf(start: usize, count: u16, columns: &[&[u8]]) -> Vec<u8> {
        let mut row = vec![columns.len() as u8 + 1];
        row.extend(columns.iter().map(|column| 13 + 2 * column.len() as u8));
        row.extend(columns.concat());
        let cell = [&[row.len() as u8, 1], &row[..]].concat();
        let place = PAGE - cell.len();
        let mut page = vec![0; start];
        page.extend([LEAF, 0, 0]);
        page.extend(count.to_be_bytes());
        page.extend([0; 3]);
        for _ in 0..count {
            page.extend((place as u16).to_be_bytes());
        }
        page.resize(place, 0);
        page.extend(cell);
        page
    }

    #[test]
    fn rows_take_no_more_memory_than_the_file() {
        let schema: [&[u8]; 4] = [b"table", b"Packages", b"Packages", b"\x02"];
        let database = |count| {
            let mut file = leaf(100, 1, &schema);
            file[..16].copy_from_slice(MAGIC);
            file[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
            file.extend(leaf(0, count, &[b"", &[7; 50]]));
            file
        };
        assert_eq!(blobs(&database(1)), Some(vec![vec![7; 50]]));
        assert_eq!(blobs(&database(100)), None);
    }
}
