//! Making the image and putting it out; anew if a cached layer could not be read on the way.

use std::io::Write as _;

use tracing::info;

use super::product::{self, Made};
use super::{Clients, Error, kept, named, request, settings};
use crate::build::{self, MountOptions};
use crate::cache::LayerCache;
use crate::cli::options::Options;
use crate::context::{self, Context, DockerfileText};
use crate::image::{ImageRef, Platform};
use crate::interrupt::Interrupt;
use crate::log::record;
use crate::log::timeline::Timeline;
use crate::net::Net;
use crate::output::digest_files::{self, DigestFiles};
use crate::output::export::{self, Stdout};
use crate::output::uploads::Uploads;
use crate::output::{self, BuiltImage, Product, layout, tarball};
use crate::registry::Client;

/// What an image is made from, and where it goes.
pub struct Making<'m> {
    pub net: &'m Net,
    pub clients: &'m Clients,
    pub options: &'m Options,
    pub interrupt: &'m Interrupt,
    pub timeline: &'m Timeline,
    pub context: &'m Context,
    pub dockerfile: &'m DockerfileText,
    pub means: context::Means<'m>,
    pub mounts: MountOptions,
    pub destinations: &'m [ImageRef],
    pub cache: Option<LayerCache>,
    /// Standard output, if an archive goes there.
    pub stdout: Option<Stdout>,
}

/// A build that has not begun: its platform, options, plan, and record.
type Planned<'m> = (
    Option<&'m Platform>,
    build::Options,
    build::Prepared<'m>,
    Timeline,
);

impl<'m> Making<'m> {
    /// Plans, builds, writes the outputs and pushes.
    ///
    /// A cached layer that nothing stands on is read at the end only, if at all; one that turns out to be damaged or gone by then counts
    /// as not found, and all is done once more. Not so where a part of an archive may be on standard output already.
    pub fn make(&self) -> Result<(), Error> {
        let mut lost = self.lost();
        let planned = self.plan()?;
        if self.options.build.dry_run || self.options.build.print_plan {
            let _terminal = self.timeline.lend_terminal();
            for (_, _, prepared, _) in &planned {
                print(&prepared.outline(build::Destinations {
                    images: self.destinations,
                    push: self.options.output.push,
                }));
            }
        }
        if self.options.build.dry_run {
            return Ok(());
        }
        let mut done = self.carry_out(planned, lost);
        let may_repeat = self.stdout.is_none();
        while may_repeat && done.is_err() && self.lost() > lost && self.interrupt.check().is_ok() {
            info!("Building again, because a cached layer could not be read");
            lost = self.lost();
            done = self
                .plan()
                .and_then(|planned| self.carry_out(planned, lost));
        }
        done
    }

    /// Returns how many cached layers could not be read so far.
    fn lost(&self) -> usize {
        self.cache.as_ref().map_or(0, LayerCache::lost)
    }

    fn failed(&self, cause: build::Error) -> Error {
        Error::Build {
            dockerfile: self.dockerfile.clone(),
            cause: Box::new(cause),
        }
    }

    /// Plans the build for each platform, and looks into the cache.
    fn plan(&self) -> Result<Vec<Planned<'m>>, Error> {
        let platforms: Vec<_> = match &self.options.build.platforms[..] {
            [] => vec![None],
            all => all.iter().map(Some).collect(),
        };
        let is_index = platforms.len() > 1;
        let mut planned = Vec::new();
        for platform in platforms {
            let mounts = self.mounts.clone();
            let asked = settings::build(self.options, mounts, platform, self.context.time);
            let own = match platform.filter(|_| is_index) {
                Some(platform) => self.timeline.part(platform.to_string()),
                None => self.timeline.clone(),
            };
            let prepared = build::prepare(
                &self.clients.pull,
                self.cache.clone(),
                self.context,
                self.dockerfile,
                &asked,
                self.means,
                &own,
            );
            let prepared = prepared.map_err(|cause| self.failed(cause))?;
            planned.push((platform, asked, prepared, own));
        }
        Ok(planned)
    }

    /// Builds what was planned and puts it out; `lost` is how many cached layers could not be read before.
    fn carry_out(&self, planned: Vec<Planned<'_>>, lost: usize) -> Result<(), Error> {
        let (options, timeline) = (self.options, self.timeline);
        let failed = |cause| self.failed(cause);
        for (_, _, prepared, _) in &planned {
            prepared.check_machines().map_err(failed)?;
        }
        let push = &self.clients.push;
        let uploads = options
            .output
            .push
            .then(|| Uploads::new(push, self.destinations));
        let is_index = planned.len() > 1;
        let mut finished = Vec::new();
        let mut made = Vec::new();
        for (platform, asked, prepared, own) in planned {
            if let Some(platform) = platform.filter(|_| is_index) {
                info!("Building for {platform}");
            }
            let materials = match &options.output.attestations.provenance {
                Some(_) => prepared.materials().map_err(failed)?,
                None => Default::default(),
            };
            let epoch = prepared.epoch();
            let built = build::build(prepared, &asked, self.interrupt, &own, uploads.as_ref());
            let built = built.map_err(failed)?;
            made.push(Made {
                image: built.image.clone(),
                platform: platform.cloned(),
                materials,
                epoch,
            });
            finished.push(match is_index {
                true => built.release().map_err(failed)?,
                false => built,
            });
        }
        let attested = options.output.attestations.is_wanted();
        let phase = attested.then(|| timeline.phase("look into the image"));
        let request = request::request(options, self.context, self.dockerfile);
        let layers = made.iter().flat_map(|made| layers(&made.image)).collect();
        let product = product::product(made, &request, options, timeline)?;
        drop(phase);
        timeline.built(recorded(&product, layers));
        let phase = timeline.phase("write outputs");
        write_outputs(self.net, &product, options, self.destinations)?;
        let scratch = settings::scratch(options);
        for export in &options.output.exports {
            export::write(export, &product, &scratch, self.stdout.as_ref())
                .map_err(Error::Output)?;
        }
        if let Some(store) = &self.clients.store {
            store.keep_limit();
        }
        drop(phase);
        if !options.output.push && !options.output.exports.is_empty() {
            return Ok(());
        }
        if !options.output.push {
            info!("Skipping push to container registry due to --no-push flag");
            return Ok(());
        }
        let _phase = timeline.phase("push");
        match push_to_all(self.net, push, &product, options, uploads.as_ref()) {
            // an image with a layer that cannot be read is not worth keeping
            Err(Error::Push { cause, .. }) if self.lost() == lost => {
                let kept = kept::keep(&product, &options.kaniko_dir);
                Err(Error::Push { cause, kept })
            }
            Ok(()) => {
                let destinations = options.output.destinations.iter();
                timeline.pushed(destinations.map(|d| d.as_given.clone()).collect());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Prints text on standard output. One that nobody reads is no reason to end differently.
pub(super) fn print(text: &str) {
    let _nobody_reads = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Returns what a tag will point to as a record has it.
fn recorded(product: &Product, layers: Vec<record::Layer>) -> record::Image {
    record::Image {
        digest: product.digest().to_string(),
        media_type: product.media_type().to_string(),
        layers,
        pushed_to: Vec::new(),
    }
}

/// Returns the layers of an image as a record has them.
fn layers(image: &BuiltImage) -> Vec<record::Layer> {
    let layers = image.manifest.layers.iter();
    let layers = layers.map(|layer| record::Layer {
        digest: layer.digest.to_string(),
        size: layer.size,
    });
    layers.collect()
}

/// Writes what does not need a registry, the small files last.
fn write_outputs(
    net: &Net,
    product: &Product,
    options: &Options,
    destinations: &[ImageRef],
) -> Result<(), Error> {
    let output = &options.output;
    let typed: Vec<String> = output
        .destinations
        .iter()
        .map(|d| d.as_given.clone())
        .collect();
    if let Some(path) = &output.oci_layout_path {
        layout::write(path, product).map_err(Error::Output)?;
    }
    if let Some(path) = &output.tar_path {
        // one image, as was checked with the options
        tarball::write(path, &product.images()[0], &typed).map_err(Error::Output)?;
    }
    let files = DigestFiles {
        digest: output.digest_file.clone(),
        image_name: output.image_name_with_digest_file.clone(),
        image_name_tag: output.image_name_tag_with_digest_file.clone(),
    };
    digest_files::write(&files, product.digest(), destinations, |url, body| {
        Ok(net.put(url, body)?)
    })
    .map_err(Error::Output)
}

/// Pushes to all destinations and tells `BUILDER_OUTPUT`.
fn push_to_all(
    net: &Net,
    client: &Client,
    product: &Product,
    options: &Options,
    uploads: Option<&Uploads>,
) -> Result<(), Error> {
    let output = &options.output;
    let destinations = named(&output.destinations);
    let how = output::push::Options {
        ignore_immutable_tag_errors: output.ignore_immutable_tag_errors,
    };
    let push = output::push::push(client, product, &destinations, how, uploads);
    net.block_on(push)
        .map_err(|cause| Error::Push { cause, kept: None })?;
    if let Some(directory) = &output.builder_output {
        let names: Vec<String> = destinations
            .into_iter()
            .map(|destination| destination.text)
            .collect();
        digest_files::write_images(directory, &names, product.digest()).map_err(Error::Output)?;
    }
    Ok(())
}
