//! All images that a name stands for.

use crate::image::{Descriptor, ImageRef, Index};

use super::pull::{RemoteImage, parse};
use super::{Client, Error};

impl Client {
    /// Looks up an image, or all images of an index, under its own name only; each with the descriptor that an index has of it.
    pub async fn every_image(
        &self,
        reference: &ImageRef,
    ) -> Result<Vec<(Descriptor, RemoteImage)>, Error> {
        let retry = self.0.options.retry;
        let document = self.manifest(reference, retry).await?;
        if !document.media_type.is_index() {
            let image = self.image_of(reference, document, retry).await?;
            let mut descriptor = image.descriptor.clone();
            descriptor.platform = Some(image.config.platform.clone());
            return Ok(vec![(descriptor, image)]);
        }
        let index: Index = parse(&document.bytes, reference, "index")?;
        let mut images = Vec::new();
        for descriptor in index.manifests {
            let child = reference.with_digest(descriptor.digest.clone());
            let document = self.manifest(&child, retry).await?;
            images.push((descriptor, self.image_of(&child, document, retry).await?));
        }
        Ok(images)
    }
}
