//! Filling the shared store with images before a build asks for them.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::side_by_side;
use crate::image::{Descriptor, Digest, ImageRef, Platform};
use crate::registry::{self, Client, RemoteImage};
use crate::store::SharedStore;

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warmed {
    /// Everything was there already, and right.
    Present,
    Stored,
}

/// What kept an image from being stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(Box<registry::Error>),
    #[error("cannot read the layer {digest}")]
    Layer { digest: Digest, source: io::Error },
    #[error(
        "the layer {digest} was not stored: the directory cannot be written to, its disk is full, or its limit too small"
    )]
    NotKept { digest: Digest },
}

/// Layers fetched at the same time.
const CONCURRENT_LAYERS: usize = 3;

/// Brings an image into the store that `client` goes through. Layers are those of `platform`.
pub fn warm(
    client: &Client,
    store: &SharedStore,
    reference: &ImageRef,
    platform: &Platform,
) -> Result<Warmed, Error> {
    let image = client.net().block_on(client.image(reference, platform));
    let image = image.map_err(|error| Error::Registry(Box::new(error)))?;
    let mut seen = BTreeSet::new();
    let layers = image.manifest.layers.iter();
    let missing: Vec<&Descriptor> = layers
        .filter(|layer| seen.insert(&layer.digest) && store.open_blob(layer).is_none())
        .collect();
    let has_failed = AtomicBool::new(false);
    let fetched = side_by_side::each(&missing, CONCURRENT_LAYERS, |layer| {
        if has_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let fetched = fetch(client, store, &image, layer);
        fetched.inspect_err(|_| has_failed.store(true, Ordering::Relaxed))
    });
    fetched.into_iter().collect::<Result<(), Error>>()?;
    Ok(match missing.is_empty() {
        true => Warmed::Present,
        false => Warmed::Stored,
    })
}

fn fetch(
    client: &Client,
    store: &SharedStore,
    image: &RemoteImage,
    layer: &Descriptor,
) -> Result<(), Error> {
    let digest = layer.digest.clone();
    let mut blob = client.blob(&image.source, layer);
    if let Err(source) = io::copy(&mut blob, &mut io::sink()) {
        return Err(Error::Layer { digest, source });
    }
    match store.has(layer) {
        true => Ok(()),
        false => Err(Error::NotKept { digest }),
    }
}
