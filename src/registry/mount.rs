//! Blobs that another repository of the same registry has.

use std::collections::BTreeSet;
use std::sync::Mutex;

use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, StatusCode};
use url::Url;

use crate::image::{Digest, ImageRef};

use super::Error;
use super::auth::Scope;
use super::client::{Client, Request, Target, lock};
use super::push::location;

/// Pairs of repositories, target and source, of which nothing is to be had by mounting.
#[derive(Default)]
pub(super) struct Mounts(Mutex<BTreeSet<(String, String)>>);

/// What came of asking for a mount.
pub(super) enum Mount {
    Done,
    /// The registry would rather have the bytes, and opened an upload for them.
    Upload(Url),
    Refused,
}

/// Tries for a mount, which an upload can replace.
const ATTEMPTS: u32 = 4;

impl Client {
    /// Asks for a blob of another repository of the same registry; after a refusal never again for these two repositories.
    pub(super) async fn mount(&self, image: &ImageRef, digest: &Digest, from: &ImageRef) -> Mount {
        let pair = (image.name(), from.name());
        if lock(&self.0.shared.mounts.0).contains(&pair) {
            return Mount::Refused;
        }
        let mount = match self.ask_mount(image, digest, &from.repository).await {
            Ok(None) => return Mount::Done,
            Ok(Some(upload)) => Mount::Upload(upload),
            Err(error) => {
                tracing::debug!("cannot mount from {}: {}", from.name(), error.chain());
                Mount::Refused
            }
        };
        lock(&self.0.shared.mounts.0).insert(pair);
        mount
    }

    async fn ask_mount(
        &self,
        image: &ImageRef,
        digest: &Digest,
        from: &str,
    ) -> Result<Option<Url>, Error> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("mount", digest.as_str())
            .append_pair("from", from)
            .finish();
        let path = format!("/v2/{}/blobs/uploads/?{query}", image.repository);
        let scope = Scope::mount(&image.repository, from);
        let request = Request::new(&image.registry, scope, Method::POST, Target::Path(path))
            .header(CONTENT_LENGTH, "0");
        let retry = self.0.options.retry.at_most(ATTEMPTS);
        let send = || self.send_once(&request, None);
        let response = self.retrying(retry, send).await?;
        match response.status() {
            StatusCode::CREATED => Ok(None),
            _ => location(image, &request.method, &response).map(Some),
        }
    }
}
