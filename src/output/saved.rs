//! An image that was put out earlier, read back to be pushed: an OCI layout or a `docker save` tarball.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use serde::Deserialize;

use super::{BlobSource, BoxError, BuiltImage, BuiltIndex, Product};
use crate::image::{
    Compression, Descriptor, Digest, Digester, Family, ImageConfig, Index, Manifest, json,
};
use crate::layer::decompress::MAGIC;
use crate::layer::{Format, decompress};
use crate::layout::{self, Layout};
use crate::store::{self, BlobStore, LayerSink, Verified};

/// What kept an image from being read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{}`", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the tarball `{}` is compressed", .0.display())]
    Compressed(PathBuf),
    #[error("the tarball `{}` has no `{name}`", .path.display())]
    NoMember { path: PathBuf, name: String },
    #[error("`{name}` of the tarball `{}` is malformed", .path.display())]
    Malformed {
        path: PathBuf,
        name: String,
        source: serde_json::Error,
    },
    #[error("`{name}` of the tarball `{}` is larger than {DOCUMENT_SIZE} bytes", .path.display())]
    TooLarge { path: PathBuf, name: String },
    #[error("tarball must contain exactly one image, found {0}")]
    NotOneImage(usize),
    #[error("the tarball `{}` lists {layers} layers, its config {diff_ids}", .path.display())]
    Layers {
        path: PathBuf,
        layers: usize,
        diff_ids: usize,
    },
    #[error("the layer `{name}` of the tarball `{}` is not the one its config names", .path.display())]
    WrongLayer { path: PathBuf, name: String },
    #[error("the index in `{}` holds another index", .0.display())]
    Nested(PathBuf),
    #[error(transparent)]
    Layout(#[from] layout::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Compressed(_) => Some("decompress it first, as `gzip -d` does".to_owned()),
            _ => None,
        }
    }
}

/// What a document of a tarball may have at most.
const DOCUMENT_SIZE: u64 = 16 << 20;

/// Opens the image, or the index with its images, at `path`. Layers that a tarball holds uncompressed are compressed into `scratch`.
///
/// # Errors
/// [`Error::NotOneImage`], and the like of a layout, if there is not exactly one.
///
/// # Spec
/// Compat spec 2.3.
pub fn open(path: &Path, scratch: &BlobStore) -> Result<Product, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    // not by fs_err: the path is said once
    match fs::metadata(path).map_err(failed)?.is_dir() {
        true => open_layout(path),
        false => Ok(Tarball::open(path)?.image(scratch)?.into()),
    }
}

/// Takes what a layout holds as it is, so that its digest stays.
fn open_layout(path: &Path) -> Result<Product, Error> {
    let layout = Layout::open(path)?;
    let descriptor = layout.find(None)?;
    if !descriptor.media_type.is_index() {
        return Ok(open_image(&layout, &descriptor)?.into());
    }
    let (bytes, index): (_, Index) = layout.document(&descriptor)?;
    let mut images = Vec::new();
    for child in &index.manifests {
        if child.media_type.is_index() {
            return Err(Error::Nested(path.to_owned()));
        }
        images.push(open_image(&layout, child)?);
    }
    let index = BuiltIndex {
        bytes,
        media_type: descriptor.media_type,
        digest: descriptor.digest,
    };
    Ok(Product::new(images, index))
}

/// Reads a manifest and its config, whatever that is: attestations have none of an image.
fn open_image(layout: &Layout, descriptor: &Descriptor) -> Result<BuiltImage, Error> {
    let (manifest_bytes, manifest): (_, Manifest) = layout.document(descriptor)?;
    let (config_bytes, _): (_, serde::de::IgnoredAny) = layout.document(&manifest.config)?;
    Ok(BuiltImage {
        manifest_bytes,
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.clone(),
        manifest,
        config_bytes,
        blobs: Arc::new(layout.blobs().clone()),
    })
}

/// The members of a tarball, where they lie in it.
struct Tarball {
    path: PathBuf,
    members: BTreeMap<PathBuf, Place>,
}

enum Place {
    At {
        offset: u64,
        size: u64,
    },
    /// The same as another member, as older tarballs have layers that they repeat.
    Link(PathBuf),
}

/// `manifest.json`: one object an image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    config: String,
    #[serde(default)]
    layers: Vec<String>,
}

impl Tarball {
    fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = fs::File::open(path).map_err(failed)?;
        let mut start = Vec::new();
        let mut first = file.by_ref().take(MAGIC as u64);
        first.read_to_end(&mut start).map_err(failed)?;
        if Format::detect(&start) != Format::Plain {
            return Err(Error::Compressed(path.to_owned()));
        }
        file.rewind().map_err(failed)?;
        let mut archive = tar::Archive::new(file);
        let mut members = BTreeMap::new();
        for entry in archive.entries_with_seek().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.path().map_err(failed)?;
            let name = name.strip_prefix(".").unwrap_or(&name).to_owned();
            let place = match entry.link_name().map_err(failed)? {
                Some(target) if entry.header().entry_type().is_symlink() => {
                    Place::Link(join(&name, &target))
                }
                Some(target) => Place::Link(target.into_owned()),
                None => Place::At {
                    offset: entry.raw_file_position(),
                    size: entry.size(),
                },
            };
            members.insert(name, place);
        }
        Ok(Self {
            path: path.to_owned(),
            members,
        })
    }

    fn image(&self, scratch: &BlobStore) -> Result<BuiltImage, Error> {
        let images: Vec<Contents> = self.json("manifest.json")?;
        let [contents] = &images[..] else {
            return Err(Error::NotOneImage(images.len()));
        };
        let config_bytes = self.document(&contents.config)?;
        let config: ImageConfig =
            json::from_slice(&config_bytes).map_err(|source| Error::Malformed {
                path: self.path.clone(),
                name: contents.config.clone(),
                source,
            })?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != contents.layers.len() {
            return Err(Error::Layers {
                path: self.path.clone(),
                layers: contents.layers.len(),
                diff_ids: diff_ids.len(),
            });
        }
        let mut places = BTreeMap::new();
        let mut layers = Vec::new();
        for (name, diff_id) in contents.layers.iter().zip(diff_ids) {
            let (descriptor, found) = self.layer(name, scratch, &mut places)?;
            if found.to_string() != diff_id.to_string() {
                return Err(Error::WrongLayer {
                    path: self.path.clone(),
                    name: name.clone(),
                });
            }
            layers.push(descriptor);
        }
        let blobs = Blobs {
            path: self.path.clone(),
            places,
            scratch: scratch.clone(),
        };
        let blobs = Arc::new(blobs);
        let image = BuiltImage::new(Family::Docker, config_bytes, layers, BTreeMap::new(), blobs);
        Ok(image)
    }

    /// Reads a layer once: returns what it will be in the manifest, and the digest of its tar.
    fn layer(
        &self,
        name: &str,
        scratch: &BlobStore,
        places: &mut BTreeMap<Digest, (u64, u64)>,
    ) -> Result<(Descriptor, Digest), Error> {
        let failed = |source| Error::Read {
            path: self.path.clone(),
            source,
        };
        let (offset, size) = self.find(name)?;
        let mut start = Vec::new();
        let mut member = section(&self.path, offset, size).map_err(failed)?;
        member
            .by_ref()
            .take(2)
            .read_to_end(&mut start)
            .map_err(failed)?;
        let member = BufReader::new(section(&self.path, offset, size).map_err(failed)?);
        if start != [0x1f, 0x8b] {
            let mut sink = LayerSink::new(scratch, Family::Docker, Compression::Gzip, None, None)?;
            let mut content = decompress(member).map_err(failed)?;
            io::copy(&mut content, &mut sink).map_err(failed)?;
            let layer = sink.finish()?;
            return Ok((layer.descriptor, layer.diff_id.digest().clone()));
        }
        let mut hashed = Hashed::new(member);
        let mut diff_id = Digester::new();
        let mut content = decompress(BufReader::new(&mut hashed)).map_err(failed)?;
        diff_id.read(&mut content).map_err(failed)?;
        drop(content);
        io::copy(&mut hashed, &mut io::sink()).map_err(failed)?;
        let digest = hashed.digester.finish();
        let media_type = Family::Docker.layer(Compression::Gzip);
        let media_type = media_type.map_err(store::Error::MediaType)?;
        places.insert(digest.clone(), (offset, size));
        Ok((Descriptor::new(media_type, digest, size), diff_id.finish()))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        json::from_slice(&self.document(name)?).map_err(|source| Error::Malformed {
            path: self.path.clone(),
            name: name.to_owned(),
            source,
        })
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (offset, size) = self.find(name)?;
        if size > DOCUMENT_SIZE {
            return Err(Error::TooLarge {
                path: self.path.clone(),
                name: name.to_owned(),
            });
        }
        let mut bytes = Vec::new();
        let read = section(&self.path, offset, size).and_then(|mut m| m.read_to_end(&mut bytes));
        read.map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })?;
        Ok(bytes)
    }

    /// Returns where a member's bytes are, and how many.
    fn find(&self, name: &str) -> Result<(u64, u64), Error> {
        let mut at = Path::new(name);
        // a chain of links ends, even where it is a ring
        for _ in 0..8 {
            match self.members.get(at) {
                Some(Place::At { offset, size }) => return Ok((*offset, *size)),
                Some(Place::Link(target)) => at = target,
                None => break,
            }
        }
        Err(Error::NoMember {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }
}

/// Returns the member that a symlink means.
fn join(link: &Path, target: &Path) -> PathBuf {
    let mut path = link.parent().unwrap_or(Path::new("")).to_owned();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

/// Opens a part of a file.
fn section(path: &Path, offset: u64, size: u64) -> io::Result<io::Take<File>> {
    let mut file = fs::File::open(path)?.into_parts().0;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file.take(size))
}

/// Passes bytes on and hashes them.
struct Hashed<R> {
    input: R,
    digester: Digester,
}

impl<R: Read> Hashed<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            digester: Digester::new(),
        }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.digester.update(&buffer[..read]);
        Ok(read)
    }
}

/// Layers in a tarball, and those that had to be compressed.
struct Blobs {
    path: PathBuf,
    places: BTreeMap<Digest, (u64, u64)>,
    scratch: BlobStore,
}

impl BlobSource for Blobs {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        match self.places.get(&descriptor.digest) {
            Some((offset, size)) => {
                let content = section(&self.path, *offset, *size)?;
                Ok(Box::new(Verified::new(content, descriptor)))
            }
            None => self.scratch.open(descriptor),
        }
    }
}
