//! Uploads that were opened and not used yet.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use url::Url;

use crate::image::ImageRef;

use super::auth::Scope;
use super::client::{Client, Request, Target, lock};

/// Open uploads by repository, each with when it was opened.
#[derive(Default)]
pub(super) struct Spares(Mutex<BTreeMap<String, Vec<Spare>>>);

struct Spare {
    image: ImageRef,
    target: Url,
    since: Instant,
}

/// An upload older than this may have been forgotten by the registry.
const FRESH: Duration = Duration::from_secs(300);
/// How long the end of a job waits for registries to drop uploads.
const CLOSING_LIMIT: Duration = Duration::from_secs(2);

impl Client {
    /// Keeps an open upload for the next blob that goes to the same repository.
    pub(super) fn put_aside(&self, image: &ImageRef, target: Url) {
        let spare = Spare {
            image: image.clone(),
            target,
            since: Instant::now(),
        };
        let mut spares = lock(&self.0.shared.spares.0);
        spares.entry(image.name()).or_default().push(spare);
    }

    /// Returns an open upload that nobody uses, if there is one.
    pub(super) fn take_spare(&self, image: &ImageRef) -> Option<Url> {
        let mut spares = lock(&self.0.shared.spares.0);
        let of_repository = spares.get_mut(&image.name())?;
        let fresh = of_repository
            .iter()
            .position(|spare| spare.since.elapsed() < FRESH)?;
        Some(of_repository.swap_remove(fresh).target)
    }

    /// Cancels uploads that were opened and never used; for the end of a job, and without a promise.
    pub async fn close(&self) {
        let spares = std::mem::take(&mut *lock(&self.0.shared.spares.0));
        let cancels = spares
            .into_values()
            .flatten()
            .map(|spare| self.cancel(spare));
        if tokio::time::timeout(CLOSING_LIMIT, join_all(cancels))
            .await
            .is_err()
        {
            tracing::debug!("uploads are left open");
        }
    }

    async fn cancel(&self, spare: Spare) {
        let Spare { image, target, .. } = spare;
        let scope = Scope::push(&image.repository);
        let request = Request::new(&image.registry, scope, Method::DELETE, Target::Url(target));
        if let Err(error) = self.send_once(&request, None).await {
            tracing::debug!("an upload is left open: {error}");
        }
    }
}
