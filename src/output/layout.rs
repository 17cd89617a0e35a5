//! An image into an OCI layout on disk.

use std::io;
use std::path::Path;

use super::{BuiltImage, Error, open_layer};
use crate::layout::Layout;

/// Writes an image and makes it the only one that the layout offers; blobs that were there stay.
///
/// The image keeps its family: a Docker manifest in an OCI layout is as usual as it looks odd.
///
/// # Spec
/// Compat spec 9.8.
pub fn write(path: &Path, image: &BuiltImage) -> Result<(), Error> {
    let layout = Layout::create(path)?;
    let blobs = layout.blobs();
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
    let mut descriptor = image.descriptor();
    let artifact_type = image.manifest.config.media_type.to_string();
    let other = &mut descriptor.other;
    other.insert("artifactType".to_owned(), artifact_type.into());
    Ok(layout.set_index(vec![descriptor])?)
}
