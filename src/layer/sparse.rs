//! Which parts of a sparse file an archive stores, in the four ways that GNU tar has had of saying so.

use super::field;
use super::pax::Records;

/// A stored part of a file; what lies between the parts is zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub offset: u64,
    pub size: u64,
}

/// Where a file's map is found, and as much of it as the headers hold; a part that does not parse is `None`.
pub enum Form {
    /// The file is stored whole.
    Whole,
    /// In the file's own header and in blocks behind it.
    Headers {
        size: Option<u64>,
    },
    /// In PAX records (forms 0.0 and 0.1).
    Records {
        segments: Option<Vec<Segment>>,
        size: Option<u64>,
    },
    /// In front of the content (form 1.0).
    Content {
        size: Option<u64>,
    },
    Unknown,
}

impl Form {
    /// Tells how the regular file is stored that these records describe.
    pub fn of(kind: u8, block: &[u8], records: &Records) -> Self {
        let size = records.get("GNU.sparse.realsize");
        let size = size.or(records.get("GNU.sparse.size"));
        let size = size.and_then(field::size);
        let version = ["GNU.sparse.major", "GNU.sparse.minor"].map(|key| records.get(key));
        let map = records.get("GNU.sparse.map");
        match (version, map) {
            _ if kind == b'S' => Self::Headers {
                size: field::number(&block[483..495]).and_then(|n| u64::try_from(n).ok()),
            },
            ([Some(b"1"), Some(b"0")], _) => Self::Content { size },
            ([None, None] | [Some(b"0"), _], Some(map)) => Self::Records {
                segments: read_pairs(map.split(|b| *b == b',')),
                size,
            },
            ([None, None] | [Some(b"0"), _], None) if !records.sparse.is_empty() => Self::Records {
                segments: read_pairs(records.sparse.iter().map(Vec::as_slice)),
                size,
            },
            ([None, None], None) => Self::Whole,
            _ => Self::Unknown,
        }
    }
}

/// Adds the parts listed in a header block (`table`: pairs of 12-byte numbers); an unused pair ends the list.
pub fn read_table(table: &[u8], segments: &mut Vec<Segment>) -> Option<()> {
    for pair in table.chunks_exact(24) {
        let (offset, size) = pair.split_at(12);
        if offset[0] == 0 || size[0] == 0 {
            break;
        }
        segments.push(Segment {
            offset: u64::try_from(field::number(offset)?).ok()?,
            size: u64::try_from(field::number(size)?).ok()?,
        });
    }
    Some(())
}

/// Reads a list of decimal numbers: offset, size, offset, size …
pub fn read_pairs<'a>(mut numbers: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    while let Some(offset) = numbers.next() {
        segments.push(Segment {
            offset: field::size(offset)?,
            size: field::size(numbers.next()?)?,
        });
    }
    Some(segments)
}

/// Returns how many lines the map in front of a file's content has; `text` holds at least the first one.
pub fn map_lines(text: &[u8]) -> u64 {
    let count = text.split(|b| *b == b'\n').next();
    let count = count.and_then(field::size).unwrap_or(0);
    count.saturating_mul(2).saturating_add(1)
}

/// Reads the map in front of a file's content: a count and as many pairs, each number on its own line.
pub fn read_map(text: &[u8]) -> Option<Vec<Segment>> {
    let mut lines = text.split(|b| *b == b'\n');
    let count = usize::try_from(field::size(lines.next()?)?).ok()?;
    let segments = read_pairs(lines.take(count.checked_mul(2)?))?;
    (segments.len() == count).then_some(segments)
}

/// Tells whether the parts are in order, apart, inside of the file, and as long as what is stored.
pub fn is_valid(segments: &[Segment], size: u64, stored: u64) -> bool {
    let (mut end, mut total) = (0u64, 0u64);
    for segment in segments {
        let Some(segment_end) = segment.offset.checked_add(segment.size) else {
            return false;
        };
        if segment.offset < end || segment_end > size {
            return false;
        }
        end = segment_end;
        total += segment.size;
    }
    total == stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_in_front_of_the_content() {
        let segment = |offset, size| Segment { offset, size };
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // text               lines  segments
            ("0\n",                1,    Some(vec![])),
            ("1\n5\n6\n\0\0",      3,    Some(vec![segment(5, 6)])),
            ("2\n0\n1\n9\n1\n",    5,    Some(vec![segment(0, 1), segment(9, 1)])),
            ("2\n0\n1\n9",         5,    None),
            ("x\n",                1,    None),
            ("1\n-5\n6\n",         3,    None),
            ("18446744073709551615\n", 1, None),
        ];
        for (text, lines, want) in cases {
            assert_eq!(map_lines(text.as_bytes()), lines, "{text:?}");
            assert_eq!(read_map(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn segments_must_fit() {
        let segments = |pairs: &[(u64, u64)]| -> Vec<Segment> {
            let pairs = pairs.iter();
            pairs
                .map(|&(offset, size)| Segment { offset, size })
                .collect()
        };
        assert!(is_valid(&segments(&[(0, 2), (4, 2), (8, 0)]), 8, 4));
        assert!(!is_valid(&segments(&[(4, 2), (0, 2)]), 8, 4), "order");
        assert!(!is_valid(&segments(&[(0, 3), (2, 2)]), 8, 5), "overlap");
        assert!(!is_valid(&segments(&[(7, 2)]), 8, 2), "beyond the end");
        assert!(!is_valid(&segments(&[(0, 2)]), 8, 3), "stored size");
        assert!(!is_valid(&segments(&[(u64::MAX, 2)]), 8, 2), "overflow");
    }
}
