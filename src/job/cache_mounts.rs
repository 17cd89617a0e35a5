//! `executor cache-mount`: caches of `RUN` mounts to another place and back, as the layers of an image.
//!
//! Each directory of a cache is a layer with its directory `content`, and the descriptor's annotations say which cache it is, and which
//! directory, as `sharing=private` makes more than one. Such a layer is written and read as an archive: a file called `.wh.x` is one.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tracing::{info, warn};

use super::settings;
use crate::cli::{Carry, CarryPlace, Direction};
use crate::execute::mount::kept::{self, CONTENT, HoldError, Kept};
use crate::image::{
    Compression, Descriptor, Digest, Family, History, ImageConfig, Manifest, Platform, json,
};
use crate::interrupt::Interrupt;
use crate::layer::{Limits, Reader, Writer, decompress};
use crate::layout::{self, Layout};
use crate::net::{self, Net};
use crate::output::export::{self, Export};
use crate::output::{self, BlobSource, BoxError, BuiltImage, Product};
use crate::registry::{self, Client};
use crate::report::Explain;
use crate::rootfs::{self, Rootfs};
use crate::snapshot;
use crate::store::{self, BlobStore, LayerSink};

/// Opens the blob of a layer.
type Open<'a> = dyn Fn(&Descriptor) -> Result<Box<dyn Read + Send>, BoxError> + 'a;

const KEY: &str = "executor.cache-mount.key";
const ID: &str = "executor.cache-mount.id";
const NUMBER: &str = "executor.cache-mount.number";

/// Why caches were not carried.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error(transparent)]
    Registry(Box<registry::Error>),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Layout(#[from] layout::Error),
    #[error("cannot write the caches")]
    Output(#[from] output::Error),
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error("cannot read the cache {id}")]
    Snapshot { id: String, source: snapshot::Error },
    #[error("cannot unpack the cache {id}")]
    Unpack { id: String, source: BoxError },
    #[error("there is no directory `{}`", .0.display())]
    NoDirectory(PathBuf),
    #[error("cannot use the directory `{}`", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Files(#[from] rootfs::Error),
    #[error("there is no cache called `{0}`")]
    NoSuchCache(String),
    #[error("`{0}` holds no caches")]
    NoCaches(String),
}

impl Explain for CarryError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Net(error) => error.help(),
            Self::Registry(error) => error.help(),
            Self::Output(error) => error.help(),
            Self::Files(error) => error.help(),
            Self::NoDirectory(_) => Some(
                "mount a volume there, for the builds too, or name by --cache-dir where they keep what RUN caches".to_owned(),
            ),
            Self::NoSuchCache(_) => {
                Some("an id is what `id=` of the mount says, else its target".to_owned())
            }
            _ => None,
        }
    }
}

/// Carries caches as asked.
///
/// # Errors
/// [`CarryError`]; caches before the one at fault are carried by an import, and none by an export.
pub fn carry(asked: &Carry, interrupt: &Interrupt) -> Result<(), CarryError> {
    if !asked.cache_dir.is_dir() {
        return Err(CarryError::NoDirectory(asked.cache_dir.clone()));
    }
    let mounts = asked.cache_dir.join("mounts");
    let parent = tempfile::Builder::new()
        .prefix("executor-caches-")
        .tempdir_in(&asked.cache_dir);
    let scratch = parent.map_err(|source| CarryError::Io {
        path: asked.cache_dir.clone(),
        source,
    })?;
    let dir = scratch.path().to_owned();
    let _last_act = interrupt.last_act(move || drop(fs_err::remove_dir_all(dir)));
    match asked.direction {
        Direction::Export => export(asked, &mounts, &scratch, interrupt),
        Direction::Import => import(asked, &mounts, &scratch, interrupt),
    }
}

fn client(asked: &Carry) -> Result<(Net, Client), CarryError> {
    let net = Net::new(net::Options { http1_only: false })?;
    let credentials = settings::credentials(&asked.registry, None);
    let options = match asked.direction {
        Direction::Export => asked.registry.push(credentials),
        Direction::Import => asked.registry.pull(credentials),
    };
    let client = Client::new(&net, options);
    let client = client.map_err(|error| CarryError::Registry(Box::new(error)))?;
    Ok((net, client))
}

/// Returns those that are asked for; all, if none is.
fn chosen(found: Vec<Kept>, ids: &[String]) -> Result<Vec<Kept>, CarryError> {
    let has = |kept: &Kept, id: &String| kept.id.as_ref() == Some(id) || kept.key == *id;
    if let Some(missing) = ids
        .iter()
        .find(|id| !found.iter().any(|kept| has(kept, id)))
    {
        return Err(CarryError::NoSuchCache(missing.clone()));
    }
    let is_asked = |kept: &Kept| ids.is_empty() || ids.iter().any(|id| has(kept, id));
    Ok(found.into_iter().filter(is_asked).collect())
}

fn shown(kept: &Kept) -> &str {
    kept.id.as_deref().unwrap_or(&kept.key)
}

fn export(
    asked: &Carry,
    mounts: &Path,
    scratch: &TempDir,
    interrupt: &Interrupt,
) -> Result<(), CarryError> {
    let found = kept::kept(mounts).map_err(|source| CarryError::Io {
        path: mounts.to_owned(),
        source,
    })?;
    let caches = chosen(found, &asked.ids)?;
    if caches.is_empty() {
        warn!("there are no caches in {}", mounts.display());
    }
    let store = BlobStore::open(&scratch.path().join("blobs"))?;
    let mut config = ImageConfig::scratch(Platform::host());
    let mut layers = Vec::new();
    for cache in &caches {
        let held = kept::hold(mounts, cache, interrupt)?;
        let sink = LayerSink::new(&store, Family::Oci, Compression::Zstd, None, None)?;
        let sink = write(&held.slot, sink).map_err(|source| CarryError::Snapshot {
            id: shown(cache).to_owned(),
            source,
        })?;
        let mut layer = sink.finish()?;
        let annotations = &mut layer.descriptor.annotations;
        annotations.insert(KEY.to_owned(), cache.key.clone());
        annotations.extend(cache.id.clone().map(|id| (ID.to_owned(), id)));
        if cache.number > 0 {
            annotations.insert(NUMBER.to_owned(), cache.number.to_string());
        }
        info!(
            "Exporting the cache {} ({} bytes)",
            shown(cache),
            layer.descriptor.size
        );
        config.rootfs.diff_ids.push(layer.diff_id);
        config.history.push(History::default());
        layers.push(layer.descriptor);
    }
    let image = BuiltImage::new(
        Family::Oci,
        json::to_vec(&config),
        layers,
        BTreeMap::new(),
        Arc::new(store),
    );
    let product = Product::from(image);
    match &asked.place {
        CarryPlace::Layout(path) => output::layout::write(path, &product)?,
        CarryPlace::Archive(path) => {
            let export = Export::LayoutArchive {
                place: export::Place::File(path.clone()),
                names: Vec::new(),
            };
            export::write(&export, &product, scratch.path(), None)?;
        }
        CarryPlace::Registry(image) => {
            let (net, client) = client(asked)?;
            let destination = output::push::Destination {
                text: image.to_string(),
                image: image.clone(),
            };
            let how = output::push::Options {
                ignore_immutable_tag_errors: false,
            };
            let destinations = [destination];
            let pushed = output::push::push(&client, &product, &destinations, how, None);
            let pushed = net.block_on(pushed);
            net.block_on(client.close());
            pushed?;
        }
    }
    Ok(())
}

/// Writes the content in a cache's slot, with the directory itself.
fn write(slot: &Path, sink: LayerSink) -> Result<LayerSink, snapshot::Error> {
    let root = Rootfs::open(slot)?;
    let is_foreign = |path: &[u8]| {
        let rest = path.strip_prefix(CONTENT.as_bytes());
        !rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let content = snapshot::Options {
        ignore: &is_foreign,
        full: false,
    };
    let changes = snapshot::changes(&mut snapshot::Tree::default(), &root, &content)?;
    let mut tar = Writer::plain(sink);
    snapshot::write(&changes, &root, &mut tar, None)?;
    Ok(tar.finish()?)
}

fn import(
    asked: &Carry,
    mounts: &Path,
    scratch: &TempDir,
    interrupt: &Interrupt,
) -> Result<(), CarryError> {
    match &asked.place {
        CarryPlace::Layout(path) => import_layout(asked, path, mounts, scratch, interrupt),
        CarryPlace::Archive(path) => {
            let dir = scratch.path().join("layout");
            let failed = |source| CarryError::Io {
                path: path.clone(),
                source,
            };
            let archive = fs_err::File::open(path).map_err(failed)?;
            let archive = decompress(BufReader::new(archive)).map_err(failed)?;
            Rootfs::create(&dir)?.apply(&mut Reader::new(archive, Limits::default()))?;
            import_layout(asked, &dir, mounts, scratch, interrupt)
        }
        CarryPlace::Registry(image) => {
            let (net, client) = client(asked)?;
            let found = net.block_on(client.image(image, &Platform::host()));
            let found = found.map_err(|error| CarryError::Registry(Box::new(error)))?;
            let open = |layer: &Descriptor| -> Result<Box<dyn Read + Send>, BoxError> {
                Ok(Box::new(client.blob(&found.source, layer)))
            };
            place(asked, &found.manifest, &open, mounts, scratch, interrupt)
        }
    }
}

fn import_layout(
    asked: &Carry,
    path: &Path,
    mounts: &Path,
    scratch: &TempDir,
    interrupt: &Interrupt,
) -> Result<(), CarryError> {
    let layout = Layout::open(path)?;
    let image = layout.image(&layout.find(None)?, &Platform::host())?;
    let open = |layer: &Descriptor| BlobSource::open(layout.blobs(), layer);
    place(asked, &image.manifest, &open, mounts, scratch, interrupt)
}

/// Unpacks the caches that are layers of an image, each in the place of the one that is there.
fn place(
    asked: &Carry,
    manifest: &Manifest,
    open: &Open<'_>,
    mounts: &Path,
    scratch: &TempDir,
    interrupt: &Interrupt,
) -> Result<(), CarryError> {
    let mut found: BTreeMap<Kept, &Descriptor> = BTreeMap::new();
    for layer in &manifest.layers {
        let key = layer.annotations.get(KEY).filter(|key| Digest::is_hex(key));
        if let Some(key) = key {
            let (key, id) = (key.clone(), layer.annotations.get(ID).cloned());
            let number = layer.annotations.get(NUMBER);
            let number = number.map_or(Ok(0), |number| number.parse());
            if let Ok(number) = number {
                found.insert(Kept { key, id, number }, layer);
            }
        }
    }
    if found.len() < manifest.layers.len() {
        return Err(CarryError::NoCaches(asked.place.to_string()));
    }
    for (index, cache) in chosen(found.keys().cloned().collect(), &asked.ids)?
        .iter()
        .enumerate()
    {
        info!("Importing the cache {}", shown(cache));
        let dir = scratch.path().join(format!("cache-{index}"));
        let root = Rootfs::create(&dir)?;
        let unpack = || -> Result<(), BoxError> {
            let tar = decompress(BufReader::new(open(found[cache])?))?;
            let mut reader = Reader::new(tar, Limits::default());
            let mut batch = root.batch();
            while let Some(entry) = reader.next()? {
                batch.put(&entry, &mut reader)?;
            }
            batch.finish()?;
            Ok(())
        };
        unpack().map_err(|source| CarryError::Unpack {
            id: shown(cache).to_owned(),
            source,
        })?;
        let held = kept::hold(mounts, cache, interrupt)?;
        let placed = held
            .replace(&dir.join(CONTENT))
            .and_then(|()| match &cache.id {
                Some(id) => kept::write_id(&mounts.join(&cache.key), id),
                None => Ok(()),
            });
        placed.map_err(|source| CarryError::Io {
            path: held.slot.clone(),
            source,
        })?;
    }
    Ok(())
}
