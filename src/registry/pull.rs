//! Images from registries: manifest, choice of platform, config.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::sync::OnceCell;

use crate::image::{Descriptor, Digest, ImageConfig, ImageRef, Index, Layer, Manifest, Platform};

use super::Error;
use super::client::{Client, lock};
use super::documents::{Document, parse};
use super::insistence::Rounds;
use crate::net::retry::Retry;

/// An image in a registry: everything about it but its layers' bytes.
#[derive(Debug, Clone)]
pub struct RemoteImage {
    /// The name it was asked for by.
    pub reference: ImageRef,
    /// Where it was found, by digest: the same, or a mirror's. Its blobs are there.
    pub source: ImageRef,
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// Digest of what the tag points to: the index, if it is one.
    pub top: Digest,
    pub manifest: Manifest,
    /// The manifest exactly as the registry sent it.
    pub manifest_bytes: Bytes,
    pub config: ImageConfig,
    pub config_bytes: Bytes,
}

impl RemoteImage {
    /// Returns the layers, lowest first.
    pub fn layers(&self) -> Vec<Layer> {
        self.manifest.layers_of(&self.config)
    }
}

/// Images by name and platform, so that a name is looked up once in a build.
#[derive(Default)]
pub(super) struct Images {
    found: Mutex<HashMap<(ImageRef, Platform), Cell>>,
    /// Where else the blobs of an image may be, by where it was found.
    others: Mutex<HashMap<ImageRef, Vec<ImageRef>>>,
}

impl Images {
    /// Returns the places to go on with if one does not give a blob.
    pub(super) fn others(&self, source: &ImageRef) -> Vec<ImageRef> {
        lock(&self.others).get(source).cloned().unwrap_or_default()
    }
}

type Cell = Arc<OnceCell<Arc<RemoteImage>>>;

/// An index may hold an index; deeper than this nobody goes.
pub(super) const DEPTH: usize = 3;
/// Tries for an image that need not be there.
const EXISTING_ATTEMPTS: u32 = 6;
/// Tries for a mirror that another place follows.
pub(super) const MIRROR_ATTEMPTS: u32 = 3;

impl Client {
    /// Looks up an image and its config, from the first mirror that has it, else from its registry.
    ///
    /// The same name and platform are looked up once in this client's life.
    ///
    /// # Errors
    /// [`Error::NoPlatform`] if an index has no image for the platform; [`Error::NotMapped`] if only mirrors may be asked.
    pub async fn image(
        &self,
        reference: &ImageRef,
        platform: &Platform,
    ) -> Result<Arc<RemoteImage>, Error> {
        let key = (reference.clone(), platform.clone());
        let cell = {
            let mut images = lock(&self.0.images.found);
            Arc::clone(images.entry(key).or_default())
        };
        if cell.initialized() {
            tracing::info!("Returning cached image manifest");
        }
        let image = cell
            .get_or_try_init(|| self.find(reference, platform))
            .await?;
        Ok(Arc::clone(image))
    }

    /// Looks up an image under its own name only, afresh; `None` if there is no such image.
    ///
    /// For names that we give ourselves, such as those of cached layers: mirrors are not asked.
    pub async fn existing_image(
        &self,
        reference: &ImageRef,
        platform: &Platform,
    ) -> Result<Option<RemoteImage>, Error> {
        let retry = self.0.options.retry.at_most(EXISTING_ATTEMPTS);
        match self.find_at(reference, reference, platform, retry).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn find(
        &self,
        reference: &ImageRef,
        platform: &Platform,
    ) -> Result<Arc<RemoteImage>, Error> {
        tracing::info!("Retrieving image manifest {reference}");
        let retry = self.0.options.retry;
        let mut candidates = self
            .0
            .options
            .endpoints
            .candidates(reference)
            .into_iter()
            .peekable();
        let mut failed = None;
        while let Some(candidate) = candidates.next() {
            let host = &candidate.image.registry;
            let from = if candidate.mapped {
                "mapped registry"
            } else {
                "registry"
            };
            tracing::info!("Retrieving image {reference} from {from} {host}");
            let last = candidates.peek().is_none();
            let retry = if last {
                retry
            } else {
                retry.at_most(MIRROR_ATTEMPTS)
            };
            let find = async || {
                let image = &candidate.image;
                self.find_at(reference, image, platform, retry).await
            };
            // what a mirror does not have is not waited for: the next place is asked at once
            let may_change = |error: &Error| error.is_refusal() && (last || !error.is_absence());
            match self.insisting(&Rounds::default(), may_change, find).await {
                Ok(image) => {
                    let digest = &image.descriptor.digest;
                    let others = candidates.map(|other| other.image.with_digest(digest.clone()));
                    let mut all = lock(&self.0.images.others);
                    all.insert(image.source.clone(), others.collect());
                    return Ok(Arc::new(image));
                }
                Err(error) if candidate.mapped => {
                    tracing::warn!(
                        "Failed to retrieve image {reference} from {from} {host}: {}. Will try with the next registry, or fallback to the original registry.",
                        error.chain()
                    );
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotMapped {
            reference: reference.to_string(),
            source: failed.map(Box::new),
        })
    }

    async fn find_at(
        &self,
        reference: &ImageRef,
        source: &ImageRef,
        platform: &Platform,
        retry: Retry,
    ) -> Result<RemoteImage, Error> {
        let mut document = self.manifest(source, retry).await?;
        let top = document.digest.clone();
        for _ in 0..DEPTH {
            if !document.media_type.is_index() {
                break;
            }
            let child = choose(&parse(&document.bytes, source, "index")?, source, platform)?;
            document = self.manifest(&source.with_digest(child), retry).await?;
        }
        Ok(RemoteImage {
            reference: reference.clone(),
            top,
            ..self.image_of(source, document, retry).await?
        })
    }

    /// Makes an image of its manifest: fetches its config.
    async fn image_of(
        &self,
        source: &ImageRef,
        document: Document,
        retry: Retry,
    ) -> Result<RemoteImage, Error> {
        let (source, manifest) = self.manifest_of(source, &document)?;
        let config_bytes = self.document_blob(&source, &manifest.config, retry).await?;
        let config: ImageConfig = parse(&config_bytes, &source, "config")?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(Error::Layers {
                reference: source.to_string(),
                layers: manifest.layers.len(),
                diff_ids: config.rootfs.diff_ids.len(),
            });
        }
        let size = document.bytes.len() as u64;
        Ok(RemoteImage {
            reference: source.clone(),
            top: document.digest.clone(),
            descriptor: Descriptor::new(document.media_type, document.digest, size),
            source,
            manifest,
            manifest_bytes: document.bytes,
            config,
            config_bytes,
        })
    }

    /// Reads a manifest, and returns its name by digest too.
    pub(super) fn manifest_of(
        &self,
        source: &ImageRef,
        document: &Document,
    ) -> Result<(ImageRef, Manifest), Error> {
        if !document.media_type.is_manifest() {
            return Err(Error::NotAnImage {
                reference: source.to_string(),
                media_type: document.media_type.0.clone(),
            });
        }
        let source = source.with_digest(document.digest.clone());
        let manifest = parse(&document.bytes, &source, "manifest")?;
        Ok((source, manifest))
    }
}

/// Returns the digest of the image for a platform.
fn choose(index: &Index, reference: &ImageRef, wanted: &Platform) -> Result<Digest, Error> {
    if let Some(child) = index.choose(wanted) {
        return Ok(child.digest.clone());
    }
    // who has just one image need not say what it is for
    if let [only] = index.manifests.as_slice()
        && only.platform.is_none()
    {
        return Ok(only.digest.clone());
    }
    let platforms = index
        .manifests
        .iter()
        .filter_map(|child| child.platform.as_ref());
    let available = platforms
        .filter(|platform| platform.os != "unknown") // attestations
        .map(Platform::to_string);
    Err(Error::NoPlatform {
        reference: reference.to_string(),
        wanted: Box::new(wanted.clone()),
        available: available.collect(),
    })
}
