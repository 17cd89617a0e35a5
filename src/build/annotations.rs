//! Annotations of the manifest.

use std::collections::BTreeMap;

use super::bases::{Bases, base_image};
use crate::image::Family;
use crate::image::reference::DOCKER_HUB;
use crate::plan::{ImageName, Plan};

const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

/// Returns what was asked for, and for an OCI image which image it is based on; Docker's manifests have no annotations.
///
/// # Spec
/// image-spec v1.1 `annotations.md`. BuildKit leaves the base out, buildah names it.
pub fn annotations(
    given: &BTreeMap<String, String>,
    plan: &Plan,
    bases: &Bases,
    family: Family,
) -> BTreeMap<String, String> {
    let mut annotations = given.clone();
    let base = base_image(plan).filter(|_| family == Family::Oci);
    let Some(key @ (ImageName::Registry(image), _)) = &base else {
        return annotations;
    };
    let hub = format!("{DOCKER_HUB}/");
    let name = image.to_string();
    let name = match name.strip_prefix(&hub) {
        Some(path) => format!("docker.io/{path}"),
        None => name,
    };
    let digest = bases[key]
        .repository()
        .and_then(|found| found.digest.clone());
    if let Some(digest) = digest {
        annotations.entry(NAME.to_owned()).or_insert(name);
        annotations
            .entry(DIGEST.to_owned())
            .or_insert_with(|| digest.to_string());
    }
    annotations
}
