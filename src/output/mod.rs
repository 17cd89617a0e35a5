//! Where a finished image goes.
//!
//! No output leaves something half-written under its name: files are written aside and renamed, and the document that
//! makes an image visible comes last.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::image::{Descriptor, Digest, Family, Manifest, MediaType, json};
use crate::layer;
use crate::layout as image_layout;
use crate::registry;
use crate::store;

pub mod push;
pub mod uploads;

pub mod tarball;

pub mod layout;

pub mod export;

pub mod saved;

pub mod digest_files;

pub mod file;

mod blobs;
pub mod product;

pub mod annotations;

pub use blobs::{BlobSource, BoxError, Layers};
pub use product::{BuiltIndex, Product};

/// An image as it leaves the build: its documents, byte for byte, and where the layers' bytes are.
#[derive(Clone)]
pub struct BuiltImage {
    pub manifest_bytes: Vec<u8>,
    pub media_type: MediaType,
    pub digest: Digest,
    pub manifest: Manifest,
    pub config_bytes: Vec<u8>,
    pub blobs: Arc<dyn BlobSource>,
}

impl BuiltImage {
    /// Puts a manifest around a config and layers, all of one family.
    pub fn new(
        family: Family,
        config_bytes: Vec<u8>,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
        blobs: Arc<dyn BlobSource>,
    ) -> Self {
        let size = config_bytes.len() as u64;
        let config = Descriptor::new(family.config(), Digest::of(&config_bytes), size);
        let manifest = Manifest::new(family, config, layers, annotations);
        let manifest_bytes = json::to_vec(&manifest);
        Self {
            media_type: family.manifest(),
            digest: Digest::of(&manifest_bytes),
            manifest_bytes,
            manifest,
            config_bytes,
            blobs,
        }
    }

    /// Returns the descriptor by which an index points to the image.
    pub fn descriptor(&self) -> Descriptor {
        let size = self.manifest_bytes.len() as u64;
        Descriptor::new(self.media_type.clone(), self.digest.clone(), size)
    }

    /// Returns the layers in order, of the same blob only the first.
    pub fn distinct_layers(&self) -> Vec<&Descriptor> {
        let mut seen = std::collections::BTreeSet::new();
        let layers = self.manifest.layers.iter();
        layers.filter(|layer| seen.insert(&layer.digest)).collect()
    }
}

/// What kept an image from being put out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot open the layer {digest}")]
    Blob { digest: Digest, source: BoxError },
    #[error("cannot copy the layer {digest}")]
    Copy { digest: Digest, source: io::Error },
    #[error("cannot write the image to `{}`", .path.display())]
    Tarball { path: PathBuf, source: layer::Error },
    #[error("cannot write the OCI layout `{}`", .path.display())]
    WriteLayout { path: PathBuf, source: Box<Error> },
    #[error("cannot write the image's files to `{}`", .path.display())]
    Files { path: PathBuf, source: BoxError },
    #[error("failed to push to destination {destination}")]
    Push {
        destination: String,
        source: Box<registry::Error>,
    },
    #[error("cannot send the digest to `{url}`")]
    Put { url: String, source: BoxError },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Layout(#[from] image_layout::Error),
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Push { source, .. } => source.help(),
            Self::WriteLayout { source, .. } => source.help(),
            Self::Store(e) | Self::Layout(image_layout::Error::Store(e)) => e.help(),
            _ => None,
        }
    }
}

/// Opens a layer of an image.
fn open_layer(image: &BuiltImage, layer: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
    let opened = image.blobs.open(layer);
    opened.map_err(|source| Error::Blob {
        digest: layer.digest.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
