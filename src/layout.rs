//! OCI image layouts: images in a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::ser::PrettyFormatter;

use crate::image::{Descriptor, Family, ImageConfig, Index, Manifest, Platform, json};
use crate::store::aside::Directory;
use crate::store::{self, BlobStore, read_verified};

/// An image layout: `oci-layout`, `index.json`, and a [`BlobStore`] in `blobs`.
///
/// # Spec
/// image-spec v1.1 `image-layout.md`; compat spec 9.8.
#[derive(Debug, Clone)]
pub struct Layout {
    directory: Arc<Directory>,
    blobs: BlobStore,
}

/// An image of a layout, its documents checked against their digests; its layers are in [`Layout::blobs`].
#[derive(Debug, Clone)]
pub struct Image {
    pub descriptor: Descriptor,
    pub manifest_bytes: Vec<u8>,
    pub manifest: Manifest,
    pub config_bytes: Vec<u8>,
    pub config: ImageConfig,
}

/// What kept a layout from being read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("`{}` is not an OCI layout: it has no `{name}`", .path.display())]
    NotALayout { path: PathBuf, name: &'static str },
    #[error("the OCI layout `{}` has version `{version}`, expected `{VERSION}`", .path.display())]
    Version { path: PathBuf, version: String },
    #[error("cannot read `{name}` of the OCI layout `{}`", .path.display())]
    Read {
        path: PathBuf,
        name: String,
        source: io::Error,
    },
    #[error("`{name}` of the OCI layout `{}` is malformed", .path.display())]
    Malformed {
        path: PathBuf,
        name: String,
        source: serde_json::Error,
    },
    #[error("`{name}` of the OCI layout `{}` is larger than {DOCUMENT_SIZE} bytes", .path.display())]
    TooLarge { path: PathBuf, name: String },
    #[error("the OCI layout `{}` has no blob `{name}`", .path.display())]
    NoBlob { path: PathBuf, name: String },
    #[error("the OCI layout `{}` has no image for {platform}", .path.display())]
    NoPlatform {
        path: PathBuf,
        platform: Box<Platform>,
    },
    #[error("`{name}` of the OCI layout `{}` lists {layers} layers, its config {diff_ids}", .path.display())]
    Layers {
        path: PathBuf,
        name: String,
        layers: usize,
        diff_ids: usize,
    },
    #[error("the OCI layout `{}` has no image `{name}`", .path.display())]
    NoImage { path: PathBuf, name: String },
    #[error("OCI layout must contain exactly one image, found {0}")]
    NotOneImage(usize),
}

const VERSION: &str = "1.0.0";
const VERSION_FILE: &str = "oci-layout";
const INDEX_FILE: &str = "index.json";
/// The annotation of a descriptor in the index that names its image.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What a manifest, config or index may have at most; registries stop at 4 MiB.
const DOCUMENT_SIZE: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct Version {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

/// Returns what the file `oci-layout` has.
pub fn version_document() -> Vec<u8> {
    let version = Version {
        version: VERSION.to_owned(),
    };
    indented(&version, b"    ")
}

/// Returns what the file `index.json` has.
pub fn index_document(manifests: Vec<Descriptor>) -> Vec<u8> {
    let index = Index {
        schema_version: 2,
        media_type: Some(Family::Oci.index()),
        manifests,
        annotations: Default::default(),
        other: Default::default(),
    };
    indented(&index, b"   ")
}

impl Layout {
    /// Opens a layout for reading.
    ///
    /// # Errors
    /// [`Error::NotALayout`] and [`Error::Version`] if the directory is something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let directory = Arc::new(Directory::open(path)?);
        let not_a_layout = |name| Error::NotALayout {
            path: path.to_owned(),
            name,
        };
        let Version { version } =
            read_json(&directory, VERSION_FILE)?.ok_or_else(|| not_a_layout(VERSION_FILE))?;
        if version != VERSION {
            let path = path.to_owned();
            return Err(Error::Version { path, version });
        }
        let blobs =
            BlobStore::open_existing(&path.join("blobs")).map_err(|_| not_a_layout("blobs"))?;
        Ok(Self { directory, blobs })
    }

    /// Opens a layout for writing; creates what is missing and keeps what is there.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let directory = Arc::new(Directory::create_all(path)?);
        let blobs = BlobStore::open(&path.join("blobs"))?;
        directory.write(VERSION_FILE, &version_document())?;
        Ok(Self { directory, blobs })
    }

    /// Returns where the blobs are: layers, configs, manifests and indexes.
    pub fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// Reads the index: what the layout has to offer.
    pub fn index(&self) -> Result<Index, Error> {
        let index = read_json(&self.directory, INDEX_FILE)?;
        index.ok_or_else(|| Error::NotALayout {
            path: self.path(),
            name: INDEX_FILE,
        })
    }

    /// Makes these the only images that the layout offers; other blobs stay.
    pub fn set_index(&self, manifests: Vec<Descriptor>) -> Result<(), Error> {
        let bytes = index_document(manifests);
        Ok(self.directory.write(INDEX_FILE, &bytes)?)
    }

    /// Returns the entry of the index with this name or digest, or without a name the only one.
    ///
    /// # Errors
    /// [`Error::NoImage`], [`Error::NotOneImage`].
    pub fn find(&self, name: Option<&str>) -> Result<Descriptor, Error> {
        let mut manifests = self.index()?.manifests;
        if let Some(name) = name {
            let matches = |d: &Descriptor| {
                let tag = d.annotations.get(REF_NAME);
                d.digest.as_str() == name || tag.is_some_and(|tag| tag == name)
            };
            let found = manifests.into_iter().find(matches);
            return found.ok_or_else(|| Error::NoImage {
                path: self.path(),
                name: name.to_owned(),
            });
        }
        match (manifests.pop(), manifests.len()) {
            (Some(descriptor), 0) => Ok(descriptor),
            (None, _) => Err(Error::NotOneImage(0)),
            (Some(_), others) => Err(Error::NotOneImage(others + 1)),
        }
    }

    /// Reads an image; where the descriptor is one of an index, the index's image for the platform.
    ///
    /// # Errors
    /// [`Error::NoPlatform`]; [`Error::Layers`] if manifest and config disagree; [`Error::NoBlob`] and [`Error::Read`] for documents that are missing or damaged.
    pub fn image(&self, descriptor: &Descriptor, platform: &Platform) -> Result<Image, Error> {
        let mut descriptor = descriptor.clone();
        let mut depth = 0;
        while descriptor.media_type.is_index() && depth < 8 {
            let (_, index): (_, Index) = self.document(&descriptor)?;
            let chosen = index.choose(platform).cloned();
            descriptor = chosen.ok_or_else(|| Error::NoPlatform {
                path: self.path(),
                platform: Box::new(platform.clone()),
            })?;
            depth += 1;
        }
        let (manifest_bytes, manifest): (_, Manifest) = self.document(&descriptor)?;
        let (config_bytes, config): (_, ImageConfig) = self.document(&manifest.config)?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(Error::Layers {
                path: self.path(),
                name: descriptor.digest.to_string(),
                layers,
                diff_ids,
            });
        }
        Ok(Image {
            descriptor,
            manifest_bytes,
            manifest,
            config_bytes,
            config,
        })
    }

    /// Reads a document that a descriptor points to.
    ///
    /// # Errors
    /// As [`Layout::image`].
    pub fn document<T: serde::de::DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Vec<u8>, T), Error> {
        let (path, name) = (self.path(), descriptor.digest.to_string());
        if descriptor.size > DOCUMENT_SIZE {
            return Err(Error::TooLarge { path, name });
        }
        let Some(file) = self.blobs.get(&descriptor.digest)? else {
            return Err(Error::NoBlob { path, name });
        };
        match read_verified(file, descriptor) {
            Ok(bytes) => match json::from_slice(&bytes) {
                Ok(document) => Ok((bytes, document)),
                Err(source) => Err(Error::Malformed { path, name, source }),
            },
            Err(source) => Err(Error::Read { path, name, source }),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

/// Reads a file of the layout's own; `None` if it is not there.
fn read_json<T: serde::de::DeserializeOwned>(
    directory: &Directory,
    name: &str,
) -> Result<Option<T>, Error> {
    use io::Read;
    let Some(file) = directory.open_file(name)? else {
        return Ok(None);
    };
    let (path, name) = (directory.path().to_owned(), name.to_owned());
    let mut bytes = Vec::new();
    match file.take(DOCUMENT_SIZE + 1).read_to_end(&mut bytes) {
        Err(source) => return Err(Error::Read { path, name, source }),
        Ok(size) if size as u64 > DOCUMENT_SIZE => return Err(Error::TooLarge { path, name }),
        Ok(_) => {}
    }
    match json::from_slice(&bytes) {
        Ok(document) => Ok(Some(document)),
        Err(source) => Err(Error::Malformed { path, name, source }),
    }
}

fn indented(document: &impl Serialize, indent: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    document
        .serialize(&mut serializer)
        .expect("image documents have string keys and finite numbers only");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MediaType;

    fn put(layout: &Layout, family: Family, architecture: &str) -> Descriptor {
        let config = ImageConfig::scratch(Platform::new("linux", architecture, ""));
        let (digest, size) = layout.blobs().put(&json::to_vec(&config)).unwrap();
        let config = Descriptor::new(family.config(), digest, size);
        let manifest = Manifest::new(family, config, Vec::new(), Default::default());
        let (digest, size) = layout.blobs().put(&json::to_vec(&manifest)).unwrap();
        let platform = Some(Platform::new("linux", architecture, ""));
        Descriptor {
            platform,
            ..Descriptor::new(family.manifest(), digest, size)
        }
    }

    #[test]
    fn an_image_is_found_by_name_digest_or_being_alone() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        layout.set_index(Vec::new()).unwrap();
        assert!(matches!(layout.find(None), Err(Error::NotOneImage(0))));
        let mut one = put(&layout, Family::Oci, "amd64");
        one.annotations.insert(REF_NAME.to_owned(), "v1".to_owned());
        let two = put(&layout, Family::Docker, "arm64");
        layout.set_index(vec![one.clone()]).unwrap();
        assert_eq!(layout.find(None).unwrap(), one);
        layout.set_index(vec![one.clone(), two.clone()]).unwrap();
        assert!(matches!(layout.find(None), Err(Error::NotOneImage(2))));
        let layout = Layout::open(directory.path()).unwrap();
        assert_eq!(layout.find(Some("v1")).unwrap(), one);
        assert_eq!(layout.find(Some(two.digest.as_str())).unwrap(), two);
        assert!(matches!(
            layout.find(Some("v2")),
            Err(Error::NoImage { .. })
        ));
    }

    #[test]
    fn an_index_is_followed_to_the_platform() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let index = Index {
            schema_version: 2,
            media_type: Some(Family::Oci.index()),
            manifests: ["amd64", "arm64"]
                .map(|architecture| put(&layout, Family::Oci, architecture))
                .to_vec(),
            annotations: Default::default(),
            other: Default::default(),
        };
        let (digest, size) = layout.blobs().put(&json::to_vec(&index)).unwrap();
        let descriptor = Descriptor::new(Family::Oci.index(), digest, size);
        let arm = Platform::new("linux", "arm64", "");
        let image = layout.image(&descriptor, &arm).unwrap();
        assert_eq!(image.config.platform, arm);
        assert_eq!(image.descriptor, index.manifests[1]);
        let other = layout.image(&descriptor, &Platform::new("linux", "s390x", ""));
        assert!(matches!(other, Err(Error::NoPlatform { .. })));
    }

    #[test]
    fn manifest_and_config_list_the_same_layers() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let image = put(&layout, Family::Oci, "amd64");
        let (_, mut manifest): (_, Manifest) = layout.document(&image).unwrap();
        manifest.layers.push(manifest.config.clone());
        let (digest, size) = layout.blobs().put(&json::to_vec(&manifest)).unwrap();
        let image = Descriptor {
            digest,
            size,
            ..image
        };
        let error = layout.image(&image, &Platform::host()).unwrap_err();
        assert!(error.to_string().contains("lists 1 layers, its config 0"));
    }

    #[test]
    fn damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(matches!(Layout::open(path), Err(Error::NotALayout { .. })));
        let layout = Layout::create(path).unwrap();
        assert!(matches!(
            layout.find(None),
            Err(Error::NotALayout {
                name: "index.json",
                ..
            })
        ));
        let image = put(&layout, Family::Oci, "amd64");
        let host = Platform::host();
        let blob = |d: &Descriptor| path.join("blobs/sha256").join(d.digest.hex());
        fs_err::write(blob(&image), "x").unwrap();
        assert!(matches!(
            layout.image(&image, &host),
            Err(Error::Read { .. })
        ));
        fs_err::remove_file(blob(&image)).unwrap();
        assert!(matches!(
            layout.image(&image, &host),
            Err(Error::NoBlob { .. })
        ));
        let (digest, size) = layout.blobs().put(b"{}").unwrap();
        let empty = Descriptor::new(MediaType::from("x"), digest, size);
        assert!(matches!(
            layout.image(&empty, &host),
            Err(Error::Malformed { .. })
        ));
        fs_err::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"2"}"#).unwrap();
        assert!(matches!(Layout::open(path), Err(Error::Version { .. })));
    }
}
