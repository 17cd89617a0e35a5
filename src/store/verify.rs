//! Checking a blob while it is read.

use std::io::{self, Read};

use super::Error;
use crate::image::{Descriptor, Digest, Digester};

/// Reads a blob and fails at its end, or where it goes on beyond it, if it is not the one described.
pub struct Verified<R> {
    input: R,
    expected: Digest,
    size: u64,
    read: u64,
    /// Absent once the digest has been found right.
    digester: Option<Digester>,
}

impl<R: Read> Verified<R> {
    pub fn new(input: R, descriptor: &Descriptor) -> Self {
        Self {
            input,
            expected: descriptor.digest.clone(),
            size: descriptor.size,
            read: 0,
            digester: Some(Digester::new()),
        }
    }

    fn size_error(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            Error::Size {
                digest: self.expected.clone(),
                expected: self.size,
                found: self.read,
            },
        )
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        if self.read > self.size || (read == 0 && self.read < self.size) {
            return Err(self.size_error());
        }
        if let Some(digester) = &mut self.digester {
            digester.update(&buffer[..read]);
        }
        if read == 0
            && let Some(digester) = self.digester.take()
        {
            let found = digester.finish();
            if found != self.expected {
                let expected = self.expected.clone();
                let error = Error::Mismatch { expected, found };
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(read)
    }
}
