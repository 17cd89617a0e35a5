//! Images and indexes, there and back.

use super::*;
use crate::image::Index;
use crate::registry::testing::{DockerRegistry, Protection, client, net, noise, options};

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
