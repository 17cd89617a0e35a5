//! The main job: a context and a Dockerfile in, an image in registries and files out.
//!
//! In order, as users of kaniko know it: the context and its Dockerfile, the permission to push, the build, the outputs, the push.

mod checks;
mod error;
mod index;
mod kept;
mod places;
mod prune;
mod push;
mod reports;
mod settings;
mod warm;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use futures_util::future::join_all;
use tracing::{info, warn};

use crate::build;
use crate::cache::{LayerCache, Repository};
use crate::cli::options::{Destination, Options};
use crate::image::{Family, ImageRef};
use crate::interrupt::Interrupt;
use crate::log::timeline::Timeline;
use crate::log::{Progress, record};
use crate::net::{self, Net};
use crate::output::digest_files::{self, DigestFiles};
use crate::output::export;
use crate::output::uploads::Uploads;
use crate::output::{self, BuiltImage, BuiltIndex, Product, layout, tarball};
use crate::store::SharedStore;
use crate::{context, registry, report};

use reports::Reports;

pub use error::{Error, Findings};
pub use prune::{PruneError, prune};
pub use push::push;
pub use warm::{WarmError, warm};

/// Builds the image and puts it where the options say.
pub fn run(options: &Options, interrupt: &Interrupt, progress: &Progress) -> Result<(), Error> {
    let timeline = Timeline::shown_by(progress.clone());
    let net = Net::new(net::Options {
        http1_only: options.features.disable_http2,
    })
    .map_err(Error::Net)?;
    net.report_to(&timeline);
    let reports = Arc::new(Reports::new(options, &net, &timeline));
    // whoever is stopped wants to know how far the build was, too
    let _last_act = interrupt.last_act({
        let (reports, interrupt) = (Arc::clone(&reports), interrupt.clone());
        move || {
            tell(
                &reports,
                interrupt.check().err().map(|error| report::chain(&error)),
            )
        }
    });
    let done = carry_out(&net, options, interrupt, &timeline);
    match done {
        Ok(()) => {
            if !options.build.dry_run {
                timeline.summarize();
            }
            reports.make(None).map_err(Error::Report)
        }
        Err(error) => {
            tell(&reports, Some(report::chain(&error)));
            Err(error)
        }
    }
}

/// Makes the reports about a build that failed, whose own error matters more than theirs.
fn tell(reports: &Reports, error: Option<String>) {
    if let Err(error) = reports.make(error) {
        warn!(
            "cannot write a report: {}",
            report::chain(&error).trim_end()
        );
    }
}

fn carry_out(
    net: &Net,
    options: &Options,
    interrupt: &Interrupt,
    timeline: &Timeline,
) -> Result<(), Error> {
    let clients = Clients::new(net, options)?;
    let done = run_with(net, &clients, options, interrupt, timeline);
    net.block_on(clients.push.close());
    done
}

fn run_with(
    net: &Net,
    clients: &Clients,
    options: &Options,
    interrupt: &Interrupt,
    timeline: &Timeline,
) -> Result<(), Error> {
    kept::expire(&options.kaniko_dir);
    let stdout = places::stdout(options)?;
    let mounts = settings::mounts(options)?;
    let means = context::Means {
        current_dir: &options.current_dir,
        place: &settings::context_place(options),
        net,
        environment: &settings::environment(),
        interrupt,
    };
    let phase = timeline.phase("fetch the context");
    let (context, dockerfile) = context::open(&options.context, means).map_err(Error::Context)?;
    drop(phase);
    let destinations: Vec<ImageRef> = options
        .output
        .destinations
        .iter()
        .map(|d| d.reference.clone())
        .collect();
    if options.build.check {
        let platform = options.build.platforms.first();
        let asked = settings::build(options, mounts, platform, context.time);
        return match build::check(&clients.pull, &context, &dockerfile, &asked, means) {
            Ok(checked) => checks::report(&checked, &dockerfile),
            Err(cause) => Err(Error::Build {
                dockerfile,
                cause: Box::new(cause),
            }),
        };
    }
    places::check(&options.output)?;
    // asking opens an upload, which is more than a dry run may do
    if !options.registry.skip_push_permission_check && !options.build.dry_run {
        check_permission(net, &clients.push, &pushed_to(options, &destinations))?;
    }
    let cache = options.cache.clone();
    let cache =
        cache.map(|options| LayerCache::new(options, clients.push.clone(), clients.store.clone()));
    let failed = |cause| Error::Build {
        dockerfile: dockerfile.clone(),
        cause: Box::new(cause),
    };
    let platforms: Vec<_> = match &options.build.platforms[..] {
        [] => vec![None],
        all => all.iter().map(Some).collect(),
    };
    let mut builds = Vec::new();
    for platform in platforms {
        let asked = settings::build(options, mounts.clone(), platform, context.time);
        // a record has the stages of one build
        let own = match builds.is_empty() {
            true => timeline.clone(),
            false => Timeline::begin(),
        };
        let cache = cache.clone();
        let prepared = build::prepare(
            &clients.pull,
            cache,
            &context,
            &dockerfile,
            &asked,
            means,
            &own,
        )
        .map_err(failed)?;
        if options.build.dry_run || options.build.print_plan {
            let _terminal = timeline.lend_terminal();
            print(&prepared.outline(build::Destinations {
                images: &destinations,
                push: options.output.push,
            }));
        }
        builds.push((platform, asked, prepared, own));
    }
    if options.build.dry_run {
        return Ok(());
    }
    for (_, _, prepared, _) in &builds {
        prepared.check_machines().map_err(failed)?;
    }
    let uploads = options
        .output
        .push
        .then(|| Uploads::new(&clients.push, &destinations));
    let is_index = builds.len() > 1;
    let mut finished = Vec::new();
    for (platform, asked, prepared, own) in builds {
        if let Some(platform) = platform.filter(|_| is_index) {
            info!("Building for {platform}");
        }
        let built = build::build(prepared, &asked, interrupt, &own, uploads.as_ref());
        let built = built.map_err(failed)?;
        finished.push(match is_index {
            true => built.release().map_err(failed)?,
            false => built,
        });
    }
    timeline.built(recorded(&finished[0].image));
    let images = finished.iter().map(|built| built.image.clone());
    let product = product(images.collect(), options);
    let phase = timeline.phase("write outputs");
    write_outputs(net, &product, options, &destinations)?;
    let scratch = settings::scratch(options);
    for export in &options.output.exports {
        export::write(export, &product, &scratch, stdout.as_ref()).map_err(Error::Output)?;
    }
    if let Some(store) = &clients.store {
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
    match push_to_all(net, &clients.push, &product, options, uploads.as_ref()) {
        Err(Error::Push { cause, .. }) => {
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

/// Prints text on standard output. One that nobody reads is no reason to end differently.
fn print(text: &str) {
    let _nobody_reads = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Puts several images under an index.
fn product(mut images: Vec<BuiltImage>, options: &Options) -> Product {
    if images.len() == 1 {
        return images.remove(0).into();
    }
    let manifests = images.iter().zip(&options.build.platforms);
    let manifests = manifests.map(|(image, platform)| {
        let mut descriptor = image.descriptor();
        descriptor.platform = Some(platform.clone());
        descriptor
    });
    let index = BuiltIndex::new(index_family(&images), manifests.collect(), BTreeMap::new());
    Product::new(images, index)
}

/// Returns the family of an index: Docker's if all its images are.
fn index_family(images: &[BuiltImage]) -> Family {
    let is_docker = |image: &BuiltImage| image.media_type.family() == Family::Docker;
    match images.iter().all(is_docker) {
        true => Family::Docker,
        false => Family::Oci,
    }
}

/// Returns an image as a record has it.
fn recorded(image: &BuiltImage) -> record::Image {
    let layers = image.manifest.layers.iter();
    record::Image {
        digest: image.digest.to_string(),
        media_type: image.media_type.to_string(),
        layers: layers
            .map(|layer| record::Layer {
                digest: layer.digest.to_string(),
                size: layer.size,
            })
            .collect(),
        pushed_to: Vec::new(),
    }
}

/// A client for each direction; they share credentials and what they know of registries.
struct Clients {
    pull: registry::Client,
    push: registry::Client,
    /// What is pulled goes through it.
    store: Option<SharedStore>,
}

impl Clients {
    fn new(net: &Net, options: &Options) -> Result<Self, Error> {
        let store = settings::store(options.store.clone());
        let credentials = settings::credentials(&options.registry);
        let pull = registry::Options {
            store: store.clone(),
            ..options.registry.pull(Arc::clone(&credentials))
        };
        let push = options.registry.push(credentials);
        let failed = |error| Error::Registry(Box::new(error));
        let pull = registry::Client::new(net, pull).map_err(failed)?;
        let push = pull.sibling(push).map_err(failed)?;
        Ok(Self { pull, push, store })
    }
}

/// Returns where a push must be permitted: to the destinations, or, if only layers are pushed, to the cache (compat spec 1.9).
fn pushed_to(options: &Options, destinations: &[ImageRef]) -> Vec<ImageRef> {
    match &options.cache {
        _ if options.output.push => destinations.to_vec(),
        Some(cache) if cache.push => match &cache.repository {
            Repository::Registry(image) => vec![image.clone()],
            Repository::Layouts(_) => Vec::new(),
        },
        _ => Vec::new(),
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
    client: &registry::Client,
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

fn named(destinations: &[Destination]) -> Vec<output::push::Destination> {
    let named = destinations
        .iter()
        .map(|destination| output::push::Destination {
            text: destination.as_given.clone(),
            image: destination.reference.clone(),
        });
    named.collect()
}
