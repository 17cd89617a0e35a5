//! The base images: their documents, before anything is unpacked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use super::images::{Image, Library};
use crate::dockerfile::Dockerfile;
use crate::image::Platform;
use crate::plan::{self, Configs, ImageName};

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
        for (key, found) in missing.iter().zip(library.images(&missing)?) {
            configs.insert(key.clone(), found.config.clone());
            bases.insert(key.clone(), found);
        }
    }
}
