//! Pushing to and pulling from a real registry.

mod blobs;
mod images;
mod trust;

use std::io::Read;

use bytes::Bytes;

use super::testing::{descriptor, source};
use super::*;
use crate::image::{
    Descriptor, DiffId, Digest, Family, ImageConfig, ImageRef, Manifest, MediaType, Platform, json,
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
