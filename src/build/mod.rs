//! Runs a plan: the only module that knows all others.
//!
//! [`prepare`] fetches the base images' configs, plans and looks into the layer cache; what it returns can be printed
//! ([`Prepared::outline`]). [`build`] finds out how a `RUN` can be isolated, and only then begins to work: stage by stage, in file
//! order, each in a private root that is dropped when its last consumer is done. What is cached is not done again, and a stage that
//! nothing needs any more is not built.

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
mod stage;
mod unpack;
mod work;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Once};

use tracing::warn;

use crate::context::GitOptions;
use crate::dockerfile::check::Finding;
use crate::dockerfile::{self, Dockerfile};
use crate::execute::mount::{self, Agents, Secrets, Shelf};
use crate::execute::run;
use crate::image::{Compression, Digest, Family, ImageRef, Platform};
use crate::interrupt::{Interrupt, LastAct};
use crate::layer::LayerPath;
use crate::log::timeline::Timeline;
use crate::output::BuiltImage;
use crate::output::push::Layers;
use crate::output::uploads::Uploads;
use crate::plan::{self, Base, ImageName, Plan};
use crate::store::BlobStore;
use assemble::Presentation;
use bases::Bases;
use blobs::Blobs;
use demand::Demands;
use dispatch::Dispatch;
use isolate::Closing;
use outlook::At;
use removal::Removal;
use roots::Roots;
use stage::Builder;
use workspace::Workspace;

pub use error::{Error, Place};
pub use outline::Destinations;
pub use prepared::{Checked, Prepared, check, prepare};
pub use workspace::temporary_parent;

/// What a build is told beside its context and Dockerfile.
#[derive(Debug, Clone)]
pub struct Options {
    pub plan: plan::Options,
    /// How named contexts are fetched that are git repositories.
    pub git: GitOptions,
    /// `--jobs`: how many stages are built at a time; absent for what suits the machine.
    pub jobs: Option<usize>,
    pub isolation: IsolationOptions,
    /// The work directory, unless commands run in place; absent for a fresh one.
    pub work_dir: Option<PathBuf>,
    pub mounts: MountOptions,
    /// Stages, in lower case, whose layers are not taken from the cache.
    pub no_cache_filter: Vec<String>,
    pub snapshot: SnapshotOptions,
    pub image: ImageOptions,
    /// What ADD fetches is pinned beforehand, so that [`Prepared::materials`] can tell what it is.
    pub pin_sources: bool,
}

/// How a `RUN` is isolated.
#[derive(Debug, Clone)]
pub struct IsolationOptions {
    pub requested: run::Requested,
    /// `--force`: in-place isolation is allowed outside a container.
    pub force: bool,
    /// `--allow security.insecure`
    pub allow_insecure: bool,
}

/// What mounts of a `RUN` are made of.
#[derive(Debug, Clone)]
pub struct MountOptions {
    pub secrets: Secrets,
    pub agents: Agents,
    /// `--cache-dir`: keeps caches if it is there and can be written.
    pub cache_dir: PathBuf,
}

/// How changes become layers.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// `--single-snapshot`: one layer a stage.
    pub single: bool,
    /// `--snapshot-mode=full`, asked for: all content is read again.
    pub read_everything: bool,
    /// `--ignore-path`
    pub ignore: Vec<LayerPath>,
    pub compression: Compression,
    pub level: Option<u32>,
}

/// What the finished image is like.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// `--image-format`; absent to follow the base image.
    pub family: Option<Family>,
    pub labels: Vec<(String, String)>,
    pub annotations: BTreeMap<String, String>,
    /// `--reproducible`: times are 1970 unless `SOURCE_DATE_EPOCH` says otherwise.
    pub reproducible: bool,
}

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
        Demands::new(&plan, &prospects, options.snapshot.single),
    );
    let shelf = isolation.as_ref().map(|isolation| {
        Shelf::new(mount::Options {
            work_dir: workspace.of_roots().dir(),
            cache_dir: Some(&options.mounts.cache_dir),
            isolation: isolation.isolation(),
            secrets: &options.mounts.secrets,
            agents: &options.mounts.agents,
            interrupt,
        })
    });
    let dependencies = jobs::dependencies(&plan, &prospects);
    let dispatch =
        uploads.map(|uploads| Dispatch::new(uploads, library.client, &plan, &bases, &store));
    let builder = Builder {
        plan: &plan,
        options,
        contexts: &contexts,
        library: &library,
        bases: &bases,
        isolation: isolation.as_ref().map(Closing::isolation),
        shelf: shelf.as_ref(),
        interrupt,
        halt: Interrupt::new(),
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
        in_image: chain(&plan).collect(),
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
            remote: origins(&plan, &bases),
            client: library.client.clone(),
        },
        base: base_image(&plan).and_then(|key| bases[&key].store().cloned()),
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

/// The work directories of a build.
struct Workspaces {
    first: Workspace,
    /// For roots, where commands turned out only later to run in place.
    second: Option<Workspace>,
    /// Comes after those of the others.
    _last_act: Option<LastAct>,
}

impl Workspaces {
    fn open(
        isolation: Option<&Closing>,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Self, Error> {
        let own = isolation.and_then(|isolation| isolation.isolation().work_dir());
        let dir = own.map(PathBuf::from).or_else(|| options.work_dir.clone());
        Ok(Self {
            first: Workspace::open(dir, interrupt)?,
            second: None,
            _last_act: isolation.and_then(|it| it.isolation().last_act(interrupt)),
        })
    }

    fn add(&mut self, isolation: Option<&Closing>, interrupt: &Interrupt) -> Result<(), Error> {
        let dir = isolation.and_then(|isolation| isolation.isolation().work_dir());
        if let Some(dir) = dir.filter(|dir| *dir != self.first.dir()) {
            self.second = Some(Workspace::open(Some(dir.into()), interrupt)?);
            self._last_act = isolation.and_then(|it| it.isolation().last_act(interrupt));
        }
        Ok(())
    }

    fn of_roots(&self) -> &Workspace {
        self.second.as_ref().unwrap_or(&self.first)
    }
}

/// Build args that steer the parser (language spec DIR-7).
fn frontend(build_args: &BTreeMap<String, String>) -> dockerfile::Options {
    dockerfile::Options {
        syntax: build_args.get("BUILDKIT_SYNTAX").cloned(),
        check: build_args.get("BUILDKIT_DOCKERFILE_CHECK").cloned(),
    }
}

/// Logs what the checks found.
///
/// # Errors
/// [`Error::Checks`] if the Dockerfile says that findings are errors.
fn report_findings(plan: &Plan, ignored: &[Finding], dockerfile: &Dockerfile) -> Result<(), Error> {
    if let Some(syntax) = dockerfile.syntax.as_ref().filter(|syntax| !syntax.builtin) {
        warn!(
            "the frontend `{}` is not used; the Dockerfile is read as the language of docker/dockerfile:1",
            syntax.reference
        );
    }
    let findings = || plan.findings.iter().chain(ignored);
    for finding in findings() {
        warn!("{finding}");
    }
    if !plan.unused_build_args.is_empty() {
        warn!(
            "no ARG declares these build args: {}",
            plan.unused_build_args.join(", ")
        );
    }
    let rules: BTreeSet<String> = findings().map(|f| f.rule.to_string()).collect();
    if !dockerfile.checks.error || rules.is_empty() {
        return Ok(());
    }
    Err(Error::Checks {
        rules: rules.into_iter().collect(),
    })
}

/// Returns the family of the image: as asked, else its base image's; an image from scratch is Docker's.
fn family(plan: &Plan, bases: &Bases, wanted: Option<Family>) -> Family {
    wanted.unwrap_or_else(|| match base_image(plan) {
        Some(key) => bases[&key].manifest.family(),
        None => Family::Docker,
    })
}

/// Returns the image at the bottom of the target's chain of bases.
fn base_image(plan: &Plan) -> Option<(ImageName, Platform)> {
    chain(plan).find_map(|stage| match &plan.stages[stage].base {
        Base::Image(image, platform) => Some((image.clone(), platform.clone())),
        Base::Scratch | Base::Stage(_) => None,
    })
}

/// Returns the target and the stages it is based on, one after the other.
fn chain(plan: &Plan) -> impl Iterator<Item = usize> + '_ {
    std::iter::successors(Some(plan.target), |stage| match plan.stages[*stage].base {
        Base::Stage(base) => Some(base),
        Base::Scratch | Base::Image(..) => None,
    })
}

/// Returns where the layers of the base image are.
fn origins(plan: &Plan, bases: &Bases) -> BTreeMap<Digest, ImageRef> {
    let image = base_image(plan).map(|key| &bases[&key]);
    let layers = image.into_iter().flat_map(|image| {
        image
            .manifest
            .layers
            .iter()
            .filter_map(|layer| Some((layer.digest.clone(), image.repository()?.clone())))
    });
    layers.collect()
}
