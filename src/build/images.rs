//! Images by name, in registries and in OCI layouts of this machine.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::Error;
use crate::image::{Descriptor, Digest, ImageConfig, ImageRef, Layer, Manifest, Platform};
use crate::layout::{self, Layout};
use crate::plan::{ImageName, LayoutName};
use crate::registry::{Client, RemoteImage};
use crate::store::BlobStore;

/// Where images are looked up.
#[derive(Clone)]
pub struct Library<'b> {
    pub client: &'b Client,
    /// Layouts are looked for from here.
    pub current_dir: PathBuf,
    /// Images are looked up all at once, and layers fetched before it is their turn.
    pub shortcuts: bool,
}

/// An image: its documents, and where its layers are.
#[derive(Debug)]
pub struct Image {
    pub manifest: Manifest,
    pub config: ImageConfig,
    /// Digest of what the name pointed to: the index, if it is one.
    pub top: Digest,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In a repository.
    Registry(ImageRef),
    Blobs(BlobStore),
}

impl Library<'_> {
    /// Looks up images; the answers stand in their order.
    ///
    /// # Errors
    /// That of the first one that is not to be had.
    pub fn images(&self, wanted: &[(ImageName, Platform)]) -> Result<Vec<Arc<Image>>, Error> {
        let lookups = wanted.iter().map(|(name, platform)| async move {
            match name {
                ImageName::Registry(image) => {
                    let found = self.client.image(image, platform).await;
                    found.map(|found| Image::from(&*found)).map_err(|source| {
                        let image = Box::new(image.clone());
                        Error::Image {
                            image,
                            stage: None,
                            source: Box::new(source),
                        }
                    })
                }
                ImageName::Layout(layout) => {
                    let found = find(&self.current_dir, layout, platform);
                    found.map_err(|source| Error::LayoutImage {
                        image: name.to_string(),
                        source,
                    })
                }
            }
        });
        let lookups: Vec<_> = lookups.collect();
        let concurrent = if self.shortcuts { lookups.len() } else { 1 };
        let found = stream::iter(lookups).buffered(concurrent.max(1));
        let found: Vec<_> = self.client.net().block_on(found.collect());
        found.into_iter().map(|found| found.map(Arc::new)).collect()
    }

    /// Starts to read a layer's blob; its size and digest are checked at its end.
    pub fn blob(
        &self,
        image: &Image,
        descriptor: &Descriptor,
    ) -> std::io::Result<Box<dyn Read + Send>> {
        match &image.place {
            Place::Registry(repository) => Ok(Box::new(self.client.blob(repository, descriptor))),
            Place::Blobs(blobs) => {
                let blob = blobs.verified(descriptor).map_err(std::io::Error::other)?;
                let missing = || std::io::Error::other("the layout does not have this blob");
                Ok(Box::new(blob.ok_or_else(missing)?))
            }
        }
    }
}

impl Image {
    /// Returns the layers, lowest first.
    pub fn layers(&self) -> Vec<Layer> {
        self.manifest.layers_of(&self.config)
    }

    /// Returns the repository that has the layers, if one has.
    pub fn repository(&self) -> Option<&ImageRef> {
        match &self.place {
            Place::Registry(repository) => Some(repository),
            Place::Blobs(_) => None,
        }
    }

    /// Returns the store of this machine that has the layers, if one has.
    pub fn store(&self) -> Option<&BlobStore> {
        match &self.place {
            Place::Registry(_) => None,
            Place::Blobs(blobs) => Some(blobs),
        }
    }
}

impl From<&RemoteImage> for Image {
    fn from(image: &RemoteImage) -> Self {
        Self {
            manifest: image.manifest.clone(),
            config: image.config.clone(),
            top: image.top.clone(),
            place: Place::Registry(image.source.clone()),
        }
    }
}

fn find(
    current_dir: &Path,
    wanted: &LayoutName,
    platform: &Platform,
) -> Result<Image, layout::Error> {
    let layout = Layout::open(&current_dir.join(&wanted.dir))?;
    let descriptor = layout.find(wanted.name.as_deref())?;
    let found = layout.image(&descriptor, platform)?;
    Ok(Image {
        manifest: found.manifest,
        config: found.config,
        top: descriptor.digest,
        place: Place::Blobs(layout.blobs().clone()),
    })
}
