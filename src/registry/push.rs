//! Blobs to registries: found there, mounted, or uploaded.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response};
use url::Url;

use crate::image::{Descriptor, Digest, ImageRef};
use crate::net::retry::Backoff;

use super::auth::Scope;
use super::client::{Client, Request, Target};
use super::manifests::content_digest;
use super::mount::Mount;
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

/// How the bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With the request that ends the upload, as BuildKit does.
    AtOnce,
    /// In a request of their own first, as Docker does.
    Apart,
}

/// Redirects of one upload that are followed.
const REDIRECT_LIMIT: usize = 5;
/// A blob smaller than this is sent without asking whether it is there, which would cost more.
const WORTH_ASKING: u64 = 64 << 10;

impl Client {
    /// Brings a blob into a repository: by mounting if that is granted, not at all if it is there, else by upload.
    ///
    /// What was found to be damaged in the registry is uploaded in any case, and read back.
    ///
    /// A failure that may pass restarts this blob only, from a newly opened source. A refusal is met by the further tries that were
    /// asked for, which are those of all pushes to the repository.
    ///
    /// # Errors
    /// [`Error::Source`] if the source cannot be read or has another size than the descriptor; [`Error::KeptDamaged`].
    pub async fn push_blob(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
    ) -> Result<Pushed, Error> {
        let push = async || self.push_blob_once(image, descriptor, source).await;
        let rounds = self.0.shared.insistence.rounds(image.name());
        self.insisting(&rounds, Error::is_refusal, push).await
    }

    /// Does the same, but takes a refusal for an answer, whatever number of tries was asked for.
    pub async fn push_blob_once(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
    ) -> Result<Pushed, Error> {
        let pushed = self.bring(image, descriptor, source).await?;
        if pushed == Pushed::Uploaded && self.is_damaged(&image.registry, &descriptor.digest) {
            self.check_replaced(image, descriptor).await?;
        }
        if pushed != Pushed::Uploaded {
            self.net().timeline().skip(descriptor.size);
        }
        Ok(pushed)
    }

    async fn bring(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
    ) -> Result<Pushed, Error> {
        let elsewhere = source
            .mount_from
            .as_ref()
            .filter(|from| from.registry == image.registry && from.repository != image.repository);
        if let Some(from) = elsewhere
            && !self.is_damaged(&image.registry, &descriptor.digest)
        {
            match self.mount(image, &descriptor.digest, from).await {
                Mount::Done => return Ok(Pushed::Mounted),
                Mount::Upload(upload) => self.put_aside(image, upload),
                Mount::Refused => {}
            }
        }
        if self.is_found(image, descriptor).await? {
            return Ok(Pushed::Existed);
        }
        let mut upload = match self.take_spare(image) {
            Some(upload) => upload,
            None => self.open_upload(image).await?,
        };
        let mut backoff = Backoff::new(self.0.options.retry);
        let mut way = Way::AtOnce;
        loop {
            let attempt = self.upload(image, descriptor, source, upload, way).await;
            let Err(error) = attempt else {
                return Ok(Pushed::Uploaded);
            };
            let delay = if error.is_transient() {
                backoff.next(error.retry_after())
            } else if way == Way::AtOnce && is_worth_another_way(&error) {
                way = Way::Apart;
                Some(Duration::ZERO)
            } else {
                None
            };
            let Some(delay) = delay else {
                return Err(error);
            };
            match delay {
                Duration::ZERO => tracing::debug!(
                    "upload of {} starts anew: {}",
                    descriptor.digest,
                    error.chain()
                ),
                _ => tracing::warn!(
                    "Retrying operation after {delay:.1?} due to {}",
                    error.chain()
                ),
            }
            tokio::time::sleep(delay).await;
            // it may have got there whole, and only the answer not back
            if self.is_found(image, descriptor).await? {
                return Ok(Pushed::Existed);
            }
            upload = self.open_upload(image).await?;
        }
    }

    /// Tells whether a blob is there, unless it is so small that it is not worth asking, or known to be damaged.
    async fn is_found(&self, image: &ImageRef, descriptor: &Descriptor) -> Result<bool, Error> {
        if descriptor.size < WORTH_ASKING || self.is_damaged(&image.registry, &descriptor.digest) {
            return Ok(false);
        }
        self.blob_exists(image, descriptor).await
    }

    async fn open_upload(&self, image: &ImageRef) -> Result<Url, Error> {
        let request = upload_request(image);
        let response = self.send(&request).await?;
        location(image, &request.method, &response)
    }

    /// Sends a blob to an open upload and ends it.
    async fn upload(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
        target: Url,
        way: Way,
    ) -> Result<(), Error> {
        let response = match way {
            Way::AtOnce if descriptor.size > 0 => {
                let target = ending(target, &descriptor.digest);
                let sending = self.stream(image, descriptor, source, Method::PUT, target);
                sending.await?.0
            }
            _ => {
                let target = match descriptor.size {
                    0 => target,
                    _ => self.patch(image, descriptor, source, target).await?,
                };
                let target = Target::Url(ending(target, &descriptor.digest));
                let scope = Scope::push(&image.repository);
                let request = Request::new(&image.registry, scope, Method::PUT, target)
                    .header(CONTENT_TYPE, OCTETS)
                    .header(CONTENT_LENGTH, "0");
                self.send_once(&request, None).await?
            }
        };
        same_digest(image, "blob", &descriptor.digest, &response)
    }

    /// Sends all bytes in a request of their own; returns where the upload goes on.
    async fn patch(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
        target: Url,
    ) -> Result<Url, Error> {
        let sending = self.stream(image, descriptor, source, Method::PATCH, target);
        let (response, asked) = sending.await?;
        match response.headers().contains_key(LOCATION) {
            true => location(image, &Method::PATCH, &response),
            false => Ok(asked), // then the upload stays where it was
        }
    }

    /// Sends a request with the blob's bytes, to wherever it is redirected; returns the answer and who gave it.
    async fn stream(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
        source: &Source,
        method: Method,
        mut target: Url,
    ) -> Result<(Response, Url), Error> {
        for _ in 0..REDIRECT_LIMIT {
            let scope = Scope::push(&image.repository);
            let url = Target::Url(target.clone());
            let request = Request::new(&image.registry, scope, method.clone(), url)
                .header(CONTENT_TYPE, OCTETS)
                .header(CONTENT_LENGTH, &descriptor.size.to_string());
            let (upload, body) = Upload::start(self.net(), source, descriptor);
            let line = transfer::line(&image.registry, &image.repository, &method, &target);
            let stalled = |limit| Error::Stalled {
                request: Box::new(line.clone()),
                limit,
            };
            let sending = self.send_once(&request, Some(body));
            let response = upload.watch(descriptor, sending, stalled).await?;
            if !response.status().is_redirection() {
                return Ok((response, target));
            }
            target = location(image, &method, &response)?;
        }
        Err(Error::Protocol {
            request: Box::new(transfer::line(
                &image.registry,
                &image.repository,
                &method,
                &target,
            )),
            reason: format!("more than {REDIRECT_LIMIT} redirects"),
        })
    }
}

const OCTETS: &str = "application/octet-stream";

/// Tells whether an upload that was refused may go well from its beginning, and in smaller steps: it or its token ended
/// early, or the registry does not take the bytes with the last request.
fn is_worth_another_way(error: &Error) -> bool {
    let status = error.status().map(|status| status.as_u16());
    matches!(status, Some(400 | 401 | 404 | 405 | 411 | 415 | 416 | 501))
}

/// Returns the URL that ends an upload.
fn ending(mut target: Url, digest: &Digest) -> Url {
    target
        .query_pairs_mut()
        .append_pair("digest", digest.as_str());
    target
}

pub(super) fn same_digest(
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

pub(super) fn upload_request(image: &ImageRef) -> Request<'_> {
    let path = format!("/v2/{}/blobs/uploads/", image.repository);
    let scope = Scope::push(&image.repository);
    Request::new(&image.registry, scope, Method::POST, Target::Path(path))
        .header(CONTENT_LENGTH, "0")
        .header(CONTENT_TYPE, "application/json")
}

/// Returns where an answer says that the upload goes on; relative to what was asked.
///
/// A registry behind a proxy that ends TLS may not know that it is asked by https, so the same host is upgraded.
pub(super) fn location(
    image: &ImageRef,
    method: &Method,
    response: &Response,
) -> Result<Url, Error> {
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
