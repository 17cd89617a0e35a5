//! Old images of the directory that builds share.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use time::OffsetDateTime;

use super::{Error, Pruned, Rules, doomed, tell};
use crate::image::{Digest, Manifest, json};
use crate::store::BlobStore;
use crate::store::shared::evict::{self, Stored};

/// What may be a manifest.
const DOCUMENT_SIZE: u64 = 8 << 20;

/// Removes blobs that were not used for long. `keep` counts images; what belongs to one that is kept stays.
///
/// Caches of RUN mounts and what kaniko's warmer has left are not touched.
pub fn prune(dir: &Path, rules: Rules) -> Result<Pruned, Error> {
    let path = dir.join("blobs");
    if !path.is_dir() {
        return Ok(Pruned::default());
    }
    let blobs = BlobStore::open(&path)?;
    let stored = evict::list(&blobs)?;
    let mut kept = BTreeSet::new();
    let mut images = stored
        .iter()
        .rev()
        .filter_map(|blob| Some((blob, manifest(&blobs, blob)?)));
    for (blob, manifest) in images.by_ref().take(rules.keep.unwrap_or(0)) {
        kept.insert(blob.digest.clone());
        kept.insert(manifest.config.digest);
        kept.extend(manifest.layers.into_iter().map(|layer| layer.digest));
    }
    let others: Vec<&Stored> = stored
        .iter()
        .filter(|blob| !kept.contains(&blob.digest))
        .collect();
    let ages: Vec<OffsetDateTime> = others.iter().map(|blob| blob.last_used.into()).collect();
    let rules_of_blobs = Rules {
        keep: None,
        ..rules
    };
    let mut pruned = Pruned::default();
    for index in doomed(&ages, rules_of_blobs, OffsetDateTime::now_utc()) {
        let digest: &Digest = &others[index].digest;
        tell(
            format_args!("{digest} of {}", dir.display()),
            ages[index],
            rules,
        );
        if !rules.dry_run {
            evict::remove(&blobs, digest)?;
        }
        pruned.removed += 1;
    }
    pruned.kept = stored.len() - pruned.removed;
    Ok(pruned)
}

/// Reads a blob as the manifest of an image, if it is one.
fn manifest(blobs: &BlobStore, blob: &Stored) -> Option<Manifest> {
    if blob.size > DOCUMENT_SIZE {
        return None;
    }
    let mut file = blobs.get(&blob.digest).ok()??;
    let mut start = [0];
    file.read_exact(&mut start).ok()?;
    if start != [b'{'] {
        return None;
    }
    let mut bytes = start.to_vec();
    file.read_to_end(&mut bytes).ok()?;
    let manifest: Manifest = json::from_slice(&bytes).ok()?;
    Some(manifest).filter(|_| Digest::of(&bytes) == blob.digest)
}
