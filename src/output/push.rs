//! Images to registries: `--destination`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{BlobSource, BoxError, BuiltImage, Error};
use crate::image::{Descriptor, Digest, ImageRef};
use crate::registry::{self, Client, Pushed, Source};
use crate::store::BlobStore;

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

/// Uploads of one repository at the same time.
const CONCURRENT_UPLOADS: usize = 4;

/// Pushes an image to every destination: layers, then the config, then the manifest, then further tags of the repository.
/// Tags that point to it already are left alone.
///
/// Repositories are served at the same time. All of them are served to their end even if one fails; the error is that of
/// the first destination that failed.
///
/// # Errors
/// [`Error::Push`], naming the destination as the user wrote it.
pub async fn push(
    client: &Client,
    image: &BuiltImage,
    destinations: &[Destination],
    options: Options,
) -> Result<(), Error> {
    // by repository: what is in it needs to get there once
    let mut repositories: Vec<Vec<&Destination>> = Vec::new();
    for destination in destinations {
        let same =
            |group: &&mut Vec<&Destination>| group[0].image.name() == destination.image.name();
        match repositories.iter_mut().find(same) {
            Some(group) => group.push(destination),
            None => repositories.push(vec![destination]),
        }
    }
    let pushes = repositories
        .iter()
        .map(|group| push_repository(client, image, group, options));
    join_all(pushes).await.into_iter().collect()
}

async fn push_repository(
    client: &Client,
    image: &BuiltImage,
    destinations: &[&Destination],
    options: Options,
) -> Result<(), Error> {
    for destination in destinations {
        tracing::info!("Pushing image to {}", destination.text);
    }
    let asked = destinations
        .iter()
        .map(|destination| client.points_to(&destination.image, &image.digest));
    let asked = join_all(asked).await;
    let (there, wanted): (Vec<_>, Vec<_>) = destinations
        .iter()
        .zip(asked)
        .partition(|(_, there)| *there);
    for (destination, _) in there {
        let name = destination.image.name();
        tracing::info!("existing manifest: {name}@{}", image.digest);
        tracing::info!("Pushed {name}@{}", image.digest);
    }
    let Some((first, _)) = wanted.first() else {
        return Ok(());
    };
    let failed = |destination: &Destination, source| Error::Push {
        destination: destination.text.clone(),
        source: Box::new(source),
    };
    push_blobs(client, image, &first.image)
        .await
        .map_err(|source| failed(first, source))?;
    for (destination, _) in wanted {
        let bytes = Bytes::from(image.manifest_bytes.clone());
        let put = client.put_manifest(&destination.image, bytes, &image.media_type);
        match put.await {
            Ok(digest) => tracing::info!("Pushed {}@{digest}", destination.image.name()),
            Err(error) if options.ignore_immutable_tag_errors && error.is_immutable_tag() => {
                tracing::info!("Immutable tag error ignored for {}", destination.text);
            }
            Err(error) => return Err(failed(destination, error)),
        }
    }
    Ok(())
}

/// Brings everything that the manifest points to into a repository, the config last.
async fn push_blobs(
    client: &Client,
    image: &BuiltImage,
    repository: &ImageRef,
) -> Result<(), registry::Error> {
    let layers = image.distinct_layers().into_iter().cloned();
    let uploads: Vec<_> = layers
        .filter(|layer| !layer.media_type.is_foreign())
        .map(|layer| {
            push_layer(
                client.clone(),
                Arc::clone(&image.blobs),
                repository.clone(),
                layer,
            )
        })
        .collect();
    stream::iter(uploads)
        .buffer_unordered(CONCURRENT_UPLOADS)
        .try_collect::<Vec<()>>()
        .await?;
    let config = Bytes::from(image.config_bytes.clone());
    let source = Source {
        open: Arc::new(move || Ok(Box::new(io::Cursor::new(config.clone())))),
        mount_from: None,
    };
    client
        .push_blob(repository, &image.manifest.config, &source)
        .await?;
    Ok(())
}

/// Brings one layer into a repository.
async fn push_layer(
    client: Client,
    blobs: Arc<dyn BlobSource>,
    repository: ImageRef,
    layer: Descriptor,
) -> Result<(), registry::Error> {
    let source = Source {
        mount_from: blobs.origin(&layer),
        open: {
            let layer = layer.clone();
            Arc::new(move || blobs.open(&layer).map_err(io::Error::other))
        },
    };
    let pushed = client.push_blob(&repository, &layer, &source).await?;
    let how = match pushed {
        Pushed::Existed => "existing blob",
        Pushed::Mounted => "mounted blob",
        Pushed::Uploaded => "pushed blob",
    };
    tracing::debug!(size_bytes = layer.size, "{how}: {}", layer.digest);
    Ok(())
}

/// Layers that were made here, and layers of base images that are still only in their registries.
pub struct Layers {
    pub store: BlobStore,
    /// Where the base layers that were not downloaded are: [`RemoteImage::source`](registry::RemoteImage).
    pub remote: BTreeMap<Digest, ImageRef>,
    /// Pulls from there.
    pub client: Client,
}

impl BlobSource for Layers {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        match (
            self.store.verified(descriptor)?,
            self.remote.get(&descriptor.digest),
        ) {
            (Some(blob), _) => Ok(Box::new(blob)),
            (None, Some(image)) => Ok(Box::new(self.client.blob(image, descriptor))),
            (None, None) => self.store.open(descriptor), // says where it is not
        }
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<ImageRef> {
        self.remote.get(&descriptor.digest).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Family, ImageConfig, Platform, json};
    use crate::net::Net;
    use crate::registry::testing::{
        DockerRegistry, Protection, Reply, Scripted, client, descriptor, net, noise, source,
    };

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
        let config = ImageConfig::scratch(Platform::new("linux", "amd64", ""));
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
        net.block_on(push(&client, &image, &destinations, OPTIONS))
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
            .block_on(push(&client, &image, &destinations, OPTIONS))
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
            net.block_on(push(&client, &image, &destinations, options))
        };
        assert!(push(true).is_ok());
        assert!(push(false).is_err());
    }
}
