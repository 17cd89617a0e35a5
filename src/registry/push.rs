//! Blobs and manifests to registries.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::image::{Descriptor, Digest, ImageRef, MediaType};

use super::auth::Scope;
use super::client::{Client, Request, Target};
use super::pull::{content_digest, manifest_request};
use super::upload::Upload;
use super::{Error, transfer};

/// Where a blob's bytes come from, as often as they are needed.
#[derive(Clone)]
pub struct Source {
    /// Opens the blob at its first byte; called on a thread that may block.
    pub open: Open,
    /// A repository that has the blob, for mounting; used only if it is on the same registry.
    pub mount_from: Option<ImageRef>,
}

/// Opens a stream of bytes from its beginning.
pub type Open = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Existed,
    Mounted,
    Uploaded,
}

/// Redirects of one upload that are followed.
const REDIRECT_LIMIT: usize = 5;

impl Client {
    /// Tells whether a repository has a blob.
    ///
    /// Who may push but not read is told 403 here; that counts as no, since the upload will show.
    pub async fn blob_exists(&self, image: &ImageRef, digest: &Digest) -> Result<bool, Error> {
        let path = Target::Path(format!("/v2/{}/blobs/{digest}", image.repository));
        let scope = Scope::push(&image.repository);
        let request = Request::new(&image.registry, scope, Method::HEAD, path);
        match self.send_once(&request, None).await {
            Ok(_) => Ok(true),
            Err(error) => match error.status() {
                Some(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Brings a blob into a repository: not at all if it is there, by mounting if that is granted, else by upload.
    ///
    /// A failure that may pass restarts this blob only, from a newly opened source.
    ///
    /// # Errors
    /// [`Error::Source`] if the source cannot be read or has another size than the descriptor.
    pub async fn push_blob(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
    ) -> Result<Pushed, Error> {
        let retry = self.0.options.retry;
        let attempt = async || self.push_blob_once(image, descriptor, source).await;
        let pushed = match self.retrying(retry, attempt).await {
            // the upload or its token ended early; what a new one says is final
            Err(error) if matches!(error.status().map(|s| s.as_u16()), Some(401 | 404 | 416)) => {
                tracing::debug!("upload of {} starts anew: {error}", descriptor.digest);
                self.retrying(retry, attempt).await
            }
            result => result,
        }?;
        if pushed != Pushed::Uploaded {
            self.net().timeline().skip(descriptor.size);
        }
        Ok(pushed)
    }

    async fn push_blob_once(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
    ) -> Result<Pushed, Error> {
        if self.blob_exists(image, &descriptor.digest).await? {
            return Ok(Pushed::Existed);
        }
        let mut location = None;
        if let Some(from) = &source.mount_from
            && from.registry == image.registry
            && from.repository != image.repository
        {
            match self
                .mount(image, &descriptor.digest, &from.repository)
                .await
            {
                Ok(None) => return Ok(Pushed::Mounted),
                Ok(Some(upload)) => location = Some(upload),
                Err(error) => {
                    tracing::debug!("cannot mount from {}: {}", from.name(), error.chain())
                }
            }
        }
        let location = match location {
            Some(location) => location,
            None => self.open_upload(image).await?,
        };
        let location = match descriptor.size {
            0 => location,
            _ => self.patch(image, descriptor, source, location).await?,
        };
        self.close_upload(image, &descriptor.digest, location)
            .await?;
        Ok(Pushed::Uploaded)
    }

    /// Asks for a blob of another repository; returns an opened upload where the registry would rather have the bytes.
    async fn mount(
        &self,
        image: &ImageRef,
        digest: &Digest,
        from: &str,
    ) -> Result<Option<Url>, Error> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("mount", digest.as_str())
            .append_pair("from", from);
        let path = format!("/v2/{}/blobs/uploads/?{}", image.repository, query.finish());
        let scope = Scope::mount(&image.repository, from);
        let request = Request::new(&image.registry, scope, Method::POST, Target::Path(path))
            .header(CONTENT_LENGTH, "0");
        let response = self.send_once(&request, None).await?;
        match response.status() {
            StatusCode::CREATED => Ok(None),
            _ => location(image, &request.method, &response).map(Some),
        }
    }

    async fn open_upload(&self, image: &ImageRef) -> Result<Url, Error> {
        let request = upload_request(image);
        let response = self.send_once(&request, None).await?;
        location(image, &request.method, &response)
    }

    /// Sends all bytes in one request; returns where the upload goes on.
    async fn patch(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
        mut target: Url,
    ) -> Result<Url, Error> {
        for _ in 0..REDIRECT_LIMIT {
            let scope = Scope::push(&image.repository);
            let request = Request::new(
                &image.registry,
                scope,
                Method::PATCH,
                Target::Url(target.clone()),
            )
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, &descriptor.size.to_string());
            let (upload, body) = Upload::start(self.net(), source, descriptor);
            let line = transfer::line(&image.registry, &image.repository, &Method::PATCH, &target);
            let stalled = |limit| Error::Stalled {
                request: Box::new(line.clone()),
                limit,
            };
            let sending = self.send_once(&request, Some(body));
            let response = upload.watch(descriptor, sending, stalled).await?;
            let next = match response.headers().contains_key(LOCATION) {
                true => location(image, &Method::PATCH, &response)?,
                false => target, // then the upload stays where it was
            };
            if !response.status().is_redirection() {
                return Ok(next);
            }
            target = next;
        }
        let line = transfer::line(&image.registry, &image.repository, &Method::PATCH, &target);
        Err(Error::Protocol {
            request: Box::new(line),
            reason: format!("more than {REDIRECT_LIMIT} redirects"),
        })
    }

    async fn close_upload(
        &self,
        image: &ImageRef,
        digest: &Digest,
        mut target: Url,
    ) -> Result<(), Error> {
        target
            .query_pairs_mut()
            .append_pair("digest", digest.as_str());
        let scope = Scope::push(&image.repository);
        let request = Request::new(&image.registry, scope, Method::PUT, Target::Url(target))
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, "0");
        let response = self.send_once(&request, None).await?;
        self.same_digest(image, "blob", digest, &response)
    }

    /// Puts a manifest or an index under a reference's tag, or its digest if it has no tag, and returns its digest.
    ///
    /// Nothing is sent if the tag points to the same digest already.
    pub async fn push_manifest(
        &self,
        image: &ImageRef,
        bytes: Bytes,
        media_type: &MediaType,
    ) -> Result<Digest, Error> {
        let digest = Digest::of(&bytes);
        let tag = ImageRef {
            digest: image.digest.clone().filter(|_| image.tag.is_none()),
            ..image.clone()
        };
        let head = manifest_request(&tag, Method::HEAD, Scope::push(&image.repository));
        // who may push need not be allowed to look
        if let Ok(response) = self.send_once(&head, None).await
            && content_digest(response.headers()).as_ref() == Some(&digest)
        {
            tracing::info!("existing manifest: {}@{digest}", image.name());
            return Ok(digest);
        }
        let path = format!(
            "/v2/{}/manifests/{}",
            tag.repository,
            tag.manifest_reference()
        );
        let scope = Scope::push(&tag.repository);
        let mut request = Request::new(&tag.registry, scope, Method::PUT, Target::Path(path))
            .header(CONTENT_TYPE, media_type.as_str());
        request.body = bytes;
        let response = self.send(&request).await?;
        self.same_digest(image, "manifest", &digest, &response)?;
        Ok(digest)
    }

    fn same_digest(
        &self,
        image: &ImageRef,
        what: &'static str,
        expected: &Digest,
        response: &Response,
    ) -> Result<(), Error> {
        match content_digest(response.headers()) {
            Some(got) if got != *expected => Err(Error::WrongDigest {
                what,
                repository: image.name(),
                expected: expected.clone(),
                got,
            }),
            _ => Ok(()),
        }
    }

    /// Finds out whether a push to a repository would be refused, by opening an upload and dropping it.
    ///
    /// Only a definite answer counts: a registry that is overloaded or broken just now may be well when the build ends.
    ///
    /// # Errors
    /// [`Error::Permission`] if the registry refuses or cannot be reached at all.
    pub async fn check_push_permission(&self, image: &ImageRef) -> Result<(), Error> {
        let request = upload_request(image);
        let error = match self.send(&request).await {
            Ok(response) => {
                self.abandon(image, &response);
                return Ok(());
            }
            Err(error) => error,
        };
        let overloaded = error.status().is_some() && error.is_transient();
        if overloaded {
            tracing::warn!(
                "push permission for {image} could not be checked: {}",
                error.chain()
            );
            return Ok(());
        }
        tracing::warn!(
            "make sure you entered the correct tag name, that you are authenticated correctly, and try again."
        );
        if self.0.options.credentials.has_inline() {
            tracing::warn!(
                "DOCKER_AUTH_CONFIG is set: its entries are used before those of the Docker config file"
            );
            tracing::warn!("unset DOCKER_AUTH_CONFIG if the credentials shall come from elsewhere");
        }
        Err(Error::Permission {
            reference: image.to_string(),
            source: Box::new(error),
        })
    }

    /// Cancels an upload without waiting for it.
    fn abandon(&self, image: &ImageRef, response: &Response) {
        let Ok(target) = location(image, &Method::POST, response) else {
            return;
        };
        let (client, image) = (self.clone(), image.clone());
        self.net().spawn(async move {
            let scope = Scope::push(&image.repository);
            let request = Request::new(&image.registry, scope, Method::DELETE, Target::Url(target));
            if let Err(error) = client.send_once(&request, None).await {
                tracing::debug!("an upload was left open: {error}");
            }
        });
    }
}

fn upload_request(image: &ImageRef) -> Request<'_> {
    let path = format!("/v2/{}/blobs/uploads/", image.repository);
    let scope = Scope::push(&image.repository);
    Request::new(&image.registry, scope, Method::POST, Target::Path(path))
        .header(CONTENT_LENGTH, "0")
        .header(CONTENT_TYPE, "application/json")
}

/// Returns where an answer says that the upload goes on; relative to what was asked.
///
/// A registry behind a proxy that ends TLS may not know that it is asked by https, so the same host is upgraded.
fn location(image: &ImageRef, method: &Method, response: &Response) -> Result<Url, Error> {
    let asked = response.url();
    let value = response.headers().get(LOCATION);
    let text = value.and_then(|value| value.to_str().ok());
    let url = text.and_then(|text| asked.join(text).ok());
    match url {
        Some(mut url) if matches!(url.scheme(), "http" | "https") => {
            let same_host = url.host() == asked.host();
            if same_host
                && asked.scheme() == "https"
                && url.scheme() == "http"
                && url.port().is_none()
            {
                url = Url::parse(&url.as_str().replacen("http", "https", 1)).unwrap_or(url);
            }
            Ok(url)
        }
        _ => Err(Error::Protocol {
            request: Box::new(transfer::line(
                &image.registry,
                &image.repository,
                method,
                asked,
            )),
            reason: format!("the answer {} says no Location", response.status()),
        }),
    }
}
