//! Cache entries in directories: one OCI layout each, named `<path>:<key>`.
//!
//! # Spec
//! Compat spec 7.5.

use std::io;
use std::path::{Path, PathBuf};

use super::entry::{self, New, Wanted};
use super::{Error, Key, Lookup, Origin};
use crate::causes;
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
        Err(error) => return Lookup::Broken(causes::in_one_line(&error)),
    };
    let Origin::Layout(layout) = &hit.origin else {
        return Lookup::Hit(hit);
    };
    let blob = layout.blobs().verified(&hit.layer.descriptor);
    let copied = match blob {
        Ok(Some(mut blob)) => {
            io::copy(&mut blob, &mut io::sink()).map_err(|error| causes::in_one_line(&error))
        }
        Ok(None) => Err("its layer is missing".to_owned()),
        Err(error) => Err(causes::in_one_line(&error)),
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

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use time::OffsetDateTime;

    use super::*;
    use crate::image::{Compression, DiffId, Digest, Family, Layer};

    const BLOB: &[u8] = b"the bytes of a layer";

    /// An entry in a directory, and the store that its layer came from.
    struct Entry {
        dir: tempfile::TempDir,
        store: BlobStore,
        new: New,
    }

    impl Entry {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = BlobStore::open(&dir.path().join("store")).unwrap();
            let (digest, size) = store.put(BLOB).unwrap();
            let media_type = Family::Oci.layer(Compression::None).unwrap();
            let new = New {
                key: super::super::key::scratch(&Platform::host()),
                layer: Layer {
                    descriptor: Descriptor::new(media_type, digest.clone(), size),
                    diff_id: DiffId::new(digest),
                },
                created_by: "RUN x".to_owned(),
                created: OffsetDateTime::now_utc(),
                platform: Platform::host(),
            };
            Self { dir, store, new }
        }

        fn prefix(&self) -> PathBuf {
            self.dir.path().join("cache")
        }

        fn put(&self) {
            put(&self.prefix(), &self.new, &self.store).unwrap();
        }

        fn path(&self) -> PathBuf {
            path(&self.prefix(), &self.new.key)
        }

        fn blob(&self, digest: &Digest) -> PathBuf {
            self.path().join("blobs/sha256").join(digest.hex())
        }

        fn look_up(&self) -> String {
            let wanted = Wanted {
                compression: Compression::None,
                oldest: OffsetDateTime::UNIX_EPOCH,
            };
            match look_up(&self.prefix(), &self.new.key, &Platform::host(), &wanted) {
                Lookup::Hit(_) => "hit".to_owned(),
                Lookup::Broken(why) => why,
                other => format!("{other:?}"),
            }
        }
    }

    #[test]
    fn whatever_is_wrong_with_an_entry_is_found_and_overwritten() {
        type Damage<'d> = &'d dyn Fn(&Entry);
        let change = |path: PathBuf, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        };
        let layer = |entry: &Entry| entry.blob(&entry.new.layer.descriptor.digest);
        let manifest = |entry: &Entry| {
            let digest = Digest::of(&entry::documents(&entry.new).manifest_bytes);
            entry.blob(&digest)
        };
        let config =
            |entry: &Entry| entry.blob(&entry::documents(&entry.new).config.digest.clone());
        #[rustfmt::skip] // a table keeps its columns
        let damages: [(&str, Damage<'_>); 12] = [
            ("layer truncated",    &|e| change(layer(e), &|bytes| bytes.truncate(3))),
            ("layer empty",        &|e| change(layer(e), &|bytes| bytes.clear())),
            ("layer longer",       &|e| change(layer(e), &|bytes| bytes.push(0))),
            ("layer changed",      &|e| change(layer(e), &|bytes| bytes[5] ^= 1)),
            ("layer missing",      &|e| fs::remove_file(layer(e)).unwrap()),
            ("manifest changed",   &|e| change(manifest(e), &|bytes| bytes[5] ^= 1)),
            ("manifest missing",   &|e| fs::remove_file(manifest(e)).unwrap()),
            ("config truncated",   &|e| change(config(e), &|bytes| bytes.truncate(9))),
            ("config missing",     &|e| fs::remove_file(config(e)).unwrap()),
            ("index no JSON",      &|e| fs::write(e.path().join("index.json"), "{").unwrap()),
            ("index empty",        &|e| fs::write(e.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap()),
            ("index missing",      &|e| fs::remove_file(e.path().join("index.json")).unwrap()),
        ];
        let entry = Entry::new();
        assert_eq!(entry.look_up(), "Absent");
        for (name, damage) in damages {
            entry.put();
            assert_eq!(entry.look_up(), "hit", "before: {name}");
            damage(&entry);
            let found = entry.look_up();
            assert!(found != "hit" && found != "Absent", "{name}: {found}");
        }
        entry.put();
        assert_eq!(entry.look_up(), "hit");
    }

    #[test]
    fn what_is_wrong_is_told_down_to_its_cause() {
        let entry = Entry::new();
        entry.put();
        fs::write(entry.path().join("index.json"), "{").unwrap();
        let found = entry.look_up();
        assert!(found.contains("is malformed: EOF while parsing"), "{found}");
    }

    #[test]
    fn an_entry_under_another_key_is_not_believed() {
        let mut entry = Entry::new();
        entry.put();
        let path = entry.path();
        entry.new.key = super::super::key::after(&entry.new.key, &entry.new.key);
        fs::rename(path, entry.path()).unwrap();
        assert_eq!(entry.look_up(), "it was not made for this key");
        // one that somebody killed had begun to write
        fs::remove_dir_all(entry.path()).unwrap();
        fs::create_dir(entry.path()).unwrap();
        assert_ne!(entry.look_up(), "hit");
        entry.put();
        assert_eq!(entry.look_up(), "hit");
    }
}
