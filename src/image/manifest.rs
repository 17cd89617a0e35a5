//! Descriptors, manifests and indexes, of both families.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Digest, Family, ImageConfig, Layer, MediaType, Platform};

/// Points to a blob: its type, digest and size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    #[serde(rename = "mediaType")]
    pub media_type: MediaType,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            other: Map::new(),
        }
    }
}

/// One image: its config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    pub config: Descriptor,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Manifest {
    pub fn new(
        family: Family,
        config: Descriptor,
        layers: Vec<Descriptor>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(family.manifest()),
            config,
            layers,
            annotations,
            other: Map::new(),
        }
    }

    /// Returns the layers, lowest first, with the hashes that the image's config has of them.
    pub fn layers_of(&self, config: &ImageConfig) -> Vec<Layer> {
        let descriptors = self.layers.iter().cloned();
        let diff_ids = config.rootfs.diff_ids.iter().cloned();
        descriptors
            .zip(diff_ids)
            .map(|(descriptor, diff_id)| Layer {
                descriptor,
                diff_id,
            })
            .collect()
    }

    /// Returns the family of the manifest; by its config where the manifest does not say.
    pub fn family(&self) -> Family {
        self.media_type
            .as_ref()
            .unwrap_or(&self.config.media_type)
            .family()
    }
}

/// Several images under one name, one a platform, with their attestations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Index {
    /// Returns the image for a platform: an exact match first, else the nearest that can serve it; of equal ones the first.
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        let ranked = self.manifests.iter().filter_map(|descriptor| {
            let rank = descriptor.platform.as_ref()?.serves(wanted)?;
            Some((rank, descriptor))
        });
        let best = ranked.min_by_key(|(rank, _)| *rank);
        best.map(|(_, descriptor)| descriptor)
    }
}
