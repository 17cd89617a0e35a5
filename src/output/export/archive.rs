//! An OCI layout as one tar archive.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::super::{Error, Product, open_layer, tarball};
use crate::image::{Descriptor, Digest, ImageRef};
use crate::layer::{self, Entry, Kind, LayerPath, Writer};
use crate::layout;

/// The annotation by which containerd knows an image's whole name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Writes what [`layout::Layout`] has on a disk; each of `names` stands for the image in the index.
pub fn write(
    product: &Product,
    names: &[String],
    out: &mut dyn Write,
    path: &Path,
) -> Result<(), Error> {
    let failed = |source| Error::Tarball {
        path: path.to_owned(),
        source,
    };
    let mut tar = Archive {
        tar: Writer::new(out),
        written: BTreeSet::new(),
    };
    tar.file("oci-layout", &layout::version_document())
        .map_err(failed)?;
    for directory in ["blobs", "blobs/sha256"] {
        tar.directory(directory).map_err(failed)?;
    }
    for image in product.images() {
        for layer in image.distinct_layers() {
            if tar.written.insert(layer.digest.clone()) {
                let entry = tarball::entry(&blob_name(&layer.digest), layer.size);
                let mut content = open_layer(image, layer)?;
                tar.tar.append(&entry, &mut content).map_err(failed)?;
            }
        }
        tar.blob(&image.manifest.config.digest, &image.config_bytes)
            .map_err(failed)?;
        tar.blob(&image.digest, &image.manifest_bytes)
            .map_err(failed)?;
    }
    tar.blob(product.digest(), product.bytes())
        .map_err(failed)?;
    let index = layout::index_document(named(&product.descriptor(), names));
    tar.file("index.json", &index).map_err(failed)?;
    tar.tar.finish().map_err(failed)?;
    Ok(())
}

/// Returns a descriptor for each name, or the one without.
fn named(descriptor: &Descriptor, names: &[String]) -> Vec<Descriptor> {
    let of_name = |name: &String| {
        let mut descriptor = descriptor.clone();
        let annotations = &mut descriptor.annotations;
        if let Ok(reference) = name.parse::<ImageRef>() {
            let tag = reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
            annotations.insert(
                CONTAINERD_NAME.to_owned(),
                format!("{}:{tag}", reference.name()),
            );
            annotations.insert(layout::REF_NAME.to_owned(), tag);
        }
        descriptor
    };
    match names {
        [] => vec![descriptor.clone()],
        names => names.iter().map(of_name).collect(),
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

struct Archive<'o> {
    tar: Writer<&'o mut dyn Write>,
    written: BTreeSet<Digest>,
}

impl Archive<'_> {
    fn directory(&mut self, name: &str) -> Result<(), layer::Error> {
        let entry = Entry {
            path: LayerPath::clean(name),
            kind: Kind::Directory,
            mode: 0o755,
            ..tarball::entry(name, 0)
        };
        self.tar.append(&entry, &mut io::empty())
    }

    fn file(&mut self, name: &str, mut bytes: &[u8]) -> Result<(), layer::Error> {
        let entry = tarball::entry(name, bytes.len() as u64);
        self.tar.append(&entry, &mut bytes)
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), layer::Error> {
        match self.written.insert(digest.clone()) {
            true => self.file(&blob_name(digest), bytes),
            false => Ok(()),
        }
    }
}
