//! Sends layers to where the image will be pushed, as soon as they are there.

use std::sync::{Arc, Once};

use super::bases::{Bases, base_image, origins};
use crate::image::{Descriptor, Layer};
use crate::output::uploads::Uploads;
use crate::output::{BlobSource, Layers};
use crate::plan::Plan;
use crate::registry::Client;
use crate::store::BlobStore;

/// Uploads in the background, and what they are made of.
pub struct Dispatch<'b> {
    uploads: &'b Uploads,
    blobs: Arc<dyn BlobSource>,
    base_layers: Vec<Descriptor>,
    base_blobs: Arc<dyn BlobSource>,
    base: Once,
}

impl<'b> Dispatch<'b> {
    pub fn new(
        uploads: &'b Uploads,
        client: &Client,
        plan: &Plan,
        bases: &Bases,
        store: &BlobStore,
    ) -> Self {
        let base = base_image(plan).map(|key| &bases[&key]);
        let blobs: Arc<dyn BlobSource> = Arc::new(Layers {
            store: store.clone(),
            remote: origins(plan, bases),
            client: client.clone(),
        });
        let on_disk = base.and_then(|base| base.store().cloned());
        Self {
            uploads,
            base_layers: base.map_or(Vec::new(), |base| base.manifest.layers.clone()),
            base_blobs: on_disk.map_or_else(|| Arc::clone(&blobs), |store| Arc::new(store)),
            blobs,
            base: Once::new(),
        }
    }

    /// Begins to upload a finished layer, the first time the base image's too. A registry that gets the layer for the cache is
    /// left out: from there it will be mounted.
    pub fn send(&self, layer: &Layer, cached_in: Option<&str>) {
        self.uploads
            .start(&layer.descriptor, &self.blobs, cached_in);
        self.base.call_once(|| {
            for layer in &self.base_layers {
                self.uploads.start(layer, &self.base_blobs, None);
            }
        });
    }
}
