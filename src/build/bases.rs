//! The base images: their documents, before anything is unpacked, and which of them the target stands on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use super::images::{Image, Library};
use crate::dockerfile::Dockerfile;
use crate::image::{Digest, Family, ImageRef, Platform};
use crate::plan::{self, Base, Configs, ImageName, Plan};

/// Base images by name and platform.
pub type Bases = BTreeMap<(ImageName, Platform), Arc<Image>>;

/// Looks up the images that the needed stages start from, all at once; again, if triggers of theirs make more stages needed.
pub fn fetch(
    library: &Library<'_>,
    dockerfile: &Dockerfile,
    options: &plan::Options,
) -> Result<(Bases, Configs), Error> {
    let mut bases = Bases::new();
    let mut configs = Configs::new();
    loop {
        let missing = plan::required_images(dockerfile, options, &configs)?;
        if missing.is_empty() {
            return Ok((bases, configs));
        }
        let found = library
            .images(&missing)
            .map_err(|error| at_from(error, dockerfile, options, &configs))?;
        for (key, found) in missing.iter().zip(found) {
            configs.insert(key.clone(), found.config.clone());
            bases.insert(key.clone(), found);
        }
    }
}

/// Places an error about an image at the `FROM` that names it.
fn at_from(
    error: Error,
    dockerfile: &Dockerfile,
    options: &plan::Options,
    configs: &Configs,
) -> Error {
    let Some(image) = error.image() else {
        return error;
    };
    match plan::from_image(dockerfile, options, configs, &image) {
        Ok(Some((span, word))) => error.in_from(span, word),
        Ok(None) => error,
        Err(other) => other.into(),
    }
}

/// Checks that an image of the family can have the layers of its base; beside it is the one that was asked for.
///
/// # Errors
/// [`Error::Relabel`] at the `FROM` of a base that has zstd layers, which no Docker image has.
pub fn check_family(
    (family, wanted): (Family, Option<Family>),
    plan: &Plan,
    bases: &Bases,
    dockerfile: &Dockerfile,
    options: &plan::Options,
    configs: &Configs,
) -> Result<(), Error> {
    let Some(key) = base_image(plan) else {
        return Ok(());
    };
    for layer in &bases[&key].manifest.layers {
        layer.media_type.layer_in(family).map_err(|source| {
            let error = Error::Relabel {
                layer: layer.digest.clone(),
                image: key.0.to_string(),
                is_asked: wanted.is_some(),
                source,
            };
            at_from(error, dockerfile, options, configs)
        })?;
    }
    Ok(())
}

/// Returns the family of the image: as asked, else its base image's; an image from scratch is Docker's.
pub fn family(plan: &Plan, bases: &Bases, wanted: Option<Family>) -> Family {
    wanted.unwrap_or_else(|| match base_image(plan) {
        Some(key) => bases[&key].manifest.family(),
        None => Family::Docker,
    })
}

/// Returns the image at the bottom of the target's chain of bases.
pub fn base_image(plan: &Plan) -> Option<(ImageName, Platform)> {
    chain(plan).find_map(|stage| match &plan.stages[stage].base {
        Base::Image(image, platform) => Some((image.clone(), platform.clone())),
        Base::Scratch | Base::Stage(_) => None,
    })
}

/// Returns the target and the stages it is based on, one after the other.
pub fn chain(plan: &Plan) -> impl Iterator<Item = usize> + '_ {
    std::iter::successors(Some(plan.target), |stage| match plan.stages[*stage].base {
        Base::Stage(base) => Some(base),
        Base::Scratch | Base::Image(..) => None,
    })
}

/// Returns where the layers of the base image are.
pub fn origins(plan: &Plan, bases: &Bases) -> BTreeMap<Digest, ImageRef> {
    let image = base_image(plan).map(|key| &bases[&key]);
    let layers = image.into_iter().flat_map(|image| {
        image
            .manifest
            .layers
            .iter()
            .filter_map(|layer| Some((layer.digest.clone(), image.repository()?.clone())))
    });
    layers.collect()
}
