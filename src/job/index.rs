//! `executor index create`: images that were pushed one by one become one name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::making::index_family;
use crate::image::{Descriptor, ImageRef, Platform};
use crate::output::push::Layers;
use crate::output::{BuiltImage, BuiltIndex, Product};
use crate::registry::{self, Client, RemoteImage};
use crate::store::BlobStore;

/// What kept images from becoming an index.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(Box<registry::Error>),
    #[error("two of the images are for {platform}")]
    SamePlatform { platform: Box<Platform> },
}

/// Returns an index of all images that the sources are or hold; what is in it twice counts once.
///
/// # Errors
/// [`Error::SamePlatform`] if two of them are for one platform.
pub fn join(client: &Client, sources: &[ImageRef], scratch: &BlobStore) -> Result<Product, Error> {
    let mut manifests: Vec<Descriptor> = Vec::new();
    let mut images = Vec::new();
    for source in sources {
        let found = client.net().block_on(client.every_image(source));
        for (descriptor, image) in found.map_err(|error| Error::Registry(Box::new(error)))? {
            if manifests
                .iter()
                .any(|other| other.digest == descriptor.digest)
            {
                continue;
            }
            let platform = descriptor.platform.as_ref();
            let platform = platform.filter(|platform| platform.os != "unknown"); // attestations
            if let Some(platform) = platform
                && manifests
                    .iter()
                    .any(|other| other.platform.as_ref() == Some(platform))
            {
                let platform = Box::new(platform.clone());
                return Err(Error::SamePlatform { platform });
            }
            manifests.push(descriptor);
            images.push(built(client, &image, scratch));
        }
    }
    let index = BuiltIndex::new(index_family(&images), manifests, BTreeMap::new());
    Ok(Product::new(images, index))
}

/// Takes an image that is in a registry as it is.
fn built(client: &Client, image: &RemoteImage, scratch: &BlobStore) -> BuiltImage {
    let layers = image.manifest.layers.iter();
    let remote = layers.chain([&image.manifest.config]);
    let remote = remote.map(|blob| (blob.digest.clone(), image.source.clone()));
    BuiltImage {
        manifest_bytes: image.manifest_bytes.to_vec(),
        media_type: image.descriptor.media_type.clone(),
        digest: image.descriptor.digest.clone(),
        manifest: image.manifest.clone(),
        config_bytes: image.config_bytes.to_vec(),
        blobs: Arc::new(Layers {
            store: scratch.clone(),
            remote: remote.collect(),
            client: client.clone(),
        }),
    }
}
