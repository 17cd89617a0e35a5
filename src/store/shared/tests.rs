use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::*;
use crate::image::MediaType;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        create: true,
        max_size: None,
        ttl: Duration::from_secs(3600),
        refresh: false,
    }
}

fn open(options: Options) -> SharedStore {
    SharedStore::open(options).unwrap().unwrap()
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::from("x"), Digest::of(bytes), bytes.len() as u64)
}

fn keep(store: &SharedStore, bytes: &[u8]) {
    let mut keeping = store.keep(&descriptor(bytes)).unwrap();
    assert!(keeping.write(bytes));
    keeping.commit();
}

fn blob(store: &SharedStore, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    let mut reader = store.open_blob(&descriptor(bytes))?;
    reader.read_to_end(&mut found).unwrap();
    Some(found)
}

fn path(dir: &Path, bytes: &[u8]) -> PathBuf {
    dir.join("blobs/sha256").join(Digest::of(bytes).hex())
}

#[test]
fn what_is_kept_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Options {
        create: false,
        ..options(&dir.path().join("missing"))
    };
    assert!(SharedStore::open(missing).unwrap().is_none());
    let store = open(options(&dir.path().join("a/b")));
    assert_eq!(blob(&store, b"layer"), None);
    keep(&store, b"layer");
    store.keep_document(b"{}");
    drop(store.keep(&descriptor(b"given up")).unwrap());
    let other = open(options(&dir.path().join("a/b")));
    assert_eq!(blob(&other, b"layer").unwrap(), b"layer");
    assert_eq!(other.document(&Digest::of(b"{}")).unwrap(), b"{}");
    assert!(other.has(&descriptor(b"layer")) && !other.has(&descriptor(b"given up")));
    let fresh = open(Options {
        refresh: true,
        ..options(&dir.path().join("a/b"))
    });
    assert_eq!(blob(&fresh, b"layer"), None, "everything is fetched anew");
    assert_eq!(fresh.document(&Digest::of(b"{}")), None);
}

#[test]
fn damage_is_removed_and_made_good() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path()));
    for damaged in [&b"laye"[..], b"layer and more", b"lAyer", b""] {
        keep(&store, b"layer");
        fs_err::write(path(dir.path(), b"layer"), damaged).unwrap();
        assert_eq!(blob(&store, b"layer"), None, "{damaged:?}");
        assert!(!path(dir.path(), b"layer").exists());
        store.keep_document(b"{\"a\":1}");
        fs_err::write(path(dir.path(), b"{\"a\":1}"), damaged).unwrap();
        assert_eq!(store.document(&Digest::of(b"{\"a\":1}")), None);
        store.keep_document(b"{\"a\":1}");
        assert!(store.document(&Digest::of(b"{\"a\":1}")).is_some());
    }
    keep(&store, b"layer");
    assert_eq!(blob(&store, b"layer").unwrap(), b"layer");
}

#[test]
fn the_limit_takes_what_was_not_used_for_longest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(options(dir.path()));
    let used = |bytes: &[u8], seconds: u64| {
        keep(&store, bytes);
        let file = fs_err::File::options()
            .write(true)
            .open(path(dir.path(), bytes))
            .unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.file().set_modified(time).unwrap();
    };
    for (bytes, seconds) in [(b"one", 1), (b"two", 2), (b"abc", 3)] {
        used(bytes, seconds);
    }
    assert!(blob(&store, b"one").is_some(), "which counts as a use");
    let limited = open(Options {
        max_size: Some(9),
        ..options(dir.path())
    });
    limited.keep_limit();
    assert!(
        limited.has(&descriptor(b"two")),
        "nothing is removed without need"
    );
    keep(&limited, b"more");
    let left = [&b"one"[..], b"two", b"abc", b"more"].map(|bytes| limited.has(&descriptor(bytes)));
    assert_eq!(left, [true, false, false, true]);
    assert!(limited.keep(&descriptor(b"ten bytes!")).is_none());
}

#[test]
fn a_store_that_cannot_be_written_to_is_read() {
    let dir = tempfile::tempdir().unwrap();
    // nobody can create anything there
    let store = open(options(Path::new("/proc/self")));
    assert!(store.keep(&descriptor(b"x")).is_none());
    store.keep_document(b"{}");
    assert_eq!(blob(&store, b"x"), None);
    if rustix::process::geteuid().is_root() {
        return;
    }
    keep(&open(options(dir.path())), b"layer");
    let blobs = dir.path().join("blobs");
    fs_err::set_permissions(&blobs, std::fs::Permissions::from_mode(0o555)).unwrap();
    let store = open(options(dir.path()));
    assert_eq!(blob(&store, b"layer").unwrap(), b"layer");
    assert!(store.keep(&descriptor(b"x")).is_none());
    fs_err::set_permissions(&blobs, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Lays out an image as kaniko's warmer does: as a layout, or as a tarball with the manifest beside it.
fn warm(dir: &Path, as_layout: bool) -> (Digest, Digest) {
    let (config, layer) = (&b"{\"config\":1}"[..], &b"a layer"[..]);
    let manifest = b"{\"manifest\":1}";
    let digest = Digest::of(manifest);
    let entry = dir.join(digest.as_str());
    if as_layout {
        let blobs = BlobStore::open(&entry.join("blobs")).unwrap();
        for bytes in [&manifest[..], config, layer] {
            blobs.put(bytes).unwrap();
        }
    } else {
        let mut tar = tar::Builder::new(fs_err::File::create(&entry).unwrap());
        let layer_name = format!("{}.tar.gz", Digest::of(layer).hex());
        for (name, bytes) in [(Digest::of(config).as_str(), config), (&layer_name, layer)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.into_inner().unwrap();
        fs_err::write(dir.join(format!("{digest}.json")), manifest).unwrap();
    }
    (digest, Digest::of(config))
}

#[test]
fn entries_of_kanikos_warmer_are_read() {
    for as_layout in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (manifest, config) = warm(dir.path(), as_layout);
        let store = open(options(dir.path()));
        assert_eq!(store.document(&config), None, "nobody knows it yet");
        assert_eq!(store.document(&manifest).unwrap(), b"{\"manifest\":1}");
        assert_eq!(store.document(&config).unwrap(), b"{\"config\":1}");
        assert_eq!(blob(&store, b"a layer").unwrap(), b"a layer");
        assert_eq!(blob(&store, b"another"), None);

        let expired = open(Options {
            ttl: Duration::ZERO,
            ..options(dir.path())
        });
        assert_eq!(expired.document(&manifest), None, "layout: {as_layout}");
    }
}
