//! Bytes on their way through the network: counted for the record, and shown while they move.

use std::fmt;
use std::io::{self, Read};

use super::progress::Task;
use super::timeline::Timeline;
use crate::image::Descriptor;

/// What is on its way, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pull,
    Push,
    Fetch,
}

/// Something on its way; it has arrived, or the transfer failed, when this is dropped.
#[must_use = "the transfer ends when this is dropped"]
pub struct Transfer {
    timeline: Timeline,
    kind: Kind,
    shown: Task,
}

impl Timeline {
    /// Begins to receive a blob from a registry.
    pub fn pull(&self, blob: &Descriptor) -> Transfer {
        self.transfer(Kind::Pull, &short(blob), Some(blob.size))
    }

    /// Begins to send a blob to a registry.
    pub fn push(&self, blob: &Descriptor) -> Transfer {
        self.transfer(Kind::Push, &short(blob), Some(blob.size))
    }

    /// Begins to receive a context, or a source of `ADD`, whose size may not be known.
    pub fn fetch(&self, what: &str, size: Option<u64>) -> Transfer {
        self.transfer(Kind::Fetch, what, size)
    }

    fn transfer(&self, kind: Kind, what: &str, size: Option<u64>) -> Transfer {
        let verb = match kind {
            Kind::Pull => "pulling",
            Kind::Push => "pushing",
            Kind::Fetch => "fetching",
        };
        Transfer {
            timeline: self.clone(),
            kind,
            shown: self.progress().transfer(format!("{verb} {what}"), size),
        }
    }
}

/// Returns enough of a digest for a person to tell it from others.
fn short(blob: &Descriptor) -> String {
    blob.digest.hex().chars().take(12).collect()
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transfer").field(&self.kind).finish()
    }
}

impl Transfer {
    /// Counts bytes that went through.
    pub fn add(&self, bytes: u64) {
        self.shown.add(bytes);
        self.timeline.count(self.kind, bytes);
    }

    /// Counts what is read.
    pub fn reading<R>(self, from: R) -> Counted<R> {
        Counted {
            transfer: self,
            from,
        }
    }
}

/// A reader whose bytes are counted.
pub struct Counted<R> {
    transfer: Transfer,
    from: R,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.transfer.add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, MediaType, media_type};

    #[test]
    fn bytes_are_counted_by_where_they_go() {
        let timeline = Timeline::begin();
        let blob = Descriptor::new(
            MediaType::from(media_type::OCI_LAYER),
            Digest::of(b"blob"),
            4,
        );
        timeline.pull(&blob).add(4);
        timeline.push(&blob).add(3);
        let fetching = timeline.fetch("standard input", None);
        let mut read = Vec::new();
        let mut counted = fetching.reading(&b"context"[..]);
        counted.read_to_end(&mut read).unwrap();
        let bytes = timeline.record().bytes;
        assert_eq!((bytes.pulled, bytes.pushed, bytes.fetched), (4, 3, 7));
    }
}
