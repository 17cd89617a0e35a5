//! What a job puts out: an image, or an index of several.

use std::collections::BTreeMap;

use super::BuiltImage;
use crate::image::{Descriptor, Digest, Family, Index, MediaType, Platform, json};

/// The annotation by which an index says which image a manifest with statements is about.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// An image, its platform, and the manifests with statements about it.
pub struct Part<'p> {
    pub image: &'p BuiltImage,
    /// Known of images in an index.
    pub platform: Option<Platform>,
    pub statements: Vec<&'p BuiltImage>,
}

/// One image, or several under an index.
#[derive(Clone)]
pub struct Product {
    images: Vec<BuiltImage>,
    index: Option<BuiltIndex>,
    /// What a layout says of it.
    annotations: BTreeMap<String, String>,
}

/// An index as it leaves the build, byte for byte.
#[derive(Debug, Clone)]
pub struct BuiltIndex {
    pub bytes: Vec<u8>,
    pub media_type: MediaType,
    pub digest: Digest,
}

impl BuiltIndex {
    /// Writes an index that points to these.
    pub fn new(
        family: Family,
        manifests: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        let index = Index {
            schema_version: 2,
            media_type: Some(family.index()),
            manifests,
            annotations,
            other: Default::default(),
        };
        let bytes = json::to_vec(&index);
        Self {
            digest: Digest::of(&bytes),
            media_type: family.index(),
            bytes,
        }
    }
}

impl From<BuiltImage> for Product {
    fn from(image: BuiltImage) -> Self {
        Self {
            images: vec![image],
            index: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Product {
    /// Puts images under an index that points to them.
    pub fn new(images: Vec<BuiltImage>, index: BuiltIndex) -> Self {
        Self {
            images,
            index: Some(index),
            annotations: BTreeMap::new(),
        }
    }

    /// Adds annotations of the descriptor by which a layout points to this.
    pub fn annotated(mut self, annotations: BTreeMap<String, String>) -> Self {
        self.annotations = annotations;
        self
    }

    /// Returns everything that has a manifest: the images, and what is stated about them.
    pub fn images(&self) -> &[BuiltImage] {
        &self.images
    }

    /// Returns the images that can be run, with what is stated about each.
    pub fn parts(&self) -> Vec<Part<'_>> {
        let Some(index) = &self.index else {
            return vec![Part {
                image: &self.images[0],
                platform: None,
                statements: Vec::new(),
            }];
        };
        let index: Index = json::from_slice(&index.bytes).expect("it was written as one");
        let of = |descriptor: &Descriptor| {
            let mut images = self.images.iter();
            images.find(|image| image.digest == descriptor.digest)
        };
        let about = |descriptor: &Descriptor| descriptor.annotations.get(REFERENCE_DIGEST).cloned();
        let (statements, images): (Vec<_>, Vec<_>) = index
            .manifests
            .into_iter()
            .partition(|descriptor| about(descriptor).is_some());
        let part = |descriptor: Descriptor| {
            let digest = Some(descriptor.digest.to_string());
            let statements = statements.iter().filter(|s| about(s) == digest);
            Some(Part {
                image: of(&descriptor)?,
                statements: statements.filter_map(of).collect(),
                platform: descriptor.platform,
            })
        };
        images.into_iter().filter_map(part).collect()
    }

    pub fn index(&self) -> Option<&BuiltIndex> {
        self.index.as_ref()
    }

    /// Returns the document that a tag points to.
    pub fn bytes(&self) -> &[u8] {
        match &self.index {
            Some(index) => &index.bytes,
            None => &self.images[0].manifest_bytes,
        }
    }

    pub fn media_type(&self) -> &MediaType {
        match &self.index {
            Some(index) => &index.media_type,
            None => &self.images[0].media_type,
        }
    }

    pub fn digest(&self) -> &Digest {
        match &self.index {
            Some(index) => &index.digest,
            None => &self.images[0].digest,
        }
    }

    /// Returns the descriptor by which an OCI layout points to this.
    pub fn descriptor(&self) -> Descriptor {
        let size = self.bytes().len() as u64;
        let mut descriptor =
            Descriptor::new(self.media_type().clone(), self.digest().clone(), size);
        descriptor.annotations = self.annotations.clone();
        descriptor
    }
}
