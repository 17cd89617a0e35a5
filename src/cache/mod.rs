//! The layer cache: layers under keys that say everything they depend on.
//!
//! [`key`] computes the keys, from values alone. [`LayerCache`] looks them up all at once and stores new layers: each entry is a small image
//! with one layer, in a registry under the key as its tag, or in an OCI layout whose name ends with the key. An entry that is damaged
//! or not ours counts as absent and is overwritten.

pub mod entry;
pub mod key;
pub mod prune;
pub mod side_by_side;
pub mod warm;

mod directory;
mod lost;
mod remote;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;

use crate::causes;
use crate::image::{Compression, ImageRef, Layer, Platform};
use crate::layout::Layout;
use crate::store::{BlobStore, SharedStore};
use crate::{layout, registry, store};
use key::Parts;
use lost::{Lost, Watched};

pub use key::{Key, Keyed};

/// Where cached layers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repository {
    /// Without tag and digest.
    Registry(ImageRef),
    /// Directories whose names begin like this (`oci:PATH`).
    Layouts(PathBuf),
}

/// What is cached, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub repository: Repository,
    /// Layers of `COPY` and `ADD` (`--cache-copy-layers`).
    pub copies: bool,
    /// Layers of `RUN` and `WORKDIR` (`--cache-run-layers`).
    pub runs: bool,
    /// How old an entry may be (`--cache-ttl`).
    pub ttl: Duration,
    /// New layers are stored (not with `--no-push-cache`).
    pub push: bool,
    /// Several entries are looked up at a time, and several layers fetched.
    pub shortcuts: bool,
}

/// A cache to look into and to add to; clones share its connections.
#[derive(Clone)]
pub struct LayerCache {
    options: Options,
    client: registry::Client,
    /// Keeps the blobs of cached layers that were read.
    store: Option<SharedStore>,
    /// What was found and could not be read.
    lost: Lost,
    /// Why there is nobody to ask, once that is known.
    silence: Arc<OnceLock<Option<Arc<registry::Error>>>>,
}

/// A cached layer.
#[derive(Debug, Clone)]
pub struct Hit {
    pub layer: Layer,
    /// When the layer was made.
    pub created: OffsetDateTime,
    pub origin: Origin,
}

/// Where the blob of a cached layer is.
#[derive(Debug, Clone)]
pub enum Origin {
    Registry(ImageRef),
    Layout(Layout),
}

/// What was found under a key.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each layer")]
pub enum Lookup {
    Hit(Hit),
    Absent,
    Expired,
    /// Something is there that cannot be used.
    Broken(String),
    /// The repository did not answer.
    Failed(Arc<registry::Error>),
}

/// What kept a layer from being fetched or stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(#[from] Box<registry::Error>),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Layout(#[from] layout::Error),
    #[error("cannot read the layer {digest}")]
    Read {
        digest: crate::image::Digest,
        source: std::io::Error,
    },
    #[error("the layer's tar has the digest {found}, but its diff_id is {wanted}")]
    DiffId {
        found: crate::image::Digest,
        wanted: crate::image::DiffId,
    },
    #[error("cannot start a thread")]
    Thread { source: std::io::Error },
}

/// Requests for entries at the same time.
const CONCURRENT_LOOKUPS: usize = 8;

/// Layers fetched at the same time.
const CONCURRENT_FETCHES: usize = 4;

impl LayerCache {
    /// Makes a cache; `client` is the one that pushes, since mirrors have nothing of what we store.
    pub fn new(options: Options, client: registry::Client, store: Option<SharedStore>) -> Self {
        Self {
            options,
            client,
            store,
            lost: Lost::default(),
            silence: Arc::default(),
        }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns how an entry is called, for the log.
    pub fn name(&self, key: &Key) -> String {
        match &self.options.repository {
            Repository::Registry(repository) => remote::reference(repository, key).to_string(),
            Repository::Layouts(prefix) => format!("oci:{}:{key}", prefix.display()),
        }
    }

    /// Returns why the repository cannot be reached, if so; a build finds it out and tells it once, however many layers it has.
    pub fn silence(&self) -> Option<Arc<registry::Error>> {
        let Repository::Registry(repository) = &self.options.repository else {
            return None;
        };
        let ask = || {
            let asked = self.client.reach(&repository.registry);
            let error = self.client.net().block_on(asked).err()?;
            let advice = error
                .help()
                .map_or(String::new(), |text| format!("; {text}"));
            tracing::warn!(
                "cannot look into the layer cache, and nothing is stored there: {}{advice}",
                error.chain()
            );
            Some(Arc::new(error))
        };
        self.silence.get_or_init(ask).clone()
    }

    /// Looks all keys up, at the same time; the answers stand in the order of the keys. A layer that could not be read before is not found again.
    pub fn look_up(
        &self,
        keys: &[Key],
        platform: &Platform,
        compression: Compression,
    ) -> Vec<Lookup> {
        let oldest = OffsetDateTime::now_utc() - self.options.ttl;
        let wanted = entry::Wanted {
            compression,
            oldest,
        };
        let answers: Vec<Lookup> = match &self.options.repository {
            Repository::Layouts(prefix) => keys
                .iter()
                .map(|key| directory::look_up(prefix, key, platform, &wanted))
                .collect(),
            Repository::Registry(repository) => {
                let lookups = keys
                    .iter()
                    .map(|key| remote::look_up(&self.client, repository, key, platform, &wanted));
                let lookups: Vec<_> = lookups.collect();
                let concurrent = self.at_a_time(CONCURRENT_LOOKUPS);
                let answers = stream::iter(lookups).buffered(concurrent).collect();
                self.client.net().block_on(answers)
            }
        };
        let believe = |answer| match answer {
            Lookup::Hit(hit) => match self.lost.why(&hit.layer.descriptor.digest) {
                Some(why) => Lookup::Broken(why),
                None => Lookup::Hit(hit),
            },
            other => other,
        };
        answers.into_iter().map(believe).collect()
    }

    /// Returns how many of the layers that were found could not be read since.
    pub fn lost(&self) -> usize {
        self.lost.count()
    }

    fn at_a_time(&self, most: usize) -> usize {
        if self.options.shortcuts { most } else { 1 }
    }

    /// Brings cached layers into a store, and checks that they are what their entries say; the answers stand in the order of the hits.
    ///
    /// # Errors
    /// [`Error::Read`] if the blob is missing, short or another one; [`Error::DiffId`].
    pub fn fetch(&self, hits: &[&Hit], store: &BlobStore) -> Vec<Result<(), Error>> {
        let fetch = |hit: &&Hit| self.fetch_one(hit, store);
        side_by_side::each(hits, self.at_a_time(CONCURRENT_FETCHES), fetch)
    }

    fn fetch_one(&self, hit: &Hit, store: &BlobStore) -> Result<(), Error> {
        if store.size(&hit.layer.descriptor.digest)?.is_some() {
            return Ok(());
        }
        entry::fetch(&hit.layer, self.open(hit)?, store)
    }

    /// Opens the blob of a cached layer; the reader fails at its end if it is not the one described.
    pub fn open(&self, hit: &Hit) -> Result<Box<dyn std::io::Read + Send>, Error> {
        let digest = &hit.layer.descriptor.digest;
        let opened = self.open_origin(hit);
        let blob =
            opened.inspect_err(|error| self.lost.note(digest, causes::in_one_line(error)))?;
        Ok(Box::new(Watched {
            blob,
            digest: digest.clone(),
            lost: self.lost.clone(),
        }))
    }

    fn open_origin(&self, hit: &Hit) -> Result<Box<dyn std::io::Read + Send>, Error> {
        let descriptor = &hit.layer.descriptor;
        match &hit.origin {
            Origin::Registry(image) => {
                let store = self.store.as_ref();
                Ok(Box::new(self.client.blob_through(store, image, descriptor)))
            }
            Origin::Layout(layout) => match layout.blobs().verified(descriptor)? {
                Some(blob) => Ok(Box::new(blob)),
                None => Err(Error::Read {
                    digest: descriptor.digest.clone(),
                    source: std::io::ErrorKind::NotFound.into(),
                }),
            },
        }
    }

    /// Returns what the key of a step was made of when it was last built; `step` says which, in this cache.
    pub fn recall(&self, step: &str) -> Option<Parts> {
        let note = self.store.as_ref()?.note(&self.note_name(step))?;
        serde_json::from_slice(&note).ok()
    }

    /// Remembers what the key of a step was made of.
    pub fn remember(&self, step: &str, parts: &Parts) {
        if let Some(store) = &self.store {
            let note = serde_json::to_vec(parts).expect("names and hashes are text");
            store.set_note(&self.note_name(step), &note);
        }
    }

    fn note_name(&self, step: &str) -> String {
        let place = match &self.options.repository {
            Repository::Registry(repository) => repository.name(),
            Repository::Layouts(prefix) => format!("oci:{}", prefix.display()),
        };
        format!("{place} {step}")
    }

    /// Stores a new layer of `store` under its key.
    ///
    /// A registry gets it in the background; directories are written at once, because an absolute path means something else while a
    /// command runs in place.
    pub fn put(&self, new: entry::New, store: &BlobStore) -> Storing {
        tracing::info!("Pushing layer {} to cache now", self.name(&new.key));
        match &self.options.repository {
            Repository::Layouts(prefix) => Storing::Done(directory::put(prefix, &new, store)),
            Repository::Registry(repository) => {
                let (client, repository, store) =
                    (self.client.clone(), repository.clone(), store.clone());
                let put = move || {
                    let net = client.net().clone();
                    net.block_on(remote::put(client, repository, new, store))
                };
                let thread = std::thread::Builder::new().name("cache".to_owned());
                match thread.spawn(put) {
                    Ok(going) => Storing::Going(going),
                    Err(source) => Storing::Done(Err(Error::Thread { source })),
                }
            }
        }
    }

    /// Waits until a layer is stored, and tells whether it was. A failure is a warning: the image does not depend on it.
    pub fn finish(&self, storing: Storing) -> bool {
        let result = match storing {
            Storing::Done(result) => result,
            Storing::Going(upload) => upload.join().expect("an upload does not panic"),
        };
        let Err(error) = result else {
            return true;
        };
        let advice = match &error {
            Error::Registry(error) => error.help(),
            _ => None,
        };
        let advice = advice.map_or(String::new(), |advice| format!("; {advice}"));
        let error = causes::in_one_line(&error);
        tracing::warn!("Error uploading layer to cache: {error}{advice}");
        false
    }
}

/// A layer on its way into the cache.
pub enum Storing {
    Done(Result<(), Error>),
    Going(std::thread::JoinHandle<Result<(), Error>>),
}
