//! An image into a tarball as `docker save` writes and `docker load` reads it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read};
use std::path::Path;

use serde::Serialize;

use super::file::{OutputFile, io_error};
use super::{BuiltImage, Error, open_layer};
use crate::image::{Compression, Descriptor, DiffId, ImageConfig, json};
use crate::layer::{Entry, Kind, LayerPath, Time, Writer};

/// The name of an image that has none.
const UNSET: &str = "docker.io/unset-repo/unset-image-name:latest";

/// `manifest.json`: one object an image.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
    /// Layers that are to be fetched from elsewhere.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layer_sources: BTreeMap<DiffId, Descriptor>,
}

/// Writes an image as one file; `destinations` are names as the user typed them.
///
/// # Spec
/// Compat spec 9.7.
pub fn write(path: &Path, image: &BuiltImage, destinations: &[String]) -> Result<(), Error> {
    let mut file = BufWriter::with_capacity(64 * 1024, OutputFile::create(path)?);
    write_to(&mut file, path, image, destinations)?;
    let file = file.into_inner();
    let file = file.map_err(|e| io_error("write to", path, e.into_error()))?;
    file.commit()
}

/// Like [`write()`], into what is open already and called `path` in messages.
pub fn write_to(
    out: impl io::Write,
    path: &Path,
    image: &BuiltImage,
    destinations: &[String],
) -> Result<(), Error> {
    let failed = |source| Error::Tarball {
        path: path.to_owned(),
        source,
    };
    let mut tar = Writer::new(out);
    let config = image.manifest.config.digest.to_string();
    append(&mut tar, &config, &image.config_bytes).map_err(failed)?;
    for layer in image.distinct_layers() {
        let mut content = open_layer(image, layer)?;
        let entry = entry(&file_name(layer), layer.size);
        tar.append(&entry, &mut content).map_err(failed)?;
    }
    let contents = [contents(image, config, destinations)];
    append(&mut tar, "manifest.json", &json::to_vec(&contents)).map_err(failed)?;
    tar.finish().map_err(failed)?;
    Ok(())
}

fn contents(image: &BuiltImage, config: String, destinations: &[String]) -> Contents {
    let mut repo_tags: Vec<String> = destinations.iter().map(|d| with_tag(d)).collect();
    if repo_tags.is_empty() {
        repo_tags.push(UNSET.to_owned());
    }
    let layers = &image.manifest.layers;
    // a config that is no image's has no hashes to list layers by
    let diff_ids = json::from_slice(&image.config_bytes)
        .map(|config: ImageConfig| config.rootfs.diff_ids)
        .unwrap_or_default();
    let foreign = diff_ids.into_iter().zip(layers);
    Contents {
        config,
        repo_tags,
        layers: layers.iter().map(file_name).collect(),
        layer_sources: foreign
            .filter(|(_, layer)| layer.media_type.is_foreign())
            .map(|(diff_id, layer)| (diff_id, layer.clone()))
            .collect(),
    }
}

/// Completes a name with the tag that it means.
fn with_tag(destination: &str) -> String {
    let last = destination.rsplit('/').next().unwrap_or_default();
    match last.contains([':', '@']) {
        true => destination.to_owned(),
        false => format!("{destination}:latest"),
    }
}

fn file_name(layer: &Descriptor) -> String {
    let ending = match layer.media_type.compression() {
        Compression::None => "tar",
        Compression::Gzip => "tar.gz",
        Compression::Zstd => "tar.zst",
    };
    format!("{}.{ending}", layer.digest.hex())
}

fn append<W: io::Write>(
    tar: &mut Writer<W>,
    name: &str,
    mut bytes: &[u8],
) -> Result<(), crate::layer::Error> {
    let entry = entry(name, bytes.len() as u64);
    tar.append(&entry, &mut bytes as &mut dyn Read)
}

/// Returns a file as archives of images have it.
pub(super) fn entry(name: &str, size: u64) -> Entry {
    Entry {
        path: LayerPath::clean(name),
        kind: Kind::File { size },
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Time::default(),
        xattrs: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_spelling() {
        let cases = [
            ("busybox", "busybox:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("localhost:5000/a:1", "localhost:5000/a:1"),
        ];
        for (typed, want) in cases {
            assert_eq!(with_tag(typed), want);
        }
    }
}
