//! Cache entries: the small image around one layer, written and read. Pure but for `fetch`.

use std::io::{self, BufReader, Read, Write};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Error, Hit, Key, Lookup, Origin};
use crate::image::{
    Compression, Descriptor, DiffId, Digest, Digester, Family, History, ImageConfig, Layer,
    Manifest, MediaType, Platform, json,
};
use crate::layer::decompress::decompress;
use crate::store::{BlobStore, BlobWriter};

/// The label that says which key an entry was made for.
const KEY_LABEL: &str = "executor.layer-key";

/// A layer that was made.
#[derive(Debug, Clone)]
pub struct New {
    pub key: Key,
    pub layer: Layer,
    /// The instruction, for people who look into the repository.
    pub created_by: String,
    pub created: OffsetDateTime,
    pub platform: Platform,
}

/// What an entry must be like to be used.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub compression: Compression,
    /// What was made before is expired.
    pub oldest: OffsetDateTime,
}

/// An entry's documents.
pub struct Documents {
    pub config_bytes: Vec<u8>,
    pub config: Descriptor,
    pub manifest_bytes: Vec<u8>,
    pub media_type: MediaType,
}

/// Tells whether an image under a key is an entry, ours or kaniko's.
pub fn is_entry(key: &str, config: &ImageConfig) -> bool {
    let is_ours = config.config.labels.get(KEY_LABEL).map(String::as_str) == Some(key);
    is_ours
        || config
            .history
            .first()
            .is_some_and(|entry| entry.author == "kaniko")
}

/// Writes the documents around a layer, in the family of the layer's type.
pub fn documents(new: &New) -> Documents {
    let family = new.layer.descriptor.media_type.family();
    let created = new
        .created
        .format(&Rfc3339)
        .expect("years of four digits can be written as RFC 3339");
    let mut config = ImageConfig::scratch(new.platform.clone());
    config.created = Some(created.clone());
    config
        .config
        .labels
        .insert(KEY_LABEL.to_owned(), new.key.to_string());
    config.rootfs.diff_ids = vec![new.layer.diff_id.clone()];
    config.history = vec![History {
        created: Some(created),
        created_by: new.created_by.clone(),
        ..History::default()
    }];
    let config_bytes = json::to_vec(&config);
    let size = config_bytes.len() as u64;
    let config = Descriptor::new(family.config(), Digest::of(&config_bytes), size);
    let layers = vec![new.layer.descriptor.clone()];
    let manifest = Manifest::new(family, config.clone(), layers, Default::default());
    Documents {
        config_bytes,
        config,
        manifest_bytes: json::to_vec(&manifest),
        media_type: family.manifest(),
    }
}

/// Judges what was found under a key.
pub fn judge(
    key: &Key,
    manifest: &Manifest,
    config: &ImageConfig,
    wanted: &Wanted,
    origin: Origin,
) -> Lookup {
    let broken = |why: &str| Lookup::Broken(why.to_owned());
    if config.config.labels.get(KEY_LABEL) != Some(&key.to_string()) {
        return broken("it was not made for this key");
    }
    let ([descriptor], [diff_id]) = (&manifest.layers[..], &config.rootfs.diff_ids[..]) else {
        return broken("it has not exactly one layer");
    };
    let is_layer = [Family::Docker, Family::Oci]
        .iter()
        .any(|family| family.layer(wanted.compression).as_ref() == Ok(&descriptor.media_type));
    if !is_layer {
        let media_type = &descriptor.media_type;
        return Lookup::Broken(format!("its layer has the media type `{media_type}`"));
    }
    let created = config.created.as_deref();
    let Some(created) = created.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()) else {
        return broken("it does not say when it was made");
    };
    if created < wanted.oldest {
        return Lookup::Expired;
    }
    Lookup::Hit(Hit {
        layer: Layer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
        },
        created,
        origin,
    })
}

/// Brings a layer's blob into a store; it is there only if the blob and its tar are what the layer says.
pub(super) fn fetch(layer: &Layer, blob: impl Read + Send, store: &BlobStore) -> Result<(), Error> {
    let mut writer = store.writer()?;
    let tee = Tee {
        input: blob,
        copy: &mut writer,
    };
    let found = diff_id(tee).map_err(|source| Error::Read {
        digest: layer.descriptor.digest.clone(),
        source,
    })?;
    if found != layer.diff_id {
        return Err(Error::DiffId {
            found: found.digest().clone(),
            wanted: layer.diff_id.clone(),
        });
    }
    Ok(writer.commit_as(&layer.descriptor)?)
}

fn diff_id(blob: impl Read + Send) -> io::Result<DiffId> {
    let mut tar = decompress(BufReader::with_capacity(PIECE, blob))?;
    let mut digester = Digester::new();
    digester.read(&mut tar)?;
    Ok(DiffId::new(digester.finish()))
}

const PIECE: usize = 128 << 10;

/// Passes on what it reads, and writes a copy of it.
struct Tee<'w, R> {
    input: R,
    copy: &'w mut BlobWriter,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.copy.write_all(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> (New, Manifest, ImageConfig) {
        let media_type = Family::Oci.layer(Compression::Gzip).unwrap();
        let new = New {
            key: super::super::key::scratch(&Platform::host()),
            layer: Layer {
                descriptor: Descriptor::new(media_type, Digest::of(b"blob"), 4),
                diff_id: DiffId::new(Digest::of(b"tar")),
            },
            created_by: "RUN x".to_owned(),
            created: OffsetDateTime::from_unix_timestamp(1_000).unwrap(),
            platform: Platform::host(),
        };
        let documents = documents(&new);
        let manifest = serde_json::from_slice(&documents.manifest_bytes).unwrap();
        let config = serde_json::from_slice(&documents.config_bytes).unwrap();
        (new, manifest, config)
    }

    fn judged(change: impl FnOnce(&mut Manifest, &mut ImageConfig), oldest: i64) -> String {
        let (new, mut manifest, mut config) = entry();
        change(&mut manifest, &mut config);
        let wanted = Wanted {
            compression: Compression::Gzip,
            oldest: OffsetDateTime::from_unix_timestamp(oldest).unwrap(),
        };
        let origin = Origin::Registry("r.example/cache".parse().unwrap());
        match judge(&new.key, &manifest, &config, &wanted, origin) {
            Lookup::Hit(hit) => {
                assert_eq!((hit.layer, hit.created), (new.layer, new.created));
                "hit".to_owned()
            }
            Lookup::Broken(why) => why,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn only_what_was_made_for_a_key_and_is_whole_is_a_hit() {
        assert_eq!(judged(|_, _| {}, 999), "hit");
        assert_eq!(judged(|_, _| {}, 1_001), "Expired");
        let foreign = judged(|_, config| config.config.labels.clear(), 0);
        assert_eq!(foreign, "it was not made for this key");
        let empty = judged(|manifest, _| manifest.layers.clear(), 0);
        assert_eq!(empty, "it has not exactly one layer");
        let two = judged(
            |manifest, _| manifest.layers.push(manifest.layers[0].clone()),
            0,
        );
        assert_eq!(two, "it has not exactly one layer");
        let zstd = judged(
            |manifest, _| {
                manifest.layers[0].media_type = Family::Oci.layer(Compression::Zstd).unwrap();
            },
            0,
        );
        assert!(zstd.starts_with("its layer has the media type"), "{zstd}");
        let timeless = judged(|_, config| config.created = None, 0);
        assert_eq!(timeless, "it does not say when it was made");
    }

    #[test]
    fn a_blob_is_kept_only_if_it_and_its_tar_are_right() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(directory.path()).unwrap();
        let layer = |blob: &[u8], tar: &[u8]| Layer {
            descriptor: Descriptor::new(
                Family::Oci.layer(Compression::None).unwrap(),
                Digest::of(blob),
                blob.len() as u64,
            ),
            diff_id: DiffId::new(Digest::of(tar)),
        };
        for (blob, tar) in [(&b"tar"[..], &b"other"[..]), (b"another", b"tar")] {
            let layer = layer(blob, tar);
            fetch(&layer, &b"tar"[..], &store).unwrap_err();
            assert_eq!(store.size(&layer.descriptor.digest).unwrap(), None);
        }
        let right = layer(b"tar", b"tar");
        fetch(&right, &b"tar"[..], &store).unwrap();
        assert_eq!(store.size(&right.descriptor.digest).unwrap(), Some(3));
    }
}
