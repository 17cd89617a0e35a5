//! How a blob gets into a repository and out of it.

use std::sync::Arc;

use super::*;
use crate::registry::testing::{
    DockerRegistry, Protection, Reply, Scripted, client, descriptor, net, noise, options, source,
};

#[test]
fn blobs_are_skipped_mounted_or_uploaded() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let client = client(&net, &[]);
    let (first, second) = (registry.image("first"), registry.image("deep/second"));
    let bytes = noise(2, 100_000);
    let blob = descriptor(&bytes);
    let push = |image: &ImageRef, source: &Source| {
        net.block_on(client.push_blob(image, &blob, source))
            .unwrap()
    };
    assert_eq!(push(&first, &source(&bytes)), Pushed::Uploaded);
    assert_eq!(push(&first, &source(&bytes)), Pushed::Existed);
    let mounted = Source {
        open: Arc::new(|| panic!("a mounted blob is not read")),
        mount_from: Some(first.clone()),
    };
    assert_eq!(push(&second, &mounted), Pushed::Mounted);
    // the empty blob has nothing to send
    let empty = descriptor(b"");
    let pushed = net
        .block_on(client.push_blob(&first, &empty, &source(b"")))
        .unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    assert_eq!(read_all(client.blob(&first, &empty)).unwrap(), b"");
}

#[test]
fn a_blob_that_is_damaged_is_not_taken_for_one() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let client = client(&net, &[]);
    let (image, other) = (registry.image("a"), registry.image("b"));
    let bytes = noise(9, 100_000);
    let blob = descriptor(&bytes);
    let push = |to: &ImageRef| {
        let source = Source {
            mount_from: Some(image.clone()),
            ..source(&bytes)
        };
        net.block_on(client.push_blob(to, &blob, &source))
    };
    let kept = |pushed: Result<Pushed, Error>| {
        let error = pushed.unwrap_err();
        assert!(matches!(error, Error::KeptDamaged { .. }), "{error}");
        assert!(error.help().unwrap().contains("--compression-level"));
    };
    assert_eq!(push(&image).unwrap(), Pushed::Uploaded);
    let mut wrong = bytes.clone();
    wrong[5] ^= 1;
    fs_err::write(registry.blob(&blob.digest), wrong).unwrap();
    // as long as nobody reads it, the registry is believed
    assert_eq!(push(&image).unwrap(), Pushed::Existed);
    read_all(client.blob(&image, &blob)).unwrap_err();
    // this registry keeps what it has, and says that all is well
    kept(push(&image));
    kept(push(&other));
    fs_err::remove_file(registry.blob(&blob.digest)).unwrap();
    assert_eq!(push(&image).unwrap(), Pushed::Uploaded);
    assert_eq!(read_all(client.blob(&image, &blob)).unwrap(), bytes);
    assert_eq!(push(&other).unwrap(), Pushed::Mounted);
    // another size shows without reading
    fs_err::write(registry.blob(&blob.digest), &bytes[..50_000]).unwrap();
    kept(push(&image));
}

#[test]
fn a_blob_from_one_registry_streams_into_another() {
    let (one, two) = (
        DockerRegistry::start(&Protection::default()),
        DockerRegistry::start(&Protection::default()),
    );
    let net = net();
    let client = client(&net, &[]);
    let bytes = noise(3, 5_000_000);
    let blob = descriptor(&bytes);
    let (from, to) = (one.image("a"), two.image("a"));
    net.block_on(client.push_blob(&from, &blob, &source(&bytes)))
        .unwrap();
    let (reader, wanted) = (client.clone(), blob.clone());
    let through = Source {
        open: Arc::new(move || Ok(Box::new(reader.blob(&from, &wanted)))),
        mount_from: Some(one.image("a")),
    };
    net.block_on(client.push_blob(&to, &blob, &through))
        .unwrap();
    assert_eq!(read_all(client.blob(&to, &blob)).unwrap(), bytes);
}

#[test]
fn a_blob_that_a_mirror_lacks_comes_from_the_next_place() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let full = registry.image("full/a:1");
    let layer = noise(7, 200_000);
    push_image(&net, &client(&net, &[]), &full, AMD64, &layer);
    let upstream = format!("http://{}", registry.address);
    // a mirror that has documents and the beginning of layers only
    let kept = layer.clone();
    let mirror = Scripted::start(move |request, _| match request.path.as_str() {
        "/v2/" => Reply::new(200),
        path if path.ends_with(Digest::of(&kept).as_str()) => match request.header("range") {
            "" => Reply::new(200).body(kept.clone()).cut(50_000),
            _ => Reply::new(404),
        },
        path => Reply::new(307).header(
            "Location",
            format!("{upstream}{}", path.replace("/half/", "/full/")),
        ),
    });
    let mut options = options(&[]);
    for place in [
        format!("{}/half", mirror.address),
        format!("{}/full", registry.address),
    ] {
        options
            .endpoints
            .add_map(&format!("r.invalid={place}"))
            .unwrap();
    }
    let client = Client::new(&net, options).unwrap();
    let image = "r.invalid/a:1".parse().unwrap();
    let found = net
        .block_on(client.image(&image, &AMD64.parse().unwrap()))
        .unwrap();
    assert_eq!(found.source.registry, mirror.address);
    let blob = client.blob(&found.source, &found.layers()[0].descriptor);
    assert!(read_all(blob).unwrap() == layer);
}
