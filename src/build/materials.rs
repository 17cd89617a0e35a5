//! What a plan takes from elsewhere, for the image's provenance.

use super::images::Image;
use super::pins::Pins;
use super::{Error, Prepared};
use crate::attest::{Material, Materials, of_image};
use crate::dockerfile::instruction::Network;
use crate::execute::Pinned;
use crate::image::Platform;
use crate::plan::{Action, Base, CopySource, CopyStep, ImageName, RunMount, Source, Step};

impl Prepared<'_> {
    /// Returns the images, repositories and files of servers that the plan names, and what its commands may use.
    ///
    /// # Errors
    /// That an image is not to be had, which the build itself would fail with.
    pub fn materials(&self) -> Result<Materials, Error> {
        let mut materials = Materials::default();
        for stage in &self.plan.stages {
            if let Base::Image(name, platform) = &stage.base {
                let image = &self.bases[&(name.clone(), platform.clone())];
                materials.remote.push(of_base(name, platform, image));
            }
        }
        let steps = self.plan.stages.iter().flat_map(|stage| &stage.steps);
        let sources = steps.flat_map(Step::sources);
        let read: Vec<(ImageName, Platform)> = sources
            .filter_map(|source| match source {
                Source::Image(name, platform) => Some((name.clone(), platform.clone())),
                _ => None,
            })
            .collect();
        for ((name, platform), image) in read.iter().zip(self.library.images(&read)?) {
            materials.remote.push(of_base(name, platform, &image));
        }
        for (position, stage) in self.plan.stages.iter().enumerate() {
            for (index, step) in stage.steps.iter().enumerate() {
                match &step.action {
                    Action::Copy(copy) => {
                        let fetched = fetched(copy, &self.pins, (position, index));
                        materials.remote.extend(fetched);
                    }
                    Action::Run(run) => {
                        materials.uses_network |= run.network != Network::None;
                        for mount in &run.mounts {
                            add_mount(mount, &mut materials);
                        }
                    }
                    Action::Config | Action::Workdir(_) => {}
                }
            }
        }
        Ok(materials)
    }

    /// Returns the seconds since 1970 that replace all times of this build, if any do.
    pub fn epoch(&self) -> Option<i64> {
        self.epoch
    }
}

fn of_base(name: &ImageName, platform: &Platform, image: &Image) -> Material {
    Material {
        uri: match name {
            ImageName::Registry(image) => of_image(image, Some(platform)),
            ImageName::Layout(_) => name.to_string(),
        },
        digest: Some(("sha256", image.top.hex().to_owned())),
    }
}

/// Returns what an ADD fetches.
fn fetched(copy: &CopyStep, pins: &Pins, at: (usize, usize)) -> Vec<Material> {
    let pinned = pins.get(&at).map_or(&[][..], Vec::as_slice);
    let sources = copy.sources.iter().enumerate();
    let fetched = sources.filter_map(|(index, source)| {
        let pinned = pinned.get(index).and_then(Option::as_ref);
        let (uri, checksum) = match source {
            CopySource::Url { url, checksum } => (url, checksum.as_deref()),
            CopySource::Git(git) => (&git.url, None),
            CopySource::Path(_) | CopySource::Inline { .. } => return None,
        };
        let digest = match pinned {
            Some(Pinned::File(file)) => Some(("sha256", file.digest.hex().to_owned())),
            Some(Pinned::Commit(id)) => Some(("sha1", id.clone())),
            None => checksum
                .and_then(|checksum| checksum.strip_prefix("sha256:"))
                .map(|hash| ("sha256", hash.to_lowercase())),
        };
        let uri = uri.clone();
        Some(Material { uri, digest })
    });
    fetched.collect()
}

fn add_mount(mount: &RunMount, materials: &mut Materials) {
    let (ids, id, required) = match mount {
        RunMount::Secret { id, required, .. } => (&mut materials.secrets, id, required),
        RunMount::Ssh { id, required, .. } => (&mut materials.agents, id, required),
        RunMount::Bind { .. } | RunMount::Cache { .. } | RunMount::Tmpfs { .. } => return,
    };
    *ids.entry(id.clone()).or_default() |= *required;
}
