//! Images with layers of a test's own making, pushed as they are.

use std::io::Write;

use serde_json::{Value, json};

use super::{Registry, tool};
use executor::image::Digest;

/// One member of a crafted layer: its header's kind, name, link target and content; nothing is checked.
pub struct Member<'a> {
    pub kind: tar::EntryType,
    pub name: &'a str,
    pub link: &'a str,
    pub content: &'a [u8],
}

/// Returns an uncompressed tar of `members`, with names exactly as given.
pub fn tar_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for member in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(member.kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(member.content.len() as u64);
        let bytes = header.as_mut_bytes();
        bytes[..member.name.len()].copy_from_slice(member.name.as_bytes());
        bytes[157..157 + member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(member.content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Pushes an image whose only layer is `blob`, gzip of a tar with hash `diff_id`; returns its reference.
pub fn push(registry: &Registry, name: &str, blob: &[u8], diff_id: &Digest) -> String {
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id.to_string()]}});
    push_config(registry, name, blob, &config)
}

/// Pushes an image whose only layer is `blob`, with a config of any kind.
pub fn push_config(registry: &Registry, name: &str, blob: &[u8], config: &Value) -> String {
    let dir = tempfile::tempdir().unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs_err::write(dir.path().join(digest.hex()), bytes).unwrap();
        digest
    };
    let config = serde_json::to_vec(config).unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": put(&config).to_string(), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": put(blob).to_string(), "size": blob.len()}],
    });
    fs_err::write(
        dir.path().join("manifest.json"),
        serde_json::to_vec(&manifest).unwrap(),
    )
    .unwrap();
    fs_err::write(
        dir.path().join("version"),
        "Directory Transport Version: 1.1\n",
    )
    .unwrap();
    let reference = format!("{}/{name}", registry.host());
    let mut args = vec!["copy".to_owned(), "--quiet".to_owned()];
    args.extend(registry.skopeo_options("dest"));
    args.extend([
        format!("dir:{}", dir.path().display()),
        format!("docker://{reference}"),
    ]);
    tool("skopeo", args);
    reference
}
