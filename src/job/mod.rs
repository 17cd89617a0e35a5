//! The main job: a context and a Dockerfile in, an image in registries and files out.
//!
//! In order, as users of kaniko know it: the context and its Dockerfile, the permission to push, the build, the outputs, the push.

mod cache_mounts;
mod checks;
mod error;
mod index;
mod kept;
mod making;
mod places;
mod product;
mod prune;
mod push;
mod reports;
mod request;
mod settings;
mod warm;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tracing::warn;

use crate::build::{self, Checked};
use crate::cache::{LayerCache, Repository};
use crate::cli::options::{Destination, Options};
use crate::image::ImageRef;
use crate::interrupt::Interrupt;
use crate::log::Progress;
use crate::log::timeline::Timeline;
use crate::net::{self, Net};
use crate::store::SharedStore;
use crate::{context, output, registry, report};

use reports::Reports;

pub use cache_mounts::{CarryError, carry};
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
            if !options.build.dry_run && !options.build.check {
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
    let platforms: Vec<_> = match &options.build.platforms[..] {
        [] => vec![None],
        all => all.iter().map(Some).collect(),
    };
    if options.build.check {
        let mut found: Option<Checked> = None;
        for platform in platforms {
            let asked = settings::build(options, mounts.clone(), platform, context.time);
            let checked = build::check(&clients.pull, &context, &dockerfile, &asked, means);
            let checked = checked.map_err(|cause| Error::Build {
                dockerfile: dockerfile.clone(),
                cause: Box::new(cause),
            })?;
            match &mut found {
                Some(found) => found.add(checked),
                None => found = Some(checked),
            }
        }
        let found = found.expect("there is one platform at least");
        return checks::report(&found, &dockerfile);
    }
    places::check(&options.output)?;
    // asking opens an upload, which is more than a dry run may do
    if !options.registry.skip_push_permission_check && !options.build.dry_run {
        check_permission(net, &clients.push, &pushed_to(options, &destinations))?;
    }
    let cache = options.cache.clone();
    let cache =
        cache.map(|options| LayerCache::new(options, clients.push.clone(), clients.store.clone()));
    let making = making::Making {
        net,
        clients,
        options,
        interrupt,
        timeline,
        context: &context,
        dockerfile: &dockerfile,
        means,
        mounts,
        destinations: &destinations,
        cache,
        stdout,
    };
    making.make()
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
        let credentials = settings::credentials(&options.registry, options.kaniko_dir.path());
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

fn named(destinations: &[Destination]) -> Vec<output::push::Destination> {
    let named = destinations
        .iter()
        .map(|destination| output::push::Destination {
            text: destination.as_given.clone(),
            image: destination.reference.clone(),
        });
    named.collect()
}
