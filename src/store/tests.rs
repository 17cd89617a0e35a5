use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::image::{Compression, Family, MediaType};
use crate::layer::decompress;

fn names(path: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(path).sort_by_file_name().min_depth(1);
    let names = entries.into_iter().map(|e| e.unwrap());
    names
        .map(|e| e.path().strip_prefix(path).unwrap().display().to_string())
        .collect()
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::from("x"), Digest::of(bytes), bytes.len() as u64)
}

fn read(mut reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_blob_is_there_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    let store = BlobStore::open(&path).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write_all(b"con").unwrap();
    drop(writer);
    assert_eq!(names(&path), ["sha256"]);

    let mut writer = store.writer().unwrap();
    writer.write_all(b"con").unwrap();
    writer.write_all(b"tent").unwrap();
    assert_eq!(writer.commit().unwrap(), (Digest::of(b"content"), 7));
    assert_eq!(store.put(b"content").unwrap(), (Digest::of(b"content"), 7));
    assert_eq!(names(&path).len(), 2);
    let file = store.get(&Digest::of(b"content")).unwrap().unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(read(file).unwrap(), b"content");
    assert!(store.get(&Digest::of(b"other")).unwrap().is_none());
    assert_eq!(store.size(&Digest::of(b"content")).unwrap(), Some(7));
}

#[test]
fn only_the_described_blob_is_committed() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).unwrap();
    let written = |bytes: &[u8]| {
        let mut writer = store.writer().unwrap();
        writer.write_all(bytes).unwrap();
        writer
    };
    let wanted = descriptor(b"right");
    assert!(matches!(
        written(b"wrong").commit_as(&wanted),
        Err(Error::Mismatch { .. })
    ));
    assert!(matches!(
        written(b"righ").commit_as(&wanted),
        Err(Error::Size { .. })
    ));
    assert_eq!(names(directory.path()), ["sha256"]);
    written(b"right").commit_as(&wanted).unwrap();
    assert!(store.get(&wanted.digest).unwrap().is_some());
}

#[test]
fn any_damage_is_found_when_reading() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).unwrap();
    let content = b"some content";
    let wanted = descriptor(content);
    store.put(content).unwrap();
    let path = directory.path().join(name(&wanted.digest));
    let check = || read(store.verified(&wanted).unwrap().unwrap());
    assert_eq!(check().unwrap(), content);
    for at in 0..content.len() {
        let mut damaged = content.to_vec();
        damaged[at] ^= 1;
        fs_err::write(&path, damaged).unwrap();
        assert_eq!(
            check().unwrap_err().kind(),
            io::ErrorKind::InvalidData,
            "{at}"
        );
    }
    for other in [&content[..5], b"some content and more", b""] {
        fs_err::write(&path, other).unwrap();
        assert_eq!(check().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
    assert!(store.verified(&descriptor(b"absent")).unwrap().is_none());
}

#[test]
fn what_a_killed_writer_leaves_is_swept_and_what_a_living_one_has_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).unwrap();
    fs_err::write(directory.path().join(".new-dead"), "half").unwrap();
    fs_err::write(directory.path().join("other"), "kept").unwrap();
    let mut alive = store.writer().unwrap();
    alive.write_all(b"alive").unwrap();
    let second = BlobStore::open(directory.path()).unwrap();
    assert!(!directory.path().join(".new-dead").exists());
    assert!(directory.path().join("other").exists());
    let (digest, _) = alive.commit().unwrap();
    assert!(second.get(&digest).unwrap().is_some());
}

#[test]
fn a_store_stays_usable_when_its_path_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = BlobStore::open(&path).unwrap();
    fs_err::rename(&path, directory.path().join("aside")).unwrap();
    let (digest, _) = store.put(b"x").unwrap();
    assert!(store.get(&digest).unwrap().is_some());
    assert!(directory.path().join("aside").join(name(&digest)).exists());
}

#[test]
fn a_store_may_be_read_only() {
    // nobody can create anything there
    let store = BlobStore::open(Path::new("/proc/self")).unwrap();
    assert!(store.get(&Digest::of(b"x")).unwrap().is_none());
    let error = store.put(b"x").unwrap_err().to_string();
    assert!(error.contains("`/proc/self/`"), "{error}");
}

#[test]
fn a_layer_gets_both_hashes() {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::open(directory.path()).unwrap();
    let tar: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
    for (family, compression, media_type) in [
        (
            Family::Docker,
            Compression::Gzip,
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
        (
            Family::Oci,
            Compression::Gzip,
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ),
        (
            Family::Oci,
            Compression::Zstd,
            "application/vnd.oci.image.layer.v1.tar+zstd",
        ),
        (
            Family::Oci,
            Compression::None,
            "application/vnd.oci.image.layer.v1.tar",
        ),
    ] {
        let mut sink = LayerSink::new(&store, family, compression, None, None).unwrap();
        sink.write_all(&tar).unwrap();
        let layer = sink.finish().unwrap();
        assert_eq!(layer.descriptor.media_type.as_str(), media_type);
        assert_eq!(*layer.diff_id.digest(), Digest::of(&tar));
        let blob = store.verified(&layer.descriptor).unwrap().unwrap();
        let content = decompress(io::BufReader::new(blob)).unwrap();
        assert!(read(content).unwrap() == tar, "{media_type}");
    }
    let refused = LayerSink::new(&store, Family::Docker, Compression::Zstd, None, None);
    assert!(matches!(refused, Err(Error::MediaType(_))));
    drop(LayerSink::new(&store, Family::Oci, Compression::Gzip, None, None).unwrap());
    assert!(
        names(directory.path())
            .iter()
            .all(|name| !name.contains(".new-"))
    );
}
