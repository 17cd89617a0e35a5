//! Where the layers of a finished image are.

use std::collections::BTreeMap;
use std::io::Read;

use crate::cache::{Hit, LayerCache, Origin};
use crate::image::{Descriptor, Digest, ImageRef};
use crate::output::{BlobSource, BoxError, Layers};
use crate::store::BlobStore;

/// Layers that were made here or belong to the base image, and cached ones that may be nowhere but in the cache.
pub struct Blobs {
    pub layers: Layers,
    /// The OCI layout that the base image comes from, if it is one.
    pub base: Option<BlobStore>,
    pub cached: Option<(LayerCache, BTreeMap<Digest, Hit>)>,
    /// New layers that the cache has by now too.
    pub stored: BTreeMap<Digest, ImageRef>,
}

impl Blobs {
    fn hit(&self, digest: &Digest) -> Option<(&LayerCache, &Hit)> {
        let (cache, hits) = self.cached.as_ref()?;
        Some((cache, hits.get(digest)?))
    }
}

impl BlobSource for Blobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        let is_at_hand = self.layers.store.size(&descriptor.digest)?.is_some();
        match self.hit(&descriptor.digest) {
            Some((cache, hit)) if !is_at_hand => return Ok(cache.open(hit)?),
            _ => {}
        }
        if let Some(base) = self.base.as_ref().filter(|_| !is_at_hand)
            && let Some(blob) = base.verified(descriptor)?
        {
            return Ok(Box::new(blob));
        }
        self.layers.open(descriptor)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<ImageRef> {
        let cached = || match &self.hit(&descriptor.digest)?.1.origin {
            Origin::Registry(image) => Some(image.clone()),
            Origin::Layout(_) => None,
        };
        let stored = || self.stored.get(&descriptor.digest).cloned();
        self.layers
            .origin(descriptor)
            .or_else(cached)
            .or_else(stored)
    }
}
