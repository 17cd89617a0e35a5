//! Manifests, indexes and configs: fetched, verified, and told apart.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::image::media_type::{OCI_INDEX, OCI_MANIFEST};
use crate::image::{Descriptor, Digest, ImageRef, MediaType, json};
use crate::net::retry::Retry;

use super::Error;
use super::auth::Scope;
use super::client::{Client, Request, Target};
use super::manifests::{content_digest, manifest_request};

/// One document from a registry, with what it is.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) media_type: MediaType,
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
}

const MANIFEST_LIMIT: u64 = 8 << 20;
const CONFIG_LIMIT: u64 = 32 << 20;
impl Client {
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
