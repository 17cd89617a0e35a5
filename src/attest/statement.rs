//! Statements about an image, and the manifest that brings them into its index.
//!
//! # Spec
//! in-toto attestation v1; BuildKit, `docs/attestations/attestation-storage.md`.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::image::{Descriptor, DiffId, Digest, Family, Platform, json};
use crate::image::{RootFs, config::Empty};
use crate::output::product::REFERENCE_DIGEST;
use crate::output::{BlobSource, BoxError, BuiltImage};

const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What is stated, and the URI that says in which form.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    pub kind: &'static str,
    pub content: Value,
}

#[derive(Serialize)]
struct Statement<'a> {
    #[serde(rename = "_type")]
    form: &'static str,
    #[serde(rename = "predicateType")]
    kind: &'static str,
    subject: Vec<Subject<'a>>,
    predicate: &'a Value,
}

#[derive(Serialize)]
struct Subject<'a> {
    name: String,
    digest: BTreeMap<&'static str, &'a str>,
}

/// The config of an attestation's manifest: a platform that no runtime has.
#[derive(Serialize)]
struct Config {
    architecture: &'static str,
    os: &'static str,
    config: Empty,
    rootfs: RootFs,
}

/// Makes the manifest with statements about an image, which is called `names`.
pub fn manifest(image: &Digest, names: &[String], predicates: &[Predicate]) -> BuiltImage {
    let unnamed = ["_".to_owned()];
    let names = if names.is_empty() { &unnamed } else { names };
    let mut layers = Vec::new();
    let mut documents = BTreeMap::new();
    for predicate in predicates {
        let subject = names.iter().map(|name| Subject {
            name: name.clone(),
            digest: BTreeMap::from([("sha256", image.hex())]),
        });
        let statement = Statement {
            form: STATEMENT,
            kind: predicate.kind,
            subject: subject.collect(),
            predicate: &predicate.content,
        };
        let bytes = json::to_vec(&statement);
        let digest = Digest::of(&bytes);
        let mut layer = Descriptor::new(IN_TOTO.into(), digest.clone(), bytes.len() as u64);
        let kind = predicate.kind.to_owned();
        layer.annotations.insert(PREDICATE_TYPE.to_owned(), kind);
        documents.insert(digest, bytes);
        layers.push(layer);
    }
    let config = Config {
        architecture: "unknown",
        os: "unknown",
        config: Empty {},
        rootfs: RootFs {
            diff_ids: layers
                .iter()
                .map(|layer| DiffId::new(layer.digest.clone()))
                .collect(),
            ..RootFs::default()
        },
    };
    let blobs = Arc::new(Documents(documents));
    BuiltImage::new(
        Family::Oci,
        json::to_vec(&config),
        layers,
        BTreeMap::new(),
        blobs,
    )
}

/// Returns the descriptor by which an index points to the statements about one of its images.
pub fn descriptor(attestation: &BuiltImage, image: &Digest) -> Descriptor {
    let mut descriptor = attestation.descriptor();
    descriptor.platform = Some(Platform::new("unknown", "unknown", ""));
    descriptor.annotations = BTreeMap::from([
        (REFERENCE_DIGEST.to_owned(), image.to_string()),
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
    ]);
    descriptor
}

/// Documents that are in memory.
struct Documents(BTreeMap<Digest, Vec<u8>>);

impl BlobSource for Documents {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, BoxError> {
        match self.0.get(&descriptor.digest) {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            None => Err("it is none of the statements".into()),
        }
    }
}
