//! Annotations, and which of an image's documents each belongs to.

use std::collections::BTreeMap;

use crate::image::Platform;

/// Where an annotation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Manifest,
    /// The index that several images share.
    Index,
    /// What an index, or a layout without one, says of a manifest.
    ManifestDescriptor,
    /// What a layout says of the index.
    IndexDescriptor,
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    pub level: Level,
    /// Absent for every platform.
    pub platform: Option<Platform>,
    pub key: String,
    pub value: String,
}

/// Annotations in the order given, in which a later one replaces an earlier one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations(pub Vec<Annotation>);

impl Annotations {
    /// Returns those of a document; `platform` is that of its image.
    pub fn of(&self, level: Level, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let belongs = |annotation: &&Annotation| {
            let of_platform = annotation.platform.as_ref();
            annotation.level == level && (of_platform.is_none() || of_platform == platform)
        };
        let own = self.0.iter().filter(belongs);
        own.map(|annotation| (annotation.key.clone(), annotation.value.clone()))
            .collect()
    }

    /// Tells whether some are about an index or its entries.
    pub fn are_beyond_manifests(&self) -> bool {
        self.0
            .iter()
            .any(|annotation| annotation.level != Level::Manifest)
    }
}
