//! Runs a plan: the only module that knows all others.
//!
//! [`build`] fetches the base images' configs, plans, finds out how a `RUN` can be isolated, and only then begins to work: stage by
//! stage, in file order, each in a private root that is dropped when its last consumer is done.

mod assemble;
mod bases;
mod error;
mod pipe;
mod roots;
mod stage;
mod unpack;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{FileTimes, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use tracing::warn;

use crate::context::{Context, DockerfileText};
use crate::dockerfile::check::Finding;
use crate::dockerfile::{self, Dockerfile};
use crate::execute::mount::{self, Agents, Secrets, Shelf};
use crate::execute::{
    self,
    run::{self, Isolation},
};
use crate::image::{Compression, Digest, Family, ImageRef, Platform};
use crate::interrupt::Interrupt;
use crate::layer::LayerPath;
use crate::output::BuiltImage;
use crate::output::push::Layers;
use crate::plan::{self, Action, Base, Plan};
use crate::registry;
use crate::store::BlobStore;
use assemble::Presentation;
use bases::Bases;
use roots::Roots;
use stage::Builder;
use workspace::Workspace;

pub use error::{Error, Place};
pub use workspace::temporary_parent;

/// What a build is told beside its context and Dockerfile.
#[derive(Debug, Clone)]
pub struct Options {
    pub plan: plan::Options,
    pub isolation: IsolationOptions,
    /// The work directory, unless commands run in place; absent for a fresh one.
    pub work_dir: Option<PathBuf>,
    pub mounts: MountOptions,
    pub snapshot: SnapshotOptions,
    pub image: ImageOptions,
}

/// How a `RUN` is isolated.
#[derive(Debug, Clone)]
pub struct IsolationOptions {
    pub requested: run::Requested,
    /// `--force`: in-place isolation is allowed outside a container.
    pub force: bool,
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

/// Builds the image that the options ask for; its blobs stay in the workspace as long as [`Built`] lives.
pub fn build(
    client: &registry::Client,
    context: &Context,
    text: &DockerfileText,
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Built, Error> {
    let dockerfile = dockerfile::parse(text.text.as_bytes(), &frontend(&options.plan.build_args))?;
    let (bases, configs) = bases::fetch(client, &dockerfile, &options.plan)?;
    let plan = plan::plan(&dockerfile, &options.plan, &configs)?;
    let ignored = execute::ignored_sources(&plan, &context.ignore, &dockerfile.checks);
    report_findings(&plan, &ignored, &dockerfile)?;

    let family = family(&plan, &bases, options.image.family);
    let (compression, given_up) = assemble::compression(family, options.snapshot.compression);
    if given_up {
        warn!(
            "ignoring --compression=zstd, because the base image is a Docker schema 2 image; --image-format=oci makes it an OCI one"
        );
    }
    let epoch = plan
        .source_date_epoch
        .or(options.image.reproducible.then_some(0));

    let isolation = Closing(isolation(&plan, options, interrupt)?);
    let work_dir = match &isolation.0 {
        Some(isolation) => isolation
            .work_dir()
            .map(PathBuf::from)
            .or_else(|| options.work_dir.clone()),
        None => options.work_dir.clone(),
    };
    let workspace = Workspace::open(work_dir, interrupt)?;
    let store = BlobStore::open(&workspace.blobs())?;
    let ids = isolation
        .0
        .as_ref()
        .map(Isolation::id_shift)
        .unwrap_or_default();
    let mut roots = Roots::new(&workspace, client, ids);
    let shelf = isolation.0.as_ref().map(|isolation| {
        Shelf::new(mount::Options {
            work_dir: workspace.dir(),
            cache_dir: Some(&options.mounts.cache_dir),
            isolation,
            secrets: &options.mounts.secrets,
            agents: &options.mounts.agents,
            interrupt,
        })
    });
    let builder = Builder {
        plan: &plan,
        options,
        context,
        client,
        bases: &bases,
        isolation: isolation.0.as_ref(),
        shelf: shelf.as_ref(),
        interrupt,
        store: &store,
        work_dir: workspace.dir(),
        family,
        compression,
        epoch,
        in_image: chain(&plan).collect(),
        refused: Once::new(),
    };
    let mut lineages = Vec::with_capacity(plan.stages.len());
    for position in 0..plan.stages.len() {
        let lineage = builder.build(position, &lineages, &mut roots)?;
        lineages.push(lineage);
        roots.release(position, &plan)?;
    }
    let presentation = Presentation {
        family,
        labels: options.image.labels.clone(),
        source_date_epoch: epoch,
    };
    let lineage = &lineages[plan.target];
    let parts = assemble::assemble(&plan.stages[plan.target].config, lineage, &presentation)?;
    let blobs = Layers {
        store,
        remote: origins(&plan, &bases),
        client: client.clone(),
    };
    let annotations = options.image.annotations.clone();
    let image = BuiltImage::new(
        family,
        parts.config_bytes,
        parts.layers,
        annotations,
        Arc::new(blobs),
    );
    Ok(Built {
        image,
        _workspace: workspace,
        _isolation: isolation,
    })
}

/// A finished image; its blobs exist as long as this does.
pub struct Built {
    pub image: BuiltImage,
    // in this order: the isolation's own directory is removed once it is empty
    _workspace: Workspace,
    _isolation: Closing,
}

/// Leaves the container as it was found.
struct Closing(Option<Isolation>);

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(isolation) = self.0.take() {
            isolation.close();
        }
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
fn base_image(plan: &Plan) -> Option<(ImageRef, Platform)> {
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
            .map(|layer| (layer.digest.clone(), image.source.clone()))
    });
    layers.collect()
}

/// Finds out how commands can be isolated, if the plan has any; nothing else has been done by then.
fn isolation(
    plan: &Plan,
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Option<Isolation>, Error> {
    let steps = plan
        .stages
        .iter()
        .flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)));
    let runs: Vec<_> = steps
        .filter_map(|(stage, step)| match &step.action {
            Action::Run(run) => Some((stage, step, run)),
            Action::Config | Action::Copy(_) | Action::Workdir(_) => None,
        })
        .collect();
    if runs.is_empty() {
        return Ok(None);
    }
    let hide = options
        .work_dir
        .iter()
        .map(|dir| LayerPath::clean(dir.as_os_str().as_encoded_bytes()))
        .collect();
    let work_dir = match &options.work_dir {
        Some(dir) => dir.as_path(),
        None => workspace::temporary_parent(),
    };
    fs_err::create_dir_all(work_dir).map_err(|source| Error::Workspace {
        dir: work_dir.to_owned(),
        source,
    })?;
    let before = fs_err::metadata(work_dir).ok();
    let isolation = run::select(&run::IsolationOptions {
        requested: options.isolation.requested,
        force: options.isolation.force,
        in_container: run::inside_container(),
        work_dir,
        executable: run::this_executable(),
        keep: options.snapshot.ignore.clone(),
        hide,
        interrupt,
    });
    restore_times(work_dir, before);
    let isolation = isolation.map_err(Error::Isolation)?;
    for (stage, step, run) in runs {
        let MountOptions {
            secrets, agents, ..
        } = &options.mounts;
        let checked = run::check(&isolation, run).map_err(Error::from);
        let checked = checked.and_then(|()| Ok(mount::check(run, secrets, agents)?));
        checked.map_err(|error| Error::at(stage, step, error))?;
    }
    Ok(Some(isolation))
}

/// Gives a directory back the times it had before a trial was made in it, so that a foreign image is as it was found.
fn restore_times(dir: &Path, before: Option<Metadata>) {
    let times = before.and_then(|before| {
        let (accessed, modified) = (before.accessed().ok()?, before.modified().ok()?);
        Some(
            FileTimes::new()
                .set_accessed(accessed)
                .set_modified(modified),
        )
    });
    if let Some(times) = times
        && let Err(error) = fs_err::File::open(dir).and_then(|dir| dir.file().set_times(times))
    {
        tracing::debug!("cannot restore the times of {}: {error}", dir.display());
    }
}
