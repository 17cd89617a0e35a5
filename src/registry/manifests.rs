//! Manifests and indexes under their tags: what is there, and putting them there.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, StatusCode};

use crate::image::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::image::{Digest, ImageRef, MediaType};

use super::Error;
use super::auth::Scope;
use super::client::{Client, Request, Target};
use super::push::same_digest;

/// How long to wait when a registry does not see a blob yet that it has just taken, or that another upload is bringing too.
const BLOB_WAITS: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_secs(2),
];

impl Client {
    /// Returns the digest a reference points to, without pulling it, or `None` if there is no such image.
    ///
    /// Mirrors are not asked.
    pub async fn manifest_digest(&self, reference: &ImageRef) -> Result<Option<Digest>, Error> {
        let request = manifest_request(reference, Method::HEAD, Scope::pull(&reference.repository));
        let response = match self.send(&request).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
            result => result?,
        };
        Ok(content_digest(response.headers()))
    }

    /// Tells whether a reference already points to a digest, so that nothing needs to be pushed.
    ///
    /// A registry that does not tell has to be given everything; who may push need not be allowed to look.
    pub async fn points_to(&self, reference: &ImageRef, digest: &Digest) -> bool {
        let scope = Scope::push(&reference.repository);
        let request = manifest_request(reference, Method::HEAD, scope);
        match self.send_once(&request, None).await {
            Ok(response) => content_digest(response.headers()).as_ref() == Some(digest),
            Err(error) => {
                tracing::debug!("no manifest: {error}");
                false
            }
        }
    }

    /// Puts a manifest or an index under a reference's digest, or its tag if it has no digest, and returns its digest.
    pub async fn put_manifest(
        &self,
        image: &ImageRef,
        bytes: Bytes,
        media_type: &MediaType,
    ) -> Result<Digest, Error> {
        let digest = Digest::of(&bytes);
        let path = format!(
            "/v2/{}/manifests/{}",
            image.repository,
            image.manifest_reference()
        );
        let scope = Scope::push(&image.repository);
        let mut request = Request::new(&image.registry, scope, Method::PUT, Target::Path(path))
            .header(CONTENT_TYPE, media_type.as_str());
        request.body = bytes;
        let rounds = self.0.shared.insistence.rounds(image.name());
        let put = async || self.put_with_blobs(&request).await;
        let response = self.insisting(&rounds, Error::is_refusal, put).await?;
        same_digest(image, "manifest", &digest, &response)?;
        Ok(digest)
    }

    /// Puts a manifest, and waits a little if the registry has not noticed yet that a blob is there.
    async fn put_with_blobs(&self, request: &Request<'_>) -> Result<Response, Error> {
        let mut waits = BLOB_WAITS.iter();
        loop {
            match self.send(request).await {
                Err(error) if error.misses_a_blob() => match waits.next() {
                    Some(wait) => tokio::time::sleep(*wait).await,
                    None => return Err(error),
                },
                answer => return answer,
            }
        }
    }

    /// Puts a manifest or an index under a reference, unless that points to it already, and returns its digest.
    pub async fn push_manifest(
        &self,
        image: &ImageRef,
        bytes: Bytes,
        media_type: &MediaType,
    ) -> Result<Digest, Error> {
        let digest = Digest::of(&bytes);
        if self.points_to(image, &digest).await {
            tracing::info!("existing manifest: {}@{digest}", image.name());
            return Ok(digest);
        }
        self.put_manifest(image, bytes, media_type).await
    }
}

pub(super) fn manifest_request(reference: &ImageRef, method: Method, scope: Scope) -> Request<'_> {
    let path = format!(
        "/v2/{}/manifests/{}",
        reference.repository,
        reference.manifest_reference()
    );
    let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
    Request::new(&reference.registry, scope, method, Target::Path(path)).header(ACCEPT, &accept)
}

pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?;
    value.to_str().ok()?.parse().ok()
}
