//! The bytes of the archive: blocks of them, counted and limited.

use std::io::{self, Read};

use super::{BLOCK, Reader};
use crate::layer::Error;
use crate::layer::header::Block;

impl<R: Read> Reader<R> {
    /// Reads one block; `None` if the input ends before it.
    pub(super) fn block(&mut self) -> Result<Option<Block>, Error> {
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
    pub(super) fn drain(&mut self) -> Result<(), Error> {
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

    pub(super) fn count(&mut self, size: u64) -> Result<(), Error> {
        self.unpacked = self.unpacked.saturating_add(size);
        match self.limits.unpacked {
            Some(limit) if self.unpacked > limit => Err(Error::Unpacked { limit }),
            _ => Ok(()),
        }
    }

    pub(super) fn truncated(&self) -> Error {
        Error::Truncated {
            offset: self.offset,
        }
    }

    pub(super) fn check_extended(&self, offset: u64, size: u64) -> Result<(), Error> {
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
