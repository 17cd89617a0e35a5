//! The base images: their documents, before anything is unpacked.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::dockerfile::Dockerfile;
use crate::image::{ImageRef, Platform};
use crate::plan::{self, Configs};
use crate::registry::{self, RemoteImage};

use super::Error;

/// Base images by name and platform.
pub type Bases = BTreeMap<(ImageRef, Platform), Arc<RemoteImage>>;

/// Looks up the images that the needed stages start from, all at once; again, if triggers of theirs make more stages needed.
pub fn fetch(
    client: &registry::Client,
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
        let lookups = missing
            .iter()
            .map(|(image, platform)| client.image(image, platform));
        let found = client.net().block_on(join_all(lookups));
        for (key, found) in missing.iter().zip(found) {
            let found = found.map_err(|source| Error::Image {
                image: key.0.clone(),
                source: Box::new(source),
            })?;
            configs.insert(key.clone(), found.config.clone());
            bases.insert(key.clone(), found);
        }
    }
}
