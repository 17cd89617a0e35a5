//! From finished images to what is put out: statements about them, and the index that holds several.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Error;
use crate::attest::{self, Facts, Invocation, Materials, Request};
use crate::cli::options::Options;
use crate::image::{Digest, Family, ImageConfig, ImageRef, Platform, json};
use crate::log::timeline::Timeline;
use crate::output::annotations::Level;
use crate::output::{BuiltImage, BuiltIndex, Product};

/// An image, and what is stated of how it was made.
pub struct Made {
    pub image: BuiltImage,
    /// What it was asked for; absent for this machine's.
    pub platform: Option<Platform>,
    pub materials: Materials,
    /// Seconds since 1970 that replace all times, in statements too.
    pub epoch: Option<i64>,
}

impl Made {
    /// Returns what it is for; what was asked for, or what the config says.
    fn platform(&self) -> Platform {
        let own = || {
            let config: ImageConfig = json::from_slice(&self.image.config_bytes).ok()?;
            let Platform {
                os,
                architecture,
                variant,
                ..
            } = &config.platform;
            let normal = Platform::new(os, architecture, variant);
            Some(Platform {
                os_version: config.platform.os_version,
                os_features: config.platform.os_features,
                ..normal
            })
        };
        let platform = self.platform.clone().or_else(own);
        platform.unwrap_or_else(Platform::host)
    }
}

/// Puts what was made together as the options want it: an image alone, or an index.
///
/// # Errors
/// [`Error::Attest`] if an image cannot be looked into.
pub fn product(
    mut made: Vec<Made>,
    request: &Request,
    options: &Options,
    timeline: &Timeline,
) -> Result<Product, Error> {
    let (attestations, annotations) = (&options.output.attestations, &options.output.annotations);
    if made.len() == 1 && !attestations.is_wanted() {
        let made = made.remove(0);
        let annotations = annotations.of(Level::ManifestDescriptor, Some(&made.platform()));
        return Ok(Product::from(made.image).annotated(annotations));
    }
    let id = invocation_id(&made, request);
    let destinations = options.output.destinations.iter();
    let names: Vec<ImageRef> = destinations.map(|d| d.reference.clone()).collect();
    let mut manifests = Vec::new();
    let mut images = Vec::new();
    let mut statements = Vec::new();
    for made in made {
        let platform = made.platform();
        let (started, finished) = match made.epoch {
            Some(epoch) => {
                let epoch = OffsetDateTime::from_unix_timestamp(epoch);
                let epoch = epoch.unwrap_or(OffsetDateTime::UNIX_EPOCH);
                (epoch, epoch)
            }
            None => (timeline.record().started, OffsetDateTime::now_utc()),
        };
        let invocation = Invocation {
            id: id.clone(),
            started: written(started),
            finished: written(finished),
            platform: Platform::host(),
        };
        let facts = Facts {
            request,
            materials: &made.materials,
            invocation: &invocation,
            platform: &platform,
            names: &names,
        };
        let attested = attest::attest(&made.image, attestations, facts).map_err(Error::Attest)?;
        statements.extend(attested);
        let mut descriptor = made.image.descriptor();
        descriptor.annotations = annotations.of(Level::ManifestDescriptor, Some(&platform));
        descriptor.platform = Some(platform);
        manifests.push(descriptor);
        images.push(made.image);
    }
    let family = index_family(&images);
    // behind all images, as BuildKit has them
    for (attestation, descriptor) in statements {
        images.push(attestation);
        manifests.push(descriptor);
    }
    let index = BuiltIndex::new(family, manifests, annotations.of(Level::Index, None));
    let of_index = annotations.of(Level::IndexDescriptor, None);
    Ok(Product::new(images, index).annotated(of_index))
}

/// Returns the family of an index: Docker's if all its images are.
pub fn index_family(images: &[BuiltImage]) -> Family {
    let is_docker = |image: &BuiltImage| image.media_type.family() == Family::Docker;
    match images.iter().all(is_docker) {
        true => Family::Docker,
        false => Family::Oci,
    }
}

/// Makes a name for this run; of what went in and came out, where times must not show.
fn invocation_id(made: &[Made], request: &Request) -> String {
    const LENGTH: usize = 32;
    let is_fixed = made.iter().all(|made| made.epoch.is_some());
    let digests: Vec<&Digest> = made.iter().map(|made| &made.image.digest).collect();
    match is_fixed {
        true => {
            let text = json::to_vec(&(digests, &request.build_args));
            Digest::of(&text).hex()[..LENGTH].to_owned()
        }
        false => format!("{:032x}", fastrand::u128(..)),
    }
}

fn written(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole
        .format(&Rfc3339)
        .expect("years of four digits can be written as RFC 3339")
}
