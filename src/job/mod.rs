//! The main job: a context and a Dockerfile in, an image in registries and files out.
//!
//! In order, as users of kaniko know it: the context and its Dockerfile, the permission to push, the build, the outputs, the push.

mod error;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tracing::info;

use crate::build::{self, Built};
use crate::cli::options::Options;
use crate::image::ImageRef;
use crate::interrupt::Interrupt;
use crate::net::{self, Net};
use crate::output::digest_files::{self, DigestFiles};
use crate::output::{layout, push, tarball};
use crate::{context, registry};

pub use error::Error;

/// Builds the image and puts it where the options say.
pub fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Error> {
    let net = Net::new(net::Options {
        http1_only: options.features.disable_http2,
    })
    .map_err(Error::Net)?;
    let clients = Clients::new(&net, options)?;
    let means = context::Means {
        current_dir: &options.current_dir,
        place: &settings::context_place(options),
        net: &net,
        interrupt,
    };
    let (context, dockerfile) = context::open(&options.context, means).map_err(Error::Context)?;
    let destinations: Vec<ImageRef> = options
        .output
        .destinations
        .iter()
        .map(|d| d.reference.clone())
        .collect();
    if options.output.push && !options.registry.skip_push_permission_check {
        check_permission(&net, &clients.push, &destinations)?;
    }
    let built = build::build(
        &clients.pull,
        &context,
        &dockerfile,
        &settings::build(options),
        interrupt,
    );
    let built = built.map_err(|cause| Error::Build {
        dockerfile,
        cause: Box::new(cause),
    })?;
    write_outputs(&net, &built, options, &destinations)?;
    if !options.output.push {
        info!("Skipping push to container registry due to --no-push flag");
        return Ok(());
    }
    push(&net, &clients.push, &built, options)
}

/// A client for each direction; they share credentials.
struct Clients {
    pull: registry::Client,
    push: registry::Client,
}

impl Clients {
    fn new(net: &Net, options: &Options) -> Result<Self, Error> {
        let credentials = settings::credentials(options).map_err(Error::Credentials)?;
        let pull = options.registry.pull(Arc::clone(&credentials));
        let push = options.registry.push(credentials);
        Ok(Self {
            pull: registry::Client::new(net, pull)
                .map_err(|error| Error::Registry(Box::new(error)))?,
            push: registry::Client::new(net, push)
                .map_err(|error| Error::Registry(Box::new(error)))?,
        })
    }
}

/// Asks each repository once whether a push would be refused, all at the same time.
fn check_permission(
    net: &Net,
    client: &registry::Client,
    destinations: &[ImageRef],
) -> Result<(), Error> {
    let by_name: BTreeMap<String, &ImageRef> = destinations.iter().map(|d| (d.name(), d)).collect();
    let checks = by_name
        .into_values()
        .map(|destination| client.check_push_permission(destination));
    net.block_on(join_all(checks))
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Permission(Box::new(error)))
}

/// Writes what does not need a registry, the small files last.
fn write_outputs(
    net: &Net,
    built: &Built,
    options: &Options,
    destinations: &[ImageRef],
) -> Result<(), Error> {
    let output = &options.output;
    let image = &built.image;
    let typed: Vec<String> = output
        .destinations
        .iter()
        .map(|d| d.as_given.clone())
        .collect();
    if let Some(path) = &output.oci_layout_path {
        layout::write(path, image).map_err(Error::Output)?;
    }
    if let Some(path) = &output.tar_path {
        tarball::write(path, image, &typed).map_err(Error::Output)?;
    }
    let files = DigestFiles {
        digest: output.digest_file.clone(),
        image_name: output.image_name_with_digest_file.clone(),
        image_name_tag: output.image_name_tag_with_digest_file.clone(),
    };
    digest_files::write(&files, &image.digest, destinations, |url, body| {
        Ok(net.put(url, body)?)
    })
    .map_err(Error::Output)
}

/// Pushes to all destinations and tells `BUILDER_OUTPUT`.
fn push(
    net: &Net,
    client: &registry::Client,
    built: &Built,
    options: &Options,
) -> Result<(), Error> {
    let output = &options.output;
    let destinations: Vec<_> = output
        .destinations
        .iter()
        .map(|destination| push::Destination {
            text: destination.as_given.clone(),
            image: destination.reference.clone(),
        })
        .collect();
    let how = push::Options {
        ignore_immutable_tag_errors: output.ignore_immutable_tag_errors,
    };
    net.block_on(push::push(client, &built.image, &destinations, how))
        .map_err(Error::Push)?;
    if let Some(directory) = &output.builder_output {
        let names: Vec<String> = destinations
            .into_iter()
            .map(|destination| destination.text)
            .collect();
        digest_files::write_images(directory, &names, &built.image.digest)
            .map_err(Error::Output)?;
    }
    Ok(())
}
