//! Reading a tar that any tool, or an attacker, may have written.

mod content;
mod input;

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::header::{self, Block, Extended};
use super::pax::Records;
use super::{Entry, Error, Kind, field};
use content::Content;

const BLOCK: u64 = size_of::<Block>() as u64;

/// What a global header may say of all entries behind it; of the rest, attributes and sparse maps, none makes sense for many.
const GLOBAL_KEYS: [&str; 6] = ["path", "linkpath", "size", "uid", "gid", "mtime"];

/// What a reader accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size in bytes of one extended header, long name or sparse map.
    pub extended_header: u64,
    /// Size in bytes of all headers and contents together, holes of sparse files counted; `None` for any.
    pub unpacked: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            extended_header: 1 << 20,
            unpacked: None,
        }
    }
}

/// Reads the entries of a tar one by one; between two calls of [`Reader::next`] it is itself the content of the last entry.
///
/// Understood are v7, ustar, GNU (long names, base-256 numbers, all sparse forms), PAX (local and global) and star headers.
/// Markers of deleted files are entries like any other, see [`super::Whiteout`]. At the end of the archive the
/// rest of the input is read and dropped, so that whoever checks the input at its end gets to it.
///
/// ```
/// use std::io::Read;
/// use executor::layer::{Entry, Kind, LayerPath, Limits, Reader, Time, Writer};
///
/// let mut writer = Writer::new(Vec::new());
/// let entry = Entry {
///     path: LayerPath::clean("etc/motd"),
///     kind: Kind::File { size: 3 },
///     mode: 0o644,
///     uid: 0,
///     gid: 0,
///     mtime: Time::from_seconds(0),
///     xattrs: Default::default(),
/// };
/// writer.append(&entry, &mut &b"hi\n"[..])?;
/// let tar = writer.finish()?;
///
/// let mut reader = Reader::new(&tar[..], Limits::default());
/// assert_eq!(reader.next()?, Some(entry));
/// let mut content = String::new();
/// reader.read_to_string(&mut content)?;
/// assert_eq!(content, "hi\n");
/// assert_eq!(reader.next()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<R> {
    input: R,
    limits: Limits,
    /// How many bytes of the tar have been read.
    offset: u64,
    /// What counts against [`Limits::unpacked`].
    unpacked: u64,
    /// What global headers have said so far.
    global: BTreeMap<Vec<u8>, Vec<u8>>,
    content: Content,
    ended: bool,
    clamps: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(input: R, limits: Limits) -> Self {
        Self {
            input,
            limits,
            offset: 0,
            unpacked: 0,
            global: BTreeMap::new(),
            content: Content::default(),
            ended: false,
            clamps: false,
        }
    }

    /// Like [`new`](Self::new), for an archive rather than a layer: a `..` in a name stops at the root.
    pub fn clamping(input: R, limits: Limits) -> Self {
        Self {
            clamps: true,
            ..Self::new(input, limits)
        }
    }

    /// Returns the next entry, or `None` at the end; what was left of the last entry's content is skipped.
    ///
    /// A missing end mark is tolerated. Paths are made relative.
    ///
    /// # Errors
    /// [`Error::Escapes`] for a name or hard link with `..`; [`Error::Unpacked`] and [`Error::ExtendedHeader`] for what is
    /// over a limit; [`Error::Truncated`], [`Error::Header`], [`Error::Field`] and [`Error::Unsupported`] for what is no tar.
    /// After an error the reader is at no defined place.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows nothing, but its content is read from the reader between two calls"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.skip_content()?;
        let mut extended = Extended {
            clamps: self.clamps,
            ..Extended::default()
        };
        loop {
            let start = self.offset;
            let Some(block) = self.header()? else {
                if extended.found {
                    return Err(Error::Truncated { offset: start });
                }
                self.drain()?;
                self.ended = true;
                return Ok(None);
            };
            let kind = header::kind(&block);
            let size = header::size(&block).ok_or(invalid(start, "the size is no number"))?;
            if b"xXLK".contains(&kind) {
                extended.size = extended.size.saturating_add(size);
                self.check_extended(start, extended.size)?;
            }
            match kind {
                b'x' | b'X' => extended.records.extend(self.records(start, size)?),
                b'g' => {
                    let mut records = self.records(start, size)?;
                    self.global.extend(records.only(&GLOBAL_KEYS));
                    continue;
                }
                b'L' => extended.path = Some(until_nul(self.extended_header(start, size)?)),
                b'K' => extended.link = Some(until_nul(self.extended_header(start, size)?)),
                b'V' | b'N' | b'A' => {
                    self.begin(size, size)?;
                    self.skip_content()?;
                }
                _ => return self.entry(start, &block, size, extended).map(Some),
            }
            extended.found = true;
        }
    }

    /// Returns the input, wherever it is.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Makes the content of an entry current, and sets the entry's size to that of the content.
    fn entry(
        &mut self,
        start: u64,
        block: &Block,
        size: u64,
        extended: Extended,
    ) -> Result<Entry, Error> {
        let extended = Extended {
            records: extended.records.over(&self.global),
            ..extended
        };
        let mut entry = header::entry(block, &extended)?;
        let stored = match extended.records.get("size") {
            Some(text) => field::size(text).ok_or(invalid(start, "the size is no number"))?,
            None => size,
        };
        match entry.kind {
            Kind::File { ref mut size } => {
                *size = self.begin_file(start, block, stored, &extended.records)?;
            }
            Kind::Directory if header::kind(block) == b'D' => self.begin(stored, 0)?,
            // a size in the header of anything else says nothing about the archive
            _ => self.begin(0, 0)?,
        }
        Ok(entry)
    }

    /// Reads the records of an extended header.
    fn records(&mut self, start: u64, size: u64) -> Result<Records, Error> {
        let bytes = self.extended_header(start, size)?;
        Records::parse(&bytes).map_err(|reason| invalid(start, reason))
    }

    /// Reads the content of an extended header or long name.
    fn extended_header(&mut self, start: u64, size: u64) -> Result<Vec<u8>, Error> {
        self.check_extended(start, size)?;
        self.begin(size, size)?;
        let mut bytes = Vec::new();
        match self.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.truncated());
            }
            Err(source) => {
                return Err(Error::Read {
                    offset: self.offset,
                    source,
                });
            }
        }
        self.skip_content()?;
        Ok(bytes)
    }

    /// Reads a header block and checks it; `None` where the archive ends.
    fn header(&mut self) -> Result<Option<Block>, Error> {
        let start = self.offset;
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        self.count(BLOCK)?;
        if !header::checksum_matches(&block) {
            return Err(invalid(start, "the checksum does not match"));
        }
        Ok(Some(block))
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn invalid(offset: u64, reason: &'static str) -> Error {
    Error::Header { offset, reason }
}
