//! Cache entries in a registry: the key is the tag.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::{self, New, Wanted};
use super::{Error, Key, Lookup, Origin};
use crate::image::{ImageRef, Platform};
use crate::registry::{Client, Source};
use crate::store::BlobStore;

/// Returns the name of an entry.
pub fn reference(repository: &ImageRef, key: &Key) -> ImageRef {
    repository.with_tag(&key.to_string())
}

/// Looks up one entry, and whether its blob is there and has the right size.
pub async fn look_up(
    client: &Client,
    repository: &ImageRef,
    key: &Key,
    platform: &Platform,
    wanted: &Wanted,
) -> Lookup {
    let reference = reference(repository, key);
    let image = match client.existing_image(&reference, platform).await {
        Ok(Some(image)) => image,
        Ok(None) => return Lookup::Absent,
        Err(error) if error.is_damage() => return Lookup::Broken(error.chain()),
        Err(error) => return Lookup::Failed(Arc::new(error)),
    };
    let origin = Origin::Registry(image.source.clone());
    let judged = entry::judge(key, &image.manifest, &image.config, wanted, origin);
    let Lookup::Hit(hit) = judged else {
        return judged;
    };
    match client
        .has_whole_blob(&image.source, &hit.layer.descriptor)
        .await
    {
        Ok(true) => Lookup::Hit(hit),
        Ok(false) => Lookup::Broken("its layer is missing or incomplete".to_owned()),
        Err(error) => Lookup::Failed(Arc::new(error)),
    }
}

/// Uploads an entry: the layer, the config, and last the manifest, so that the tag never points at something incomplete.
pub async fn put(
    client: Client,
    repository: ImageRef,
    new: New,
    store: BlobStore,
) -> Result<(), Error> {
    let reference = reference(&repository, &new.key);
    let documents = entry::documents(&new);
    let layer = new.layer.descriptor;
    let opened = layer.clone();
    let source = Source {
        open: Arc::new(move || {
            let blob = store.verified(&opened).map_err(io::Error::other)?;
            let blob = blob.ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(blob))
        }),
        mount_from: None,
    };
    let boxed = |error| Error::Registry(Box::new(error));
    client
        .push_blob(&reference, &layer, &source)
        .await
        .map_err(boxed)?;
    let bytes = Bytes::from(documents.config_bytes);
    let source = Source {
        open: Arc::new(move || Ok(Box::new(io::Cursor::new(bytes.clone())))),
        mount_from: None,
    };
    client
        .push_blob(&reference, &documents.config, &source)
        .await
        .map_err(boxed)?;
    let manifest = Bytes::from(documents.manifest_bytes);
    client
        .push_manifest(&reference, manifest, &documents.media_type)
        .await
        .map_err(boxed)?;
    Ok(())
}
