//! An image into an OCI layout on disk.

use std::io;
use std::path::Path;

use super::{BuiltImage, Error, Product, open_layer};
use crate::layout::Layout;
use crate::rootfs;
use crate::store::BlobStore;

/// Writes an image, or an index with its images, and makes it the only one that the layout offers; blobs that were there stay.
///
/// A directory that was not there before is not left half-written.
///
/// The image keeps its family: a Docker manifest in an OCI layout is as usual as it looks odd.
///
/// # Spec
/// Compat spec 9.8.
pub fn write(path: &Path, product: &Product) -> Result<(), Error> {
    let is_new = !path.exists();
    let written = write_into(path, product);
    if written.is_err() && is_new {
        // What fails here is told by the first error already.
        let _best_effort = rootfs::remove_dir_all(path);
    }
    written.map_err(|source| Error::WriteLayout {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn write_into(path: &Path, product: &Product) -> Result<(), Error> {
    let layout = Layout::create(path)?;
    for image in product.images() {
        write_image(layout.blobs(), image)?;
    }
    let mut descriptor = product.descriptor();
    match (product.index(), product.images()) {
        (None, [image]) => {
            let artifact_type = image.manifest.config.media_type.to_string();
            let other = &mut descriptor.other;
            other.insert("artifactType".to_owned(), artifact_type.into());
        }
        _ => drop(layout.blobs().put(product.bytes())?),
    }
    Ok(layout.set_index(vec![descriptor])?)
}

fn write_image(blobs: &BlobStore, image: &BuiltImage) -> Result<(), Error> {
    for layer in image.distinct_layers() {
        if blobs.size(&layer.digest)? == Some(layer.size) {
            continue;
        }
        let mut content = open_layer(image, layer)?;
        let mut writer = blobs.writer()?;
        let copied = io::copy(&mut content, &mut writer);
        copied.map_err(|source| Error::Copy {
            digest: layer.digest.clone(),
            source,
        })?;
        writer.commit_as(layer)?;
    }
    blobs.put(&image.config_bytes)?;
    blobs.put(&image.manifest_bytes)?;
    Ok(())
}
