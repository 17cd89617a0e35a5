//! What a server says beside files, which must have an end.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::net::pace::{Least, PROGRESS};

/// So many bytes at most: lists of references have a line for each.
const LIMIT: u64 = 256 << 20;
/// A server that works on an answer says every few seconds that it does, for so long at most.
pub const PATIENCE: Duration = Duration::from_secs(1800);

/// How fast a pack must grow, remarks in between left out.
pub const PACK: Least = Least {
    bytes: PROGRESS,
    within: PATIENCE,
};

/// An answer of which so much is read, and for so long.
pub struct Talk<'a> {
    answer: &'a mut dyn Read,
    left: u64,
    end: Instant,
}

impl<'a> Talk<'a> {
    pub fn new(answer: &'a mut dyn Read) -> Self {
        Self {
            answer,
            left: LIMIT,
            end: Instant::now() + PATIENCE,
        }
    }
}

impl Read for Talk<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.answer.read(buffer)?;
        self.left = self.left.saturating_sub(size as u64);
        if self.left == 0 {
            return Err(endless(format!("{LIMIT} bytes")));
        }
        if Instant::now() > self.end {
            return Err(endless(format!("{} s", PATIENCE.as_secs())));
        }
        Ok(size)
    }
}

/// Returns the error of an answer that leads to nothing.
pub fn endless(after: String) -> io::Error {
    let text = format!("after {after} there was still nothing to be had");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_an_end() {
        let read = |size: u64| {
            let mut answer = io::repeat(b'x').take(size);
            io::copy(&mut Talk::new(&mut answer), &mut io::sink())
        };
        assert_eq!(read(LIMIT - 1).unwrap(), LIMIT - 1);
        let error = read(u64::MAX).unwrap_err().to_string();
        assert_eq!(
            error,
            "after 268435456 bytes there was still nothing to be had"
        );
    }

    #[test]
    fn an_answer_that_takes_for_ever() {
        let mut answer = io::repeat(b'x');
        let mut talk = Talk::new(&mut answer);
        talk.end = Instant::now() - Duration::from_secs(1);
        assert!(talk.read(&mut [0]).is_err());
    }
}
