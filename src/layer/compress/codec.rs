//! One block: bytes in, compressed bytes out.

use std::io;

use flate2::{Compress, FlushCompress, Status};
use zstd::bulk::Compressor;

/// Size in bytes of what is compressed at once. A change changes every layer's digest.
pub const BLOCK: usize = 512 * 1024;

/// How far back a gzip stream may refer.
pub const WINDOW: usize = 32 * 1024;

/// How to compress, with the level.
#[derive(Debug, Clone, Copy)]
pub enum Codec {
    Gzip(u32),
    Zstd(u32),
}

/// A block of the stream, and for gzip what stands before it.
pub struct Block {
    pub bytes: Vec<u8>,
    pub window: Vec<u8>,
    pub last: bool,
}

/// A compressor, used for one block after the other.
pub enum Machine {
    /// Its level. A deflate stream that was reset remembers enough of its past to find other matches, and then the digest would
    /// depend on which thread got which block; so each block gets a new one.
    Deflate(flate2::Compression),
    Zstd(Compressor<'static>),
}

impl Machine {
    pub fn new(codec: Codec) -> io::Result<Self> {
        Ok(match codec {
            Codec::Gzip(level) => Self::Deflate(flate2::Compression::new(level)),
            Codec::Zstd(level) => Self::Zstd(Compressor::new(level as i32)?),
        })
    }

    pub fn compress(&mut self, block: &Block) -> io::Result<Vec<u8>> {
        match self {
            Self::Deflate(level) => deflate_block(&mut Compress::new(*level, false), block),
            Self::Zstd(zstd) => zstd.compress(&block.bytes),
        }
    }
}

/// Compresses a block to whole bytes, so that the next one's can be put behind it.
fn deflate_block(deflate: &mut Compress, block: &Block) -> io::Result<Vec<u8>> {
    if !block.window.is_empty() {
        deflate.set_dictionary(&block.window)?;
    }
    let flush = match block.last {
        true => FlushCompress::Finish,
        false => FlushCompress::Sync,
    };
    let size = block.bytes.len();
    let mut output = Vec::with_capacity(size + size / 16 + 1024);
    let mut consumed = 0;
    loop {
        let before = deflate.total_in();
        let status = deflate.compress_vec(&block.bytes[consumed..], &mut output, flush)?;
        consumed += (deflate.total_in() - before) as usize;
        let flushed = consumed == size && output.len() < output.capacity();
        if status == Status::StreamEnd || (!block.last && flushed) {
            return Ok(output);
        }
        output.reserve(64 * 1024);
    }
}
