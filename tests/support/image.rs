//! An image as a registry gave it back.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::{Registry, listing, tool};

/// A pulled image: its documents, its layers, and its unpacked tree.
pub struct Image {
    pub manifest: Value,
    pub config: Value,
    /// Digest of the manifest's bytes.
    pub digest: String,
    dir: TempDir,
}

impl Image {
    /// Pulls with skopeo, which checks every digest; documents and blobs stay as they were pushed.
    pub fn pull(registry: &Registry, reference: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let raw = dir.path().join("raw");
        let mut args = vec!["copy".to_owned(), "--quiet".to_owned()];
        args.extend(registry.skopeo_options("src"));
        args.extend([
            format!("docker://{reference}"),
            format!("dir:{}", raw.display()),
        ]);
        tool("skopeo", args);
        let bytes = fs_err::read(raw.join("manifest.json")).unwrap();
        let digest = executor::image::Digest::of(&bytes).to_string();
        let manifest: Value = serde_json::from_slice(&bytes).unwrap();
        let config = fs_err::read(raw.join(hex(&manifest["config"]["digest"]))).unwrap();
        Self {
            config: serde_json::from_slice(&config).unwrap(),
            manifest,
            digest,
            dir,
        }
    }

    /// Returns `created_by` of each history entry, with `(empty)` in front of those without a layer.
    pub fn history(&self) -> Vec<String> {
        let entries = self.config["history"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let line = |entry: &Value| {
            let empty = if entry["empty_layer"] == true {
                "(empty) "
            } else {
                ""
            };
            format!(
                "{empty}{}",
                entry["created_by"].as_str().unwrap_or_default()
            )
        };
        entries.iter().map(line).collect()
    }

    pub fn layer_count(&self) -> usize {
        self.manifest["layers"].as_array().unwrap().len()
    }

    /// Lists the members of a layer, counted from 0: `f 0755 7:8 10 app.sh`.
    pub fn layer(&self, index: usize) -> String {
        let blob = fs_err::read(
            self.raw()
                .join(hex(&self.manifest["layers"][index]["digest"])),
        )
        .unwrap();
        let mut tar = Vec::new();
        let gzip = blob.starts_with(&[0x1f, 0x8b]);
        if gzip {
            flate2::read::MultiGzDecoder::new(&blob[..])
                .read_to_end(&mut tar)
                .unwrap();
        } else {
            tar = zstd::decode_all(&blob[..]).unwrap_or(blob);
        }
        let diff_id = executor::image::Digest::of(&tar).to_string();
        assert_eq!(
            self.config["rootfs"]["diff_ids"][index],
            Value::String(diff_id),
            "diff_id of layer {index}"
        );
        let mut text = String::new();
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            let path = entry.path().unwrap().display().to_string();
            let owner = format!(
                "{:04o} {}:{}",
                header.mode().unwrap() & 0o7777,
                header.uid().unwrap(),
                header.gid().unwrap()
            );
            let link = entry
                .link_name()
                .unwrap()
                .map(|l| l.display().to_string())
                .unwrap_or_default();
            match header.entry_type() {
                tar::EntryType::Regular => write!(text, "f {owner} {} {path}", entry.size()),
                tar::EntryType::Directory => write!(text, "d {owner} {path}"),
                tar::EntryType::Symlink => write!(text, "l {owner} {path} -> {link}"),
                tar::EntryType::Link => write!(text, "h {owner} {path} = {link}"),
                tar::EntryType::Fifo => write!(text, "p {owner} {path}"),
                other => write!(text, "{:?} {owner} {path}", other),
            }
            .unwrap();
            for extension in entry
                .pax_extensions()
                .unwrap()
                .into_iter()
                .flatten()
                .flatten()
            {
                if let Some(name) = extension
                    .key()
                    .ok()
                    .and_then(|k| k.strip_prefix("SCHILY.xattr."))
                {
                    write!(text, " {name}={}", extension.value_bytes().escape_ascii()).unwrap();
                }
            }
            text.push('\n');
        }
        text
    }

    /// Unpacks the image with umoci and returns the root directory.
    pub fn unpack(&self) -> PathBuf {
        let bundle = self.dir.path().join("bundle");
        if !bundle.exists() {
            let layout = self.dir.path().join("layout");
            tool(
                "skopeo",
                [
                    "copy",
                    "--quiet",
                    &format!("dir:{}", self.raw().display()),
                    &format!("oci:{}:image", layout.display()),
                ],
            );
            tool(
                "umoci",
                [
                    "unpack",
                    "--image",
                    &format!("{}:image", layout.display()),
                    bundle.to_str().unwrap(),
                ],
            );
        }
        bundle.join("rootfs")
    }

    /// Lists the unpacked tree, below `path` only.
    pub fn tree(&self, path: &str) -> String {
        listing::tree(&self.unpack().join(path), listing::Detail::default())
    }

    /// Returns the text of a file of the unpacked image.
    pub fn text(&self, path: &str) -> String {
        fs_err::read_to_string(self.unpack().join(path)).unwrap()
    }

    fn raw(&self) -> PathBuf {
        Path::new(self.dir.path()).join("raw")
    }
}

fn hex(digest: &Value) -> &str {
    digest.as_str().unwrap().strip_prefix("sha256:").unwrap()
}
