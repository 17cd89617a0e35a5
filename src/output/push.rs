//! Images to registries: `--destination`.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use super::blobs::{BlobSource, InMemory};
use super::uploads::{self, Patience, Uploads};
use super::{Error, Product};
use crate::image::{Descriptor, ImageRef};
use crate::registry::{self, Client};

/// A name to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// As the user wrote it, for the log.
    pub text: String,
    pub image: ImageRef,
}

/// How to push.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Takes a tag that must not be moved as pushed (`--push-ignore-immutable-tag-errors`).
    pub ignore_immutable_tag_errors: bool,
}

/// Pushes an image or index to every destination: layers and configs, then manifests, then the tags.
/// Tags that point to it already are left alone; what `uploads` brought to a repository is not brought there again.
///
/// Registries are served at the same time. All other destinations are served to their end if one fails; the error is that of
/// the first that failed.
///
/// # Errors
/// [`Error::Push`], naming the destination as the user wrote it.
pub async fn push(
    client: &Client,
    product: &Product,
    destinations: &[Destination],
    options: Options,
    uploads: Option<&Uploads>,
) -> Result<(), Error> {
    for destination in destinations {
        tracing::info!("Pushing image to {}", destination.text);
    }
    let asked = destinations
        .iter()
        .map(|destination| client.points_to(&destination.image, product.digest()));
    let asked = join_all(asked).await;
    let (there, wanted): (Vec<_>, Vec<_>) = destinations
        .iter()
        .zip(asked)
        .partition(|(_, there)| *there);
    for (destination, _) in there {
        let name = destination.image.name();
        tracing::info!("existing manifest: {name}@{}", product.digest());
        tracing::info!("Pushed {name}@{}", product.digest());
    }
    // by registry, then by repository: what is in one needs to get there once
    let mut registries: Vec<Vec<Repository<'_>>> = Vec::new();
    for (destination, _) in wanted {
        let (registry, name) = (&destination.image.registry, destination.image.name());
        let of_registry = position_or_push(&mut registries, |group| {
            group[0].image.registry == *registry
        });
        let repositories = &mut registries[of_registry];
        match repositories.iter_mut().find(|r| r.image.name() == name) {
            Some(repository) => repository.destinations.push(destination),
            None => repositories.push(Repository {
                image: &destination.image,
                destinations: vec![destination],
                failed: OnceLock::new(),
            }),
        }
    }
    let pushes = registries
        .into_iter()
        .map(|repositories| push_registry(client, product, repositories, options, uploads));
    let mut results: Vec<_> = join_all(pushes).await.into_iter().flatten().collect();
    results.sort_by_key(|(destination, _)| {
        destinations
            .iter()
            .position(|other| std::ptr::eq(other, *destination))
    });
    results.into_iter().try_for_each(|(_, result)| result)
}

/// A repository, and the destinations in it.
struct Repository<'d> {
    image: &'d ImageRef,
    destinations: Vec<&'d Destination>,
    /// Why there is no use in bringing anything else there.
    failed: OnceLock<registry::Error>,
}

/// Returns the place of the first group that matches, or of a new one at the end.
fn position_or_push<T>(groups: &mut Vec<Vec<T>>, matches: impl Fn(&Vec<T>) -> bool) -> usize {
    let found = groups.iter().position(matches);
    found.unwrap_or_else(|| {
        groups.push(Vec::new());
        groups.len() - 1
    })
}

/// Serves the repositories of one registry; returns what became of each, with its first destination that failed.
async fn push_registry<'d>(
    client: &Client,
    product: &Product,
    repositories: Vec<Repository<'d>>,
    options: Options,
    uploads: Option<&Uploads>,
) -> Vec<(&'d Destination, Result<(), Error>)> {
    let blobs = blobs(product);
    let pushes: Vec<_> = blobs
        .iter()
        .map(|(blob, source)| push_blob(client, blob, source, &repositories, uploads))
        .collect();
    let pushes = stream::iter(pushes).buffer_unordered(uploads::CONCURRENT);
    pushes.collect::<()>().await;
    let finished = repositories.into_iter().map(async |mut repository| {
        let first = repository.destinations[0];
        match repository.failed.take() {
            Some(source) => (first, Err(failure(first, source))),
            None => finish(client, product, &repository, options).await,
        }
    });
    join_all(finished).await
}

/// Returns everything that the manifests point to, each once.
fn blobs(product: &Product) -> Vec<(Descriptor, Arc<dyn BlobSource>)> {
    let mut seen = BTreeSet::new();
    let mut blobs: Vec<(Descriptor, Arc<dyn BlobSource>)> = Vec::new();
    for image in product.images() {
        let layers = image.manifest.layers.iter();
        for layer in layers.filter(|layer| !layer.media_type.is_foreign()) {
            if seen.insert(&layer.digest) {
                blobs.push((layer.clone(), Arc::clone(&image.blobs)));
            }
        }
    }
    for image in product.images() {
        let config = &image.manifest.config;
        if seen.insert(&config.digest) {
            let bytes = InMemory(Bytes::from(image.config_bytes.clone()));
            blobs.push((config.clone(), Arc::new(bytes)));
        }
    }
    blobs
}

/// Puts the manifests into a repository that has all else: those of an index first, the tags last.
async fn finish<'d>(
    client: &Client,
    product: &Product,
    repository: &Repository<'d>,
    options: Options,
) -> (&'d Destination, Result<(), Error>) {
    let first = repository.destinations[0];
    if product.index().is_some() {
        for image in product.images() {
            let name = repository.image.with_digest(image.digest.clone());
            let bytes = Bytes::from(image.manifest_bytes.clone());
            let put = client.put_manifest(&name, bytes, &image.media_type);
            if let Err(source) = put.await {
                return (first, Err(failure(first, source)));
            }
        }
    }
    tag(client, product, repository, options).await
}

/// Points the tags of a repository to what is all there but for its manifest.
async fn tag<'d>(
    client: &Client,
    product: &Product,
    repository: &Repository<'d>,
    options: Options,
) -> (&'d Destination, Result<(), Error>) {
    for destination in &repository.destinations {
        let bytes = Bytes::from(product.bytes().to_vec());
        let put = client.put_manifest(&destination.image, bytes, product.media_type());
        match put.await {
            Ok(digest) => tracing::info!("Pushed {}@{digest}", destination.image.name()),
            Err(error) if options.ignore_immutable_tag_errors && error.is_immutable_tag() => {
                tracing::info!("Immutable tag error ignored for {}", destination.text);
            }
            Err(error) => return (destination, Err(failure(destination, error))),
        }
    }
    (repository.destinations[0], Ok(()))
}

fn failure(destination: &Destination, source: registry::Error) -> Error {
    Error::Push {
        destination: destination.text.clone(),
        source: Box::new(source),
    }
}

/// Brings one blob into the repositories that do not have it yet, and have not failed.
async fn push_blob(
    client: &Client,
    blob: &Descriptor,
    source: &Arc<dyn BlobSource>,
    repositories: &[Repository<'_>],
    uploads: Option<&Uploads>,
) {
    let registry = &repositories[0].image.registry;
    let have = match uploads {
        Some(uploads) => uploads.finish(registry, &blob.digest).await,
        None => Default::default(),
    };
    let has = |repository: &&Repository<'_>| have.contains(&repository.image.name());
    let from = repositories.iter().find(has).map(|found| found.image);
    let missing: Vec<&Repository<'_>> = repositories
        .iter()
        .filter(|repository| !has(repository) && repository.failed.get().is_none())
        .collect();
    let names: Vec<ImageRef> = missing.iter().map(|r| r.image.clone()).collect();
    let delivered =
        uploads::deliver(client, &names, blob, source, from, Patience::AsAskedFor).await;
    for (repository, result) in missing.into_iter().zip(delivered) {
        if let Err(error) = result {
            let _ = repository.failed.set(error); // the first is told
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::*;
    use crate::image::{DiffId, Digest, Family, ImageConfig, Platform, json};
    use crate::net::Net;
    use crate::output::{BuiltImage, Layers};
    use crate::registry::testing::{
        DockerRegistry, Protection, Reply, Scripted, client, descriptor, net, noise, options,
        source,
    };
    use crate::store::BlobStore;

    fn destination(image: &ImageRef) -> Destination {
        Destination {
            text: image.to_string(),
            image: image.clone(),
        }
    }

    /// An image with a layer in the store and one that is only in `base`.
    fn built(net: &Net, dir: &std::path::Path, base: &ImageRef) -> BuiltImage {
        let client = client(net, &[]);
        let (own, old) = (noise(1, 200_000), noise(2, 300_000));
        let remote = descriptor(&old);
        net.block_on(client.push_blob(base, &remote, &source(&old)))
            .unwrap();
        let store = BlobStore::open(dir).unwrap();
        store.put(&own).unwrap();
        let layers = vec![remote.clone(), descriptor(&own)];
        let blobs = Layers {
            store,
            remote: [(remote.digest, base.clone())].into(),
            client,
        };
        let mut config = ImageConfig::scratch(Platform::new("linux", "amd64", ""));
        // the layers are their own tars
        let diff_ids = [&old, &own].map(|bytes| DiffId::new(Digest::of(bytes)));
        config.rootfs.diff_ids = diff_ids.into();
        BuiltImage::new(
            Family::Oci,
            json::to_vec(&config),
            layers,
            BTreeMap::new(),
            Arc::new(blobs),
        )
    }

    const OPTIONS: Options = Options {
        ignore_immutable_tag_errors: false,
    };

    #[test]
    fn an_image_gets_to_every_destination() {
        let (one, two) = (
            DockerRegistry::start(&Protection::default()),
            DockerRegistry::start(&Protection::default()),
        );
        let (net, dir) = (net(), tempfile::tempdir().unwrap());
        let image = built(&net, dir.path(), &one.image("base"));
        let images = [one.image("a:1"), one.image("a:2"), two.image("deep/b:1")];
        let destinations: Vec<_> = images.iter().map(destination).collect();
        let client = client(&net, &[]);
        net.block_on(push(
            &client,
            &image.clone().into(),
            &destinations,
            OPTIONS,
            None,
        ))
        .unwrap();
        for name in &images {
            let found = net.block_on(client.image(name, &"linux/amd64".parse().unwrap()));
            assert_eq!(found.unwrap().descriptor.digest, image.digest);
            for layer in &image.manifest.layers {
                io::copy(&mut client.blob(name, layer), &mut io::sink()).unwrap();
            }
        }
    }

    #[test]
    fn the_other_destinations_are_served_when_one_fails() {
        let (net, dir) = (net(), tempfile::tempdir().unwrap());
        let registry = DockerRegistry::start(&Protection::default());
        let image = built(&net, dir.path(), &registry.image("base"));
        let refusing = Scripted::start(|request, _| match request.path.as_str() {
            "/v2/" => Reply::new(200),
            _ => Reply::new(403).body(r#"{"errors":[{"code":"DENIED","message":"no"}]}"#),
        });
        let images = [refusing.image("x:1"), registry.image("a:1")];
        let destinations: Vec<_> = images.iter().map(destination).collect();
        let client = client(&net, &[]);
        let error = net
            .block_on(push(
                &client,
                &image.clone().into(),
                &destinations,
                OPTIONS,
                None,
            ))
            .unwrap_err();
        let want = format!("failed to push to destination {}", images[0]);
        assert_eq!(error.to_string(), want);
        assert_eq!(
            net.block_on(client.manifest_digest(&images[1])).unwrap(),
            Some(image.digest)
        );
    }

    #[test]
    fn an_immutable_tag_may_be_ignored() {
        let (net, dir) = (net(), tempfile::tempdir().unwrap());
        let registry = DockerRegistry::start(&Protection::default());
        let image = built(&net, dir.path(), &registry.image("base"));
        let immutable = Scripted::start(|request, _| {
            let is_manifest = request.path.contains("/manifests/");
            match (request.method.as_str(), is_manifest) {
                ("PUT", true) => Reply::new(400).body(
                    r#"{"errors":[{"code":"TAG_INVALID","message":"'1' cannot be overwritten because the tag is immutable."}]}"#,
                ),
                (_, true) => Reply::new(404),
                ("POST", _) => Reply::new(202).header("Location", "/up"),
                _ => Reply::new(200),
            }
        });
        let destinations = [destination(&immutable.image("x:1"))];
        let client = client(&net, &[]);
        let push = |ignore_immutable_tag_errors| {
            let options = Options {
                ignore_immutable_tag_errors,
            };
            net.block_on(push(
                &client,
                &image.clone().into(),
                &destinations,
                options,
                None,
            ))
        };
        assert!(push(true).is_ok());
        assert!(push(false).is_err());
    }

    /// Of ten blobs no more are refused than are on their way at the same time, each in its first try and the two asked for.
    #[test]
    fn a_repository_that_refuses_everything_is_not_pestered() {
        let (net, dir) = (net(), tempfile::tempdir().unwrap());
        let server = Scripted::start(|request, _| match request.method.as_str() {
            "HEAD" => Reply::new(404),
            "POST" if request.path.starts_with("/v2/closed/") => Reply::new(403),
            "POST" => Reply::new(202).header("Location", "/up"),
            "PUT" => Reply::new(201),
            _ => Reply::new(200),
        });
        let store = BlobStore::open(dir.path()).unwrap();
        let layers = (0..9).map(|seed| {
            let bytes = noise(seed, 1000);
            store.put(&bytes).unwrap();
            descriptor(&bytes)
        });
        let layers: Vec<Descriptor> = layers.collect();
        let mut config = ImageConfig::scratch(Platform::new("linux", "amd64", ""));
        let diff_ids = layers.iter().map(|layer| DiffId::new(layer.digest.clone()));
        config.rootfs.diff_ids = diff_ids.collect();
        let config = json::to_vec(&config);
        let blobs = Arc::new(store);
        let image = BuiltImage::new(Family::Oci, config, layers, BTreeMap::new(), blobs);
        let mut options = options(&[]);
        options.retry.extra = 2;
        let client = Client::new(&net, options).unwrap();
        let names = ["closed:1", "open:1"];
        let destinations = names.map(|name| destination(&server.image(name)));
        let pushed = net.block_on(push(&client, &image.into(), &destinations, OPTIONS, None));
        let error = pushed.unwrap_err().to_string();
        assert!(error.contains("closed:1"), "{error}");
        let lines = server.lines();
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        let refused = count("POST /v2/closed/");
        assert!(
            (3..=3 * uploads::CONCURRENT).contains(&refused),
            "{refused}"
        );
        assert_eq!(count("POST /v2/open/"), 10);
        assert_eq!(count("PUT /v2/open/manifests/1"), 1);
    }
}
