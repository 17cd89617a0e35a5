//! Cached layers that could not be read after all, so that the same build does not rely on them again.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::causes;
use crate::image::Digest;

/// Layers that turned out to be unreadable, each with the reason; clones are about the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost(Arc<Mutex<BTreeMap<Digest, String>>>);

impl Lost {
    pub(super) fn note(&self, digest: &Digest, why: String) {
        self.layers().entry(digest.clone()).or_insert(why);
    }

    pub(super) fn why(&self, digest: &Digest) -> Option<String> {
        self.layers().get(digest).cloned()
    }

    pub(super) fn count(&self) -> usize {
        self.layers().len()
    }

    fn layers(&self) -> MutexGuard<'_, BTreeMap<Digest, String>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

/// Reads a cached layer, and notes if that fails.
pub(super) struct Watched {
    pub(super) blob: Box<dyn Read + Send>,
    pub(super) digest: Digest,
    pub(super) lost: Lost,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read(buffer);
        read.inspect_err(|error| self.lost.note(&self.digest, causes::in_one_line(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Descriptor, MediaType};
    use crate::store::Verified;

    #[test]
    fn what_cannot_be_read_is_noted() {
        let lost = Lost::default();
        let digest = Digest::of(b"right");
        let read = |content: &'static [u8]| {
            let descriptor = Descriptor::new(MediaType::from("x"), digest.clone(), 5);
            let mut blob = Watched {
                blob: Box::new(Verified::new(content, &descriptor)),
                digest: digest.clone(),
                lost: lost.clone(),
            };
            io::copy(&mut blob, &mut io::sink()).is_ok()
        };
        assert!(read(b"right"));
        assert_eq!((lost.count(), lost.why(&digest)), (0, None));
        assert!(!read(b"wrong"));
        assert_eq!(lost.count(), 1);
        let why = lost.why(&digest).unwrap();
        assert!(why.starts_with("expected the blob sha256:"), "{why}");
    }
}
