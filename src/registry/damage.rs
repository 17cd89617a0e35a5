//! Blobs that a registry has in a damaged state, and putting whole ones in their place.

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;

use crate::image::{Descriptor, Digest, ImageRef};

use super::Error;
use super::client::{Client, lock};

/// Blobs that were not what their digests say when they were read, each with its registry.
#[derive(Default)]
pub(super) struct Damaged(Mutex<BTreeSet<(String, Digest)>>);

impl Client {
    /// Remembers that what a registry has under a digest is something else, so that it is not taken for the blob any more.
    pub(super) fn note_damage(&self, registry: &str, digest: &Digest) {
        let damaged = &self.0.shared.damaged.0;
        lock(damaged).insert((registry.to_owned(), digest.clone()));
    }

    /// Tells whether a blob was found to be damaged in a registry.
    pub(super) fn is_damaged(&self, registry: &str, digest: &Digest) -> bool {
        let damaged = &self.0.shared.damaged.0;
        lock(damaged).contains(&(registry.to_owned(), digest.clone()))
    }

    /// Reads a blob that was uploaded in place of a damaged one. Registries may keep what they have.
    ///
    /// # Errors
    /// [`Error::KeptDamaged`] if this one did.
    pub(super) async fn check_replaced(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
    ) -> Result<(), Error> {
        let mut blob = self.blob_through(None, image, descriptor);
        let read = self
            .net()
            .clone()
            .spawn_blocking(move || io::copy(&mut blob, &mut io::sink()))
            .await
            .expect("reading a blob does not panic");
        let Err(error) = read else {
            let key = (image.registry.clone(), descriptor.digest.clone());
            lock(&self.0.shared.damaged.0).remove(&key);
            return Ok(());
        };
        match error.downcast::<Error>() {
            Ok(error) if !error.is_damage() => Err(error),
            _ => Err(Error::KeptDamaged {
                repository: image.name(),
                digest: descriptor.digest.clone(),
            }),
        }
    }
}
