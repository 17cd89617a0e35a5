//! Images from registries: manifest, choice of platform, config.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::image::media_type::{OCI_INDEX, OCI_MANIFEST};
use crate::image::{
    Descriptor, Digest, ImageConfig, ImageRef, Index, Layer, Manifest, MediaType, Platform, json,
};

use super::Error;
use super::auth::Scope;
use super::client::{Client, Request, Target, lock};
use super::manifests::{content_digest, manifest_request};
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

/// One document from a registry, with what it is.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) media_type: MediaType,
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

const MANIFEST_LIMIT: u64 = 8 << 20;
const CONFIG_LIMIT: u64 = 32 << 20;
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

    /// Tells whether a repository has a blob in full length, as far as its registry says.
    ///
    /// A registry that answers anything but 404 to the question is believed to have it: reading will show.
    pub async fn has_whole_blob(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
    ) -> Result<bool, Error> {
        let path = format!("/v2/{}/blobs/{}", image.repository, descriptor.digest);
        let scope = Scope::pull(&image.repository);
        let request = Request::new(&image.registry, scope, Method::HEAD, Target::Path(path));
        let response = match self.send_once(&request, None).await {
            Ok(response) => response,
            Err(error) => match error.status() {
                Some(StatusCode::NOT_FOUND) => return Ok(false),
                Some(_) => return Ok(true),
                None => return Err(error),
            },
        };
        let size = response.headers().get(CONTENT_LENGTH);
        let size: Option<u64> = size.and_then(|size| size.to_str().ok()?.parse().ok());
        let is_whole = size.is_none_or(|size| size == descriptor.size);
        if !is_whole {
            self.note_damage(&image.registry, &descriptor.digest);
        }
        Ok(is_whole)
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
            match self
                .find_at(reference, &candidate.image, platform, retry)
                .await
            {
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

    /// Pulls a manifest or an index and verifies its digest, where the reference has one.
    pub(super) async fn manifest(
        &self,
        reference: &ImageRef,
        retry: Retry,
    ) -> Result<Document, Error> {
        if let Some(document) = self.stored_manifest(reference).await {
            return Ok(document);
        }
        let request = manifest_request(reference, Method::GET, Scope::pull(&reference.repository));
        let (headers, bytes) = self
            .fetch(&request, retry, MANIFEST_LIMIT, is_whole_json)
            .await?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = &reference.digest
            && *expected != digest
        {
            return Err(Error::WrongDigest {
                what: "manifest",
                repository: reference.name(),
                expected: expected.clone(),
                got: digest,
            });
        }
        let media_type = media_type(&headers, &bytes, reference)?;
        self.keep_document(&bytes);
        Ok(Document {
            media_type,
            digest,
            bytes,
        })
    }

    /// Returns a manifest or an index of the shared store. What a tag points to is asked for each time.
    async fn stored_manifest(&self, reference: &ImageRef) -> Option<Document> {
        let store = self.0.options.store.as_ref()?;
        let digest = match &reference.digest {
            Some(digest) => digest.clone(),
            None => {
                let scope = Scope::pull(&reference.repository);
                let request = manifest_request(reference, Method::HEAD, scope);
                // what is wrong will be said when the manifest itself is asked for
                let response = self.send_once(&request, None).await.ok()?;
                content_digest(response.headers())?
            }
        };
        let bytes = Bytes::from(store.document(&digest)?);
        let media_type = media_type(&HeaderMap::new(), &bytes, reference).ok()?;
        tracing::info!("Found {digest} in local cache");
        Some(Document {
            media_type,
            digest,
            bytes,
        })
    }

    fn keep_document(&self, bytes: &[u8]) {
        if let Some(store) = &self.0.options.store {
            store.keep_document(bytes);
        }
    }

    /// Pulls a blob that is small enough for memory, and verifies it.
    pub(super) async fn document_blob(
        &self,
        source: &ImageRef,
        descriptor: &Descriptor,
        retry: Retry,
    ) -> Result<Bytes, Error> {
        let store = self.0.options.store.as_ref();
        if let Some(bytes) = store.and_then(|store| store.document(&descriptor.digest)) {
            return Ok(bytes.into());
        }
        let path = format!("/v2/{}/blobs/{}", source.repository, descriptor.digest);
        let scope = Scope::pull(&source.repository);
        let request = Request::new(&source.registry, scope, Method::GET, Target::Path(path));
        let is_whole = |bytes: &[u8]| bytes.len() as u64 >= descriptor.size;
        let (_, bytes) = self.fetch(&request, retry, CONFIG_LIMIT, is_whole).await?;
        let got = Digest::of(&bytes);
        if got != descriptor.digest {
            return Err(Error::WrongDigest {
                what: "config",
                repository: source.name(),
                expected: descriptor.digest.clone(),
                got,
            });
        }
        self.keep_document(&bytes);
        Ok(bytes)
    }
}

/// Tells whether a document has an end: one that a proxy cut short may come with a length that fits.
fn is_whole_json(bytes: &[u8]) -> bool {
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(bytes);
    !parsed.is_err_and(|error| error.is_eof())
}

/// Returns what a document is: by its own word, else by the registry's, else by its form.
fn media_type(headers: &HeaderMap, bytes: &[u8], reference: &ImageRef) -> Result<MediaType, Error> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(rename = "mediaType", default)]
        media_type: Option<MediaType>,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
        #[serde(default)]
        layers: Option<serde::de::IgnoredAny>,
    }
    let form: Form = parse(bytes, reference, "manifest")?;
    let header = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .map(|text| MediaType::from(text.trim()))
        .filter(|header| header.is_index() || header.is_manifest());
    Ok(match (form.media_type, header) {
        (Some(own), _) => own,
        (None, Some(header)) => header,
        _ if form.manifests.is_some() => MediaType::from(OCI_INDEX),
        _ if form.layers.is_some() => MediaType::from(OCI_MANIFEST),
        _ => MediaType::from("application/vnd.docker.distribution.manifest.v1+json"),
    })
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

pub(super) fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    reference: &ImageRef,
    what: &'static str,
) -> Result<T, Error> {
    json::from_slice(bytes).map_err(|source| {
        let reference = reference.to_string();
        match bytes.trim_ascii_start().first() {
            Some(b'<') => Error::WebPage { reference, what },
            _ => Error::Document {
                reference,
                what,
                source,
            },
        }
    })
}
