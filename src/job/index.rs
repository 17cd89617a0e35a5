//! `executor index create`: images that were pushed one by one become one name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use tracing::info;

use super::product::index_family;
use crate::image::{Descriptor, ImageRef, Platform};
use crate::log::units;
use crate::output::{BuiltImage, BuiltIndex, Layers, Product};
use crate::registry::{self, Client, Member};
use crate::store::BlobStore;

/// What kept images from becoming an index.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(Box<registry::Error>),
    #[error("two of the images are for {platform}")]
    SamePlatform { platform: Box<Platform> },
    #[error("nobody pushed {image} within {limit:?}")]
    Waited {
        image: Box<ImageRef>,
        limit: Duration,
    },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.help(),
            Self::SamePlatform { .. } => None,
            Self::Waited { .. } => {
                Some("look at how its build ended; --wait says how long to wait for it".into())
            }
        }
    }
}

/// Between two looks; the first is a short one.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// Returns an index of all images that the sources are or hold; what is in it twice counts once.
///
/// # Errors
/// [`Error::SamePlatform`] if two of them are for one platform, and [`Error::Waited`] if one was not there in time.
pub fn join(
    client: &Client,
    sources: &[ImageRef],
    wait: Duration,
    scratch: &BlobStore,
) -> Result<Product, Error> {
    let start = Instant::now();
    let mut manifests: Vec<Descriptor> = Vec::new();
    let mut images = Vec::new();
    for source in sources {
        for image in found(client, source, wait, start)? {
            let descriptor = image.descriptor.clone();
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

/// Looks up the images of a source; while it is not there, again and again until the time is over.
fn found(
    client: &Client,
    source: &ImageRef,
    wait: Duration,
    start: Instant,
) -> Result<Vec<Member>, Error> {
    let last = PAUSES[PAUSES.len() - 1];
    for number in 0.. {
        let error = match client.net().block_on(client.every_image(source)) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        if wait.is_zero() || error.status() != Some(StatusCode::NOT_FOUND) {
            return Err(Error::Registry(Box::new(error)));
        }
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            break;
        }
        if number == 0 {
            let limit = units::time(wait);
            info!(
                "Waiting for {source}, {limit} at most; that its build failed does not show here"
            );
        }
        let pause = PAUSES.get(number).copied().unwrap_or(last);
        std::thread::sleep(pause.min(left));
    }
    Err(Error::Waited {
        image: Box::new(source.clone()),
        limit: wait,
    })
}

/// Takes an image that is in a registry as it is.
fn built(client: &Client, image: &Member, scratch: &BlobStore) -> BuiltImage {
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
