//! `executor warm`: base images into the directory that builds share.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::settings;
use crate::cache::warm::{self, Warmed};
use crate::causes;
use crate::cli::Warm;
use crate::context::{self, DockerfileText};
use crate::dockerfile::{self, Platforms};
use crate::image::{ImageRef, Platform};
use crate::interrupt::Interrupt;
use crate::net::{self, Net};
use crate::plan::ImageName;
use crate::registry::Client;
use crate::report::{Excerpt, Explain};
use crate::store::{self, SharedStore};
use crate::{build, plan, registry};

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum WarmError {
    #[error("failed to warm any of the given images")]
    Nothing,
    #[error(transparent)]
    Context(#[from] context::Error),
    #[error("cannot tell the base images of the Dockerfile")]
    Dockerfile {
        text: DockerfileText,
        #[source]
        cause: Box<build::Error>,
    },
    #[error("cannot use the cache directory")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error(transparent)]
    Registry(Box<registry::Error>),
}

impl Explain for WarmError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Context(error) => error.help(),
            Self::Dockerfile { cause, .. } => cause.help(),
            Self::Store(error) => error.help(),
            Self::Net(error) => error.help(),
            Self::Registry(error) => error.help(),
        }
    }

    fn excerpt(&self) -> Option<Excerpt<'_>> {
        let Self::Dockerfile { text, cause } = self else {
            return None;
        };
        Some(Excerpt {
            file_name: text.path.file_name()?.to_str()?,
            text: &text.text,
            span: cause.span()?,
            word: cause.word(),
        })
    }
}

/// Stores the images. One that cannot be stored is a warning, unless none can.
///
/// # Spec
/// Compat spec 2.4.
pub fn warm(asked: &Warm, interrupt: &Interrupt) -> Result<(), WarmError> {
    let net = Net::new(net::Options { http1_only: false })?;
    let credentials = settings::credentials(&asked.registry, None);
    let store = SharedStore::open(asked.store.clone())?.expect("it is made if it is not there");
    let options = registry::Options {
        store: Some(store.clone()),
        ..asked.registry.pull(credentials)
    };
    let client = Client::new(&net, options).map_err(|e| WarmError::Registry(Box::new(e)))?;
    let host = Platform::host();
    let target = asked.platform.clone().unwrap_or_else(|| host.clone());
    let mut wanted: BTreeSet<(ImageRef, Platform)> = BTreeSet::new();
    let mut failures = 0;
    for text in &asked.images {
        match text.parse() {
            Ok(image) => drop(wanted.insert((image, target.clone()))),
            Err(error) => {
                warn!("cannot warm {text}: {error}");
                failures += 1;
            }
        }
    }
    if let Some(name) = &asked.dockerfile {
        let platforms = Platforms {
            build: host,
            target: target.clone(),
        };
        for (image, platform) in bases(name, asked, platforms, &net, interrupt)? {
            match image {
                ImageName::Registry(image) => drop(wanted.insert((image, platform))),
                ImageName::Layout(_) => info!("{image} is on this machine already"),
            }
        }
    }
    let mut stored = 0;
    for (image, platform) in &wanted {
        match warm::warm(&client, &store, image, platform) {
            Ok(Warmed::Present) => info!("Image already in cache: {image}"),
            Ok(Warmed::Stored) => info!("Stored {image} in {}", store.path().display()),
            Err(error) => {
                let error = causes::in_one_line(&error);
                warn!("cannot warm {image}: {error}");
                failures += 1;
                continue;
            }
        }
        stored += 1;
    }
    store.keep_limit();
    match (stored, failures) {
        (0, 0) => info!("the Dockerfile has no base images"),
        (0, _) => return Err(WarmError::Nothing),
        _ => {}
    }
    Ok(())
}

/// Returns what the stages of a Dockerfile start from, other stages and nothing left out.
fn bases(
    name: &str,
    asked: &Warm,
    platforms: Platforms,
    net: &Net,
    interrupt: &Interrupt,
) -> Result<Vec<(ImageName, Platform)>, WarmError> {
    let current_dir = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let text = context::read_dockerfile(
        name,
        context::Means {
            current_dir: &current_dir,
            place: &context::Place::Fresh(build::temporary_parent().into()),
            net,
            environment: &settings::environment(),
            interrupt,
        },
    )?;
    let options = plan::Options {
        targets: Vec::new(),
        every_stage: false,
        build_args: asked.build_args.clone(),
        platforms,
        platform_is_explicit: asked.platform.is_some(),
        source_date_epoch: None,
        contexts: Vec::new(),
        context_time: None,
        epoch_time: None,
    };
    let frontend = dockerfile::Options {
        syntax: None,
        check: None,
    };
    let parse = || {
        let parsed = dockerfile::parse(&text.bytes, &frontend)?;
        Ok(plan::base_images(&parsed, &options)?)
    };
    parse().map_err(|cause: build::Error| WarmError::Dockerfile {
        cause: Box::new(cause),
        text: text.clone(),
    })
}
