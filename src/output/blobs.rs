//! Where the blobs of an image are: in a store, in memory, or still in the registry of its base.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;

use crate::image::{Descriptor, Digest, ImageRef};
use crate::registry::Client;
use crate::store::BlobStore;

/// Why a blob could not be had; what it is depends on where the blob is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where blobs come from: a store, a layout, or the registry that a base image was taken from.
pub trait BlobSource: Send + Sync {
    /// Opens a blob; the reader must fail at its end if size or digest are not those of the descriptor.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError>;

    /// Returns a repository that has the blob, so that a registry can mount it from there.
    fn origin(&self, _: &Descriptor) -> Option<ImageRef> {
        None
    }
}

impl BlobSource for BlobStore {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        match self.verified(descriptor)? {
            Some(blob) => Ok(Box::new(blob)),
            None => Err(format!("it is not in `{}`", self.path().display()).into()),
        }
    }
}

/// A blob that is a document.
pub(super) struct InMemory(pub(super) Bytes);

impl BlobSource for InMemory {
    fn open(&self, _: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        Ok(Box::new(io::Cursor::new(self.0.clone())))
    }
}

/// Layers that were made here, and layers of base images that are still only in their registries.
pub struct Layers {
    pub store: BlobStore,
    /// Where the base layers that were not downloaded are: [`RemoteImage::source`](crate::registry::RemoteImage).
    pub remote: BTreeMap<Digest, ImageRef>,
    /// Pulls from there.
    pub client: Client,
}

impl BlobSource for Layers {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        match (
            self.store.verified(descriptor)?,
            self.remote.get(&descriptor.digest),
        ) {
            (Some(blob), _) => Ok(Box::new(blob)),
            (None, Some(image)) => Ok(Box::new(self.client.blob(image, descriptor))),
            (None, None) => self.store.open(descriptor), // says where it is not
        }
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<ImageRef> {
        self.remote.get(&descriptor.digest).cloned()
    }
}
