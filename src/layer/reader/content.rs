//! The content of one entry, the parts of a sparse file put where they belong.

use std::io::{self, Read};

use super::{BLOCK, Reader, invalid};
use crate::layer::Error;
use crate::layer::header::{self, Block};
use crate::layer::pax::Records;
use crate::layer::sparse::{self, Form, Segment};

/// The content of the current entry and how far it has been read.
#[derive(Default)]
pub(super) struct Content {
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
    /// Makes a file's content current and returns its size, holes included.
    pub(super) fn begin_file(
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
    pub(super) fn begin(&mut self, stored: u64, size: u64) -> Result<(), Error> {
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

    pub(super) fn skip_content(&mut self) -> Result<(), Error> {
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
