//! Runs a plan: the only module that knows all others.
//!
//! [`prepare`] fetches the base images' configs, plans and looks into the layer cache; what it returns can be printed
//! ([`Prepared::outline`]). [`build`] finds out how a `RUN` can be isolated, and only then begins to work: stage by stage, side by side
//! where they do not wait for each other, each in a private root that is dropped when its last consumer is done. What is cached is not
//! done again, and a stage that nothing needs any more is not built.

mod annotations;
mod assemble;
mod bases;
mod blobs;
mod changes;
mod contexts;
mod demand;
mod dispatch;
mod epoch;
mod error;
mod images;
mod isolate;
mod jobs;
mod keys;
mod lookahead;
mod machine;
mod materials;
mod options;
mod outline;
mod outlook;
mod phrases;
mod pins;
mod pipe;
mod prepared;
mod reasons;
mod removal;
mod roots;
mod schedule;
mod sources;
mod stage;
mod unpack;
mod work;
mod workspace;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use crate::execute::mount::{self, Shelf};
use crate::interrupt::Interrupt;
use crate::log::timeline::Timeline;
use crate::output::uploads::Uploads;
use crate::output::{BuiltImage, Layers};
use crate::store::BlobStore;
use assemble::Presentation;
use blobs::Blobs;
use demand::Demands;
use dispatch::Dispatch;
use isolate::Closing;
use outlook::At;
use removal::Removal;
use roots::Roots;
use stage::Builder;
use workspace::Workspaces;

pub use error::{Error, Place};
pub use options::{ImageOptions, IsolationOptions, MountOptions, Options, SnapshotOptions};
pub use outline::Destinations;
pub use prepared::{Checked, Prepared, check, prepare};
pub use workspace::temporary_parent;

/// Does what was prepared, and begins to upload layers as they are finished; the image's blobs stay in the workspace as long as [`Built`] lives.
pub fn build(
    prepared: Prepared<'_>,
    options: &Options,
    interrupt: &Interrupt,
    timeline: &Timeline,
    uploads: Option<&Uploads>,
) -> Result<Built, Error> {
    let _phase = timeline.phase("build");
    let foreseen = prepared.executed(&prepared.lookahead.prospects(&prepared.plan));
    let Prepared {
        library,
        contexts,
        plan,
        bases,
        family,
        compression,
        epoch,
        mut lookahead,
        pins,
        states,
    } = prepared;
    let mut isolation = isolate::select(&plan, &foreseen, options, interrupt)?;
    let commands = isolation.as_ref().map(Closing::isolation);
    sources::check(&plan, &foreseen, &contexts, commands)?;
    if let Some(isolation) = &isolation {
        isolate::check(isolation.isolation(), &plan, &foreseen, options)?;
    }
    let mut workspace = Workspaces::open(isolation.as_ref(), options, interrupt)?;
    let store = BlobStore::open(&workspace.first.blobs())?;
    let prospects = lookahead.settle(&plan, &store, interrupt)?;
    let foreseen: Vec<At> = outlook::executed(&prospects, &plan, &lookahead.found()).collect();
    if isolation.is_none() {
        // a cached layer that turned out to be damaged may bring back a RUN
        isolation = isolate::select(&plan, &foreseen, options, interrupt)?;
        workspace.add(isolation.as_ref(), interrupt)?;
    }
    if let Some(isolation) = &isolation {
        isolate::check(isolation.isolation(), &plan, &foreseen, options)?;
    }
    let ids = isolation.as_ref().map(|i| i.isolation().id_shift());
    let roots = Roots::new(
        workspace.of_roots(),
        &library,
        ids.unwrap_or_default(),
        match options.shortcuts {
            true => Demands::new(&plan, &prospects, options.snapshot.single),
            false => Demands::everything(&plan),
        },
    );
    let halt = Interrupt::new();
    let shelf = isolation.as_ref().map(|isolation| {
        Shelf::new(mount::Options {
            work_dir: workspace.of_roots().dir(),
            cache_dir: Some(&options.mounts.cache_dir),
            isolation: isolation.isolation(),
            secrets: &options.mounts.secrets,
            agents: &options.mounts.agents,
            interrupt,
            halt: &halt,
        })
    });
    let dependencies = jobs::dependencies(&plan, &prospects);
    let dispatch = uploads
        .filter(|_| options.shortcuts)
        .map(|uploads| Dispatch::new(uploads, library.client, &plan, &bases, &store));
    let builder = Builder {
        plan: &plan,
        options,
        contexts: &contexts,
        library: &library,
        bases: &bases,
        isolation: isolation.as_ref().map(Closing::isolation),
        shelf: shelf.as_ref(),
        interrupt,
        halt: &halt,
        jobs: jobs::jobs(
            options.jobs,
            isolation.as_ref().map(Closing::isolation),
            &prospects,
            &dependencies,
        ),
        dependencies,
        store: &store,
        work_dir: workspace.of_roots().dir(),
        family,
        compression,
        epoch,
        in_image: bases::chain(&plan).collect(),
        refused: Once::new(),
        lookahead: &lookahead,
        pins: &pins,
        states: &states,
        prospects: &prospects,
        timeline,
        dispatch,
    };
    let lineages = builder.stages(&roots);
    // layers made before a failure are cached too, unless somebody wants to end
    let stored = match interrupt.check() {
        Ok(()) => lookahead.finish(),
        Err(_) => BTreeMap::new(),
    };
    let lineages = lineages?;
    let removal = roots.into_removal();
    let presentation = Presentation {
        family,
        labels: options.image.labels.clone(),
        source_date_epoch: epoch,
    };
    let lineage = &lineages[plan.target];
    let parts = assemble::assemble(&plan.stages[plan.target].config, lineage, &presentation)?;
    let blobs = Blobs {
        layers: Layers {
            store,
            remote: bases::origins(&plan, &bases),
            client: library.client.clone(),
        },
        base: bases::base_image(&plan).and_then(|key| bases[&key].store().cloned()),
        cached: lookahead.layers(),
        stored,
    };
    let annotations = annotations::annotations(&options.image.annotations, &plan, &bases, family);
    let image = BuiltImage::new(
        family,
        parts.config_bytes,
        parts.layers,
        annotations,
        Arc::new(blobs),
    );
    Ok(Built {
        image,
        removal,
        workspaces: Some(workspace),
        isolation,
        _kept: None,
    })
}

/// A finished image; its blobs exist as long as this does.
pub struct Built {
    pub image: BuiltImage,
    // in this order: a root is removed before its directory, and the isolation's own directory once it is empty
    removal: Option<Removal>,
    workspaces: Option<Workspaces>,
    isolation: Option<Closing>,
    /// The blobs, once the work directory is given up.
    _kept: Option<tempfile::TempDir>,
}

impl Built {
    /// Gives up the work directory, so that another build can have it; the image's blobs go to a place of their own.
    pub fn release(self) -> Result<Self, Error> {
        let Self {
            image,
            removal,
            workspaces,
            isolation,
            ..
        } = self;
        let kept = match &workspaces {
            Some(workspaces) => Some(workspaces.first.set_blobs_aside()?),
            None => None,
        };
        drop(removal);
        drop(workspaces);
        drop(isolation);
        Ok(Self {
            image,
            removal: None,
            workspaces: None,
            isolation: None,
            _kept: kept,
        })
    }
}
