//! Reading a tar that any tool, or an attacker, may have written.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::header::{self, Block, Extended};
use super::pax::Records;
use super::sparse::{self, Form, Segment};
use super::{Entry, Error, Kind, field};

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

/// The content of the current entry and how far it has been read.
#[derive(Default)]
struct Content {
    size: u64,
    position: u64,
    segments: Vec<Segment>,
    /// The first segment that has not been read to its end.
    next: usize,
    /// What the input still has of it, and of the padding behind it.
    stored: u64,
    padding: u64,
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

    /// Makes a file's content current and returns its size, holes included.
    fn begin_file(
        &mut self,
        start: u64,
        block: &Block,
        stored: u64,
        records: &Records,
    ) -> Result<u64, Error> {
        let malformed = || invalid(start, "malformed sparse map");
        let mut map_size = 0;
        let (segments, size) = match Form::of(header::kind(block), block, records) {
            Form::Whole => {
                self.begin(stored, stored)?;
                return Ok(stored);
            }
            Form::Headers { size } => (Some(self.sparse_headers(start, block)?), size),
            Form::Records { segments, size } => (segments, size),
            Form::Content { size } => {
                let map = self.sparse_content(start, stored)?;
                map_size = map.len() as u64;
                (sparse::read_map(&map), size)
            }
            Form::Unknown => return Err(invalid(start, "a sparse map of an unknown form")),
        };
        let size = size.ok_or_else(malformed)?;
        let segments = segments.ok_or_else(malformed)?;
        if !sparse::is_valid(&segments, size, stored - map_size) {
            return Err(malformed());
        }
        self.begin(stored - map_size, size)?;
        self.content.segments = segments;
        Ok(size)
    }

    /// Reads the map of the oldest form: four parts in the header, more in blocks behind it.
    fn sparse_headers(&mut self, start: u64, block: &Block) -> Result<Vec<Segment>, Error> {
        let malformed = || invalid(start, "malformed sparse map");
        let mut segments = Vec::new();
        sparse::read_table(&block[386..482], &mut segments).ok_or_else(malformed)?;
        let mut more = block[482] != 0;
        let mut size = 0;
        while more {
            size += BLOCK;
            self.check_extended(start, size)?;
            let block = self.block()?.ok_or(self.truncated())?;
            self.count(BLOCK)?;
            sparse::read_table(&block[..504], &mut segments).ok_or_else(malformed)?;
            more = block[504] != 0;
        }
        Ok(segments)
    }

    /// Reads the blocks at the start of a file's stored content that hold its map.
    fn sparse_content(&mut self, start: u64, stored: u64) -> Result<Vec<u8>, Error> {
        let mut map = Vec::new();
        let mut lines = 0;
        let mut wanted = 1;
        while lines < wanted {
            let size = map.len() as u64 + BLOCK;
            self.check_extended(start, size)?;
            if size > stored {
                return Err(invalid(start, "a sparse map without an end"));
            }
            let block = self.block()?.ok_or(self.truncated())?;
            self.count(BLOCK)?;
            lines += block.iter().filter(|b| **b == b'\n').count() as u64;
            map.extend_from_slice(&block);
            if lines > 0 {
                wanted = sparse::map_lines(&map);
            }
        }
        Ok(map)
    }

    /// Makes content current of which `stored` bytes are next in the input and which is `size` bytes long when read.
    fn begin(&mut self, stored: u64, size: u64) -> Result<(), Error> {
        self.count(size.max(stored))?;
        let content = &mut self.content;
        content.segments.clear();
        content.segments.push(Segment { offset: 0, size });
        content.size = size;
        content.position = 0;
        content.next = 0;
        content.stored = stored;
        content.padding = stored.next_multiple_of(BLOCK) - stored;
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), Error> {
        let left = self.content.stored + self.content.padding;
        let skipped = io::copy(&mut self.input.by_ref().take(left), &mut io::sink());
        let skipped = skipped.map_err(|source| Error::Read {
            offset: self.offset,
            source,
        })?;
        self.offset += skipped;
        self.content.stored = 0;
        self.content.padding = 0;
        self.content.position = self.content.size;
        if skipped < left {
            return Err(self.truncated());
        }
        Ok(())
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

    /// Reads one block; `None` if the input ends before it.
    fn block(&mut self) -> Result<Option<Block>, Error> {
        let mut block = [0; BLOCK as usize];
        let mut filled = 0;
        while filled < block.len() {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => {
                    return Err(self.truncated());
                }
                Ok(n) => {
                    filled += n;
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read {
                        offset: self.offset,
                        source,
                    });
                }
            }
        }
        Ok(Some(block))
    }

    /// Reads the input to its end.
    fn drain(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 16 * BLOCK as usize];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    self.offset += n as u64;
                    self.count(n as u64)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read {
                        offset: self.offset,
                        source,
                    });
                }
            }
        }
    }

    fn count(&mut self, size: u64) -> Result<(), Error> {
        self.unpacked = self.unpacked.saturating_add(size);
        match self.limits.unpacked {
            Some(limit) if self.unpacked > limit => Err(Error::Unpacked { limit }),
            _ => Ok(()),
        }
    }

    fn truncated(&self) -> Error {
        Error::Truncated {
            offset: self.offset,
        }
    }

    fn check_extended(&self, offset: u64, size: u64) -> Result<(), Error> {
        let limit = self.limits.extended_header;
        if size > limit {
            return Err(Error::ExtendedHeader {
                offset,
                size,
                limit,
            });
        }
        Ok(())
    }
}

/// The content of the current entry, holes filled with zeros.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let content = &mut self.content;
        let left = content.size - content.position;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let ends = |s: &Segment| s.offset + s.size;
        while content
            .segments
            .get(content.next)
            .is_some_and(|s| ends(s) <= content.position)
        {
            content.next += 1;
        }
        let segment = content.segments.get(content.next);
        let start = segment.map_or(content.size, |s| s.offset);
        let run = match segment {
            Some(segment) if start <= content.position => ends(segment) - content.position,
            _ => start - content.position,
        };
        let wanted = buffer.len().min(usize::try_from(run).unwrap_or(usize::MAX));
        if start > content.position {
            buffer[..wanted].fill(0);
            content.position += wanted as u64;
            return Ok(wanted);
        }
        let read = self.input.read(&mut buffer[..wanted])?;
        self.offset += read as u64;
        content.stored -= read as u64;
        content.position += read as u64;
        if read == 0 {
            let error = self.truncated();
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        Ok(read)
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
