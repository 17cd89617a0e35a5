//! Cache entries in directories: one OCI layout each, named `<path>:<key>`.
//!
//! # Spec
//! Compat spec 7.5.

use std::io;
use std::path::{Path, PathBuf};

use super::entry::{self, New, Wanted};
use super::{Error, Key, Lookup, Origin};
use crate::image::{Descriptor, Platform};
use crate::layout::{self, Layout};
use crate::store::BlobStore;

fn path(prefix: &Path, key: &Key) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(format!(":{key}"));
    name.into()
}

/// Looks up one entry and reads its blob, so that what is damaged is found before anything relies on it.
pub fn look_up(prefix: &Path, key: &Key, platform: &Platform, wanted: &Wanted) -> Lookup {
    let path = path(prefix, key);
    if !path.exists() {
        return Lookup::Absent;
    }
    let read = || -> Result<Lookup, layout::Error> {
        let layout = Layout::open(&path)?;
        let image = layout.image(&layout.find(None)?, platform)?;
        let origin = Origin::Layout(layout);
        Ok(entry::judge(
            key,
            &image.manifest,
            &image.config,
            wanted,
            origin,
        ))
    };
    let hit = match read() {
        Ok(Lookup::Hit(hit)) => hit,
        Ok(other) => return other,
        Err(error) => return Lookup::Broken(error.to_string()),
    };
    let Origin::Layout(layout) = &hit.origin else {
        return Lookup::Hit(hit);
    };
    let blob = layout.blobs().verified(&hit.layer.descriptor);
    let copied = match blob {
        Ok(Some(mut blob)) => io::copy(&mut blob, &mut io::sink()).map_err(|e| e.to_string()),
        Ok(None) => Err("its layer is missing".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match copied {
        Ok(_) => Lookup::Hit(hit),
        Err(why) => Lookup::Broken(why),
    }
}

/// Writes an entry; the index, which makes it one, comes last.
pub fn put(prefix: &Path, new: &New, store: &BlobStore) -> Result<(), Error> {
    let documents = entry::documents(new);
    let layout = Layout::create(&path(prefix, &new.key))?;
    let descriptor = &new.layer.descriptor;
    let failed = |source| Error::Read {
        digest: descriptor.digest.clone(),
        source,
    };
    let blob = store.verified(descriptor)?;
    let mut blob = blob.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let mut writer = layout.blobs().writer()?;
    io::copy(&mut blob, &mut writer).map_err(failed)?;
    writer.commit_as(descriptor)?;
    layout.blobs().put(&documents.config_bytes)?;
    let (digest, size) = layout.blobs().put(&documents.manifest_bytes)?;
    layout.set_index(vec![Descriptor::new(documents.media_type, digest, size)])?;
    Ok(())
}
