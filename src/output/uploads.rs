//! Layers on their way to the destinations while the build goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::BlobSource;
use crate::image::{Descriptor, Digest, ImageRef};
use crate::registry::{self, Client, Pushed, Source};

/// Blobs that are uploaded at the same time, to one registry.
pub(super) const CONCURRENT: usize = 4;

/// Uploads in the background; clones are about the same ones. What is not finished when the last one is dropped is abandoned.
///
/// A blob that does not get there is no error: the push tries it again when the image is complete, and tells.
#[derive(Clone)]
pub struct Uploads(Arc<Inner>);

struct Inner {
    client: Client,
    /// The repositories of each registry, whose uploads have slots in common.
    registries: Vec<(Vec<ImageRef>, Arc<Semaphore>)>,
    going: Mutex<BTreeMap<(String, Digest), Going>>,
    /// Uploads end when this is gone.
    alive: watch::Sender<()>,
}

/// An upload to the repositories of a registry; ends with those that have the blob then.
type Going = JoinHandle<BTreeSet<String>>;

impl Uploads {
    /// Prepares uploads to the repositories of these destinations.
    pub fn new(client: &Client, destinations: &[ImageRef]) -> Self {
        let mut registries: Vec<(Vec<ImageRef>, _)> = Vec::new();
        for image in destinations {
            let same = |(others, _): &&mut (Vec<ImageRef>, _)| others[0].registry == image.registry;
            match registries.iter_mut().find(same) {
                Some((others, _)) if others.iter().any(|other| other.name() == image.name()) => {}
                Some((others, _)) => others.push(image.clone()),
                None => {
                    registries.push((vec![image.clone()], Arc::new(Semaphore::new(CONCURRENT))))
                }
            }
        }
        Self(Arc::new(Inner {
            client: client.clone(),
            registries,
            going: Mutex::default(),
            alive: watch::Sender::new(()),
        }))
    }

    /// Begins to bring a layer to all destinations but those of the registry `except`.
    pub fn start(&self, layer: &Descriptor, blobs: &Arc<dyn BlobSource>, except: Option<&str>) {
        if layer.media_type.is_foreign() {
            return;
        }
        for (repositories, slots) in &self.0.registries {
            let registry = &repositories[0].registry;
            if except == Some(registry) {
                continue;
            }
            let key = (registry.clone(), layer.digest.clone());
            self.0.going().entry(key).or_insert_with(|| {
                let (client, slots) = (self.0.client.clone(), Arc::clone(slots));
                let (layer, blobs) = (layer.clone(), Arc::clone(blobs));
                let repositories = repositories.clone();
                let (net, mut abandoned) = (client.net().clone(), self.0.alive.subscribe());
                self.0.client.net().spawn(async move {
                    let slot = slots.acquire_owned().await;
                    let upload = net.clone().spawn_blocking(move || {
                        let _slot = slot;
                        net.block_on(async {
                            tokio::select! {
                                have = early(&client, &repositories, &layer, &blobs) => have,
                                _ = abandoned.changed() => BTreeSet::new(),
                            }
                        })
                    });
                    upload.await.unwrap_or_default()
                })
            });
        }
    }

    /// Waits for an upload, if there is one, and returns the repositories that have the blob.
    pub(super) async fn finish(&self, registry: &str, digest: &Digest) -> BTreeSet<String> {
        let key = (registry.to_owned(), digest.clone());
        let going = self.0.going().remove(&key);
        match going {
            Some(going) => going.await.unwrap_or_default(),
            None => BTreeSet::new(),
        }
    }
}

impl Inner {
    fn going(&self) -> MutexGuard<'_, BTreeMap<(String, Digest), Going>> {
        self.going.lock().expect("nothing panics while it is held")
    }
}

/// How often a registry is asked that refuses.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// Somebody will ask again later.
    Once,
    /// By `--push-retry`.
    AsAskedFor,
}

/// Brings a layer into repositories of one registry, and returns those that have it then.
async fn early(
    client: &Client,
    repositories: &[ImageRef],
    layer: &Descriptor,
    blobs: &Arc<dyn BlobSource>,
) -> BTreeSet<String> {
    let results = deliver(client, repositories, layer, blobs, None, Patience::Once).await;
    let mut have = BTreeSet::new();
    for (repository, result) in repositories.iter().zip(results) {
        match result {
            Ok(()) => drop(have.insert(repository.name())),
            Err(error) => tracing::debug!("early upload failed: {}", error.chain()),
        }
    }
    have
}

/// Brings one blob into repositories of one registry: into the first, unless `from` has it already, and from there by mounting
/// into the others. The results stand in the order of the repositories.
pub(super) async fn deliver(
    client: &Client,
    repositories: &[ImageRef],
    blob: &Descriptor,
    blobs: &Arc<dyn BlobSource>,
    from: Option<&ImageRef>,
    patience: Patience,
) -> Vec<Result<(), registry::Error>> {
    let mut from = from.cloned();
    let mut results = Vec::new();
    for repository in repositories {
        let origin = blobs
            .origin(blob)
            .filter(|origin| origin.registry == repository.registry);
        if blobs
            .origin(blob)
            .is_some_and(|origin| origin.name() == repository.name())
        {
            results.push(Ok(())); // it came from there
            continue;
        }
        let source = Source {
            mount_from: from.clone().or(origin),
            open: {
                let (blob, blobs) = (blob.clone(), Arc::clone(blobs));
                Arc::new(move || blobs.open(&blob).map_err(io::Error::other))
            },
        };
        let pushed = match patience {
            Patience::Once => client.push_blob_once(repository, blob, &source).await,
            Patience::AsAskedFor => client.push_blob(repository, blob, &source).await,
        };
        if let Ok(pushed) = &pushed {
            let how = match pushed {
                Pushed::Existed => "existing blob",
                Pushed::Mounted => "mounted blob",
                Pushed::Uploaded => "pushed blob",
            };
            tracing::debug!(size_bytes = blob.size, "{how}: {}", blob.digest);
            from.get_or_insert_with(|| repository.clone());
        }
        results.push(pushed.map(drop));
    }
    results
}
