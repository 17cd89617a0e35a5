//! Pushing to and pulling from a real registry.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use super::testing::{
    DockerRegistry, Protection, Reply, Scripted, client, descriptor, net, noise, options, source,
};
use super::*;
use crate::image::{
    Descriptor, DiffId, Digest, Family, ImageConfig, ImageRef, Index, Manifest, MediaType,
    Platform, json,
};
use crate::net::Net;

const AMD64: &str = "linux/amd64";

/// Pushes an image of one layer and returns its manifest's descriptor.
fn push_image(
    net: &Net,
    client: &Client,
    image: &ImageRef,
    platform: &str,
    layer: &[u8],
) -> Descriptor {
    let platform: Platform = platform.parse().unwrap();
    let mut config = ImageConfig::scratch(platform.clone());
    config.rootfs.diff_ids.push(DiffId::new(Digest::of(layer)));
    let config = json::to_vec(&config);
    let config_type = Family::Oci.config();
    let config_descriptor = Descriptor::new(config_type, Digest::of(&config), config.len() as u64);
    let layer_descriptor = descriptor(layer);
    let push = |descriptor: &Descriptor, bytes: &[u8]| {
        net.block_on(client.push_blob(image, descriptor, &source(bytes)))
            .unwrap()
    };
    push(&layer_descriptor, layer);
    push(&config_descriptor, &config);
    let manifest = Manifest::new(
        Family::Oci,
        config_descriptor,
        vec![layer_descriptor],
        Default::default(),
    );
    let bytes = json::to_vec(&manifest);
    let mut descriptor = Descriptor::new(
        Family::Oci.manifest(),
        Digest::of(&bytes),
        bytes.len() as u64,
    );
    descriptor.platform = Some(platform);
    push_manifest(net, client, image, bytes, &descriptor.media_type);
    descriptor
}

fn push_manifest(
    net: &Net,
    client: &Client,
    image: &ImageRef,
    bytes: Vec<u8>,
    media_type: &MediaType,
) {
    net.block_on(client.push_manifest(image, Bytes::from(bytes), media_type))
        .unwrap();
}

fn read_all(mut blob: Blob) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    blob.read_to_end(&mut bytes).map(|_| bytes)
}

#[test]
fn an_image_comes_back_as_it_was_pushed() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let client = client(&net, &[]);
    let image = registry.image("a/b:1");
    let layer = noise(1, 3_000_000);
    let pushed = push_image(&net, &client, &image, AMD64, &layer);

    let pulled = net
        .block_on(client.image(&image, &AMD64.parse().unwrap()))
        .unwrap();
    assert_eq!(pulled.descriptor.digest, pushed.digest);
    assert_eq!(
        pulled.source.to_string(),
        format!("{}/a/b@{}", registry.address, pushed.digest)
    );
    assert_eq!(pulled.layers().len(), 1);
    let bytes = read_all(client.blob(&pulled.source, &pulled.layers()[0].descriptor)).unwrap();
    assert_eq!(bytes, layer);

    // the judge: a client that is not ours
    let theirs = oci_client::Client::new(oci_client::client::ClientConfig {
        protocol: oci_client::client::ClientProtocol::Http,
        ..Default::default()
    });
    let reference = image.to_string().parse().unwrap();
    let accepted = vec!["application/vnd.oci.image.layer.v1.tar"];
    let auth = oci_client::secrets::RegistryAuth::Anonymous;
    let theirs = net
        .block_on(theirs.pull(&reference, &auth, accepted))
        .unwrap();
    assert_eq!(theirs.digest.unwrap(), pushed.digest.to_string());
    assert_eq!(theirs.layers[0].data, layer);
}

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
fn an_index_gives_the_image_for_the_platform() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let client = client(&net, &[]);
    let image = registry.image("multi:1");
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v6"];
    let children: Vec<_> = platforms
        .iter()
        .enumerate()
        .map(|(seed, platform)| {
            push_image(
                &net,
                &client,
                &registry.image("multi:tmp"),
                platform,
                &noise(seed as u64, 10),
            )
        })
        .collect();
    let index = Index {
        schema_version: 2,
        media_type: None,
        manifests: children.clone(),
        annotations: Default::default(),
        other: Default::default(),
    };
    push_manifest(
        &net,
        &client,
        &image,
        json::to_vec(&index),
        &Family::Oci.index(),
    );
    let pull = |platform: &str| net.block_on(client.image(&image, &platform.parse().unwrap()));
    assert_eq!(
        pull("linux/arm64").unwrap().descriptor.digest,
        children[1].digest
    );
    assert_eq!(
        pull("linux/arm/v7").unwrap().descriptor.digest,
        children[2].digest
    );
    let error = pull("linux/s390x").unwrap_err();
    let want = format!("no child with platform linux/s390x in index `{image}`");
    assert_eq!(error.to_string(), want);
    let help = error.help().unwrap();
    assert!(
        help.contains("linux/amd64, linux/arm64, linux/arm/v6"),
        "{help}"
    );
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_it_fails() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let full = registry.image("mirror/library/a:1");
    let pushed = push_image(&net, &client(&net, &[]), &full, AMD64, b"layer");
    let with = |maps: &[String], skip: bool| {
        let mut options = options(&[]);
        for map in maps {
            options.endpoints.add_map(map).unwrap();
        }
        options.endpoints.skip_default_registry_fallback = skip;
        let client = Client::new(&net, options).unwrap();
        let image = "r.invalid/library/a:1".parse().unwrap();
        net.block_on(client.image(&image, &AMD64.parse().unwrap()))
    };
    let bad = format!("r.invalid={}/none", registry.address);
    let good = format!("r.invalid={}/mirror", registry.address);
    let found = with(&[bad.clone(), good], true).unwrap();
    assert_eq!(found.source.digest, Some(pushed.digest));
    assert_eq!(found.source.repository, "mirror/library/a");
    assert_eq!(found.reference.registry, "r.invalid");
    let error = with(&[bad], true).unwrap_err();
    let want = "image not found on any configured mapped registries for r.invalid/library/a:1";
    assert_eq!(error.to_string(), want);
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

#[test]
fn a_password_opens_a_registry_and_its_absence_is_explained() {
    let protection = Protection {
        password: true,
        ..Protection::default()
    };
    let (registry, net) = (DockerRegistry::start(&protection), net());
    let image = registry.image("a:1");
    let host = registry.address.replace(['.', ':'], "_").to_uppercase();
    let (user, password) = (
        format!("KANIKO_{host}_USER"),
        format!("KANIKO_{host}_PASSWORD"),
    );
    let with = |word: &str| client(&net, &[(user.as_str(), "me"), (password.as_str(), word)]);

    net.block_on(with("secret").check_push_permission(&image))
        .unwrap();
    push_image(&net, &with("secret"), &image, AMD64, b"layer");

    let refused = net
        .block_on(with("wrong").check_push_permission(&image))
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("checking push permission for \"{image}\"")
    );
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    for part in [
        "repository `a`",
        "401 Unauthorized",
        "UNAUTHORIZED",
        "credentials: env",
        "POST http://",
    ] {
        assert!(cause.contains(part), "{part}: {cause}");
    }
    let anonymous = net.block_on(client(&net, &[]).image(&image, &AMD64.parse().unwrap()));
    let help = anonymous.unwrap_err().help().unwrap();
    assert!(help.contains("no credentials were found"), "{help}");
}

/// An authority, and a certificate of it for 127.0.0.1 with its key, in PEM.
fn certificates() -> (String, String, String) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "test authority");
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let own = params.signed_by(&own_key, &issuer).unwrap();
    (authority.pem(), own.pem(), own_key.serialize_pem())
}

#[test]
fn certificates_are_checked_by_registry() {
    let (authority, certificate, key) = certificates();
    let protection = Protection {
        tls: Some((certificate.clone(), key.clone())),
        client_authority: Some(authority.clone()),
        ..Protection::default()
    };
    let (registry, net) = (DockerRegistry::start(&protection), net());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs_err::write(&path, text).unwrap();
        path
    };
    let client_certificate = ClientCertificate {
        certificate: file("cert.pem", &certificate),
        key: file("key.pem", &key),
    };
    let authority = file("ca.pem", &authority);
    let image = registry.image("a:1");
    let address = registry.address.clone();
    let check = |change: &dyn Fn(&mut Options)| {
        let mut options = options(&[]);
        change(&mut options);
        net.block_on(
            Client::new(&net, options)
                .unwrap()
                .check_push_permission(&image),
        )
    };
    let identify = |options: &mut Options| {
        options
            .client_certificates
            .insert(address.clone(), client_certificate.clone());
    };
    check(&|options| {
        identify(options);
        options
            .certificates
            .insert(address.clone(), authority.clone());
    })
    .unwrap();
    check(&|options| {
        identify(options);
        options.skip_tls_verify_registries.insert(address.clone());
    })
    .unwrap();
    // the authority of another registry is not trusted here
    let error = check(&|options| {
        identify(options);
        options
            .certificates
            .insert("other.io".to_owned(), authority.clone());
    })
    .unwrap_err();
    let help = error.help().unwrap();
    assert!(
        help.contains(&format!("--registry-certificate {address}=")),
        "{help}"
    );
    // and it wants to know who we are
    assert!(check(&|options| options.skip_tls_verify = true).is_err());
    let missing = |options: &mut Options| {
        options
            .certificates
            .insert("r.io".to_owned(), "/none.pem".into());
    };
    let mut broken = options(&[]);
    missing(&mut broken);
    let error = Client::new(&net, broken).err().unwrap();
    assert_eq!(error.to_string(), "failed to load certificate `/none.pem`");
}

#[test]
fn a_manifest_that_is_there_is_not_put_again() {
    let (registry, net) = (DockerRegistry::start(&Protection::default()), net());
    let client = client(&net, &[]);
    let image = registry.image("a:1");
    let pushed = push_image(&net, &client, &image, AMD64, b"layer");
    assert_eq!(
        net.block_on(client.manifest_digest(&image)).unwrap(),
        Some(pushed.digest)
    );
    let absent = registry.image("a:2");
    assert_eq!(net.block_on(client.manifest_digest(&absent)).unwrap(), None);
}
