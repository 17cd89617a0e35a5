//! From stages, options and base configs to ordered steps: everything about a build that can be known without a filesystem.
//!
//! A plan is complete: the config of every stage after its last instruction, the history texts, and for each step that
//! touches files its fully expanded inputs. What is left for `build` is to run the steps and to hash the layers.

mod chmod;
mod cycle;
mod defaults;
mod epoch;
mod error;
mod git;
mod graph;
mod history;
mod image_name;
mod metadata;
mod mount;
mod named;
mod origin;
mod path;
mod port;
mod scope;
mod signal;
mod stage;
mod step;
#[cfg(test)]
pub(crate) mod testing;
mod transfer;

use std::collections::BTreeMap;
use std::fmt;

pub use chmod::Chmod;
pub use epoch::{EpochSource, epoch_source, is_moment};
pub use error::{Error, Problem};
pub use git::{Error as GitSourceError, GitReference, GitSource};
pub use image_name::{ImageName, LayoutName};
pub use mount::Error as MountError;
pub use named::{NamedContext, NamedContextError, NamedSource};
pub use step::{
    Access, Action, CopySource, CopyStep, RunMount, RunStep, Sharing, Source, Step, Unpack,
    WorkdirStep,
};

use crate::dockerfile::check::Finding;
use crate::dockerfile::{Dockerfile, Platforms, Span};
use crate::image::{ImageConfig, Platform};
use graph::Graph;
use origin::Origin;
use scope::Scope;
use stage::{Evaluation, Outcome};

/// What decides about a plan besides the Dockerfile and the configs of the base images.
#[derive(Debug, Clone)]
pub struct Options {
    /// Stages to build by name, in any case; the first becomes the image. Without any, the last stage.
    pub targets: Vec<String>,
    /// All stages are evaluated, the last one as the image; for checks.
    pub every_stage: bool,
    pub build_args: BTreeMap<String, String>,
    pub platforms: Platforms,
    /// The target platform was asked for, so that it replaces what base images say of themselves (CFG-4).
    pub platform_is_explicit: bool,
    /// `SOURCE_DATE_EPOCH` of the environment; a build arg or a global `ARG` of that name wins.
    pub source_date_epoch: Option<i64>,
    /// `--build-context`, in the order given.
    pub contexts: Vec<NamedContext>,
    /// When the build context was made, if it comes from a place that records it: the meaning of `SOURCE_DATE_EPOCH=context`.
    pub context_time: Option<i64>,
    /// When that was made which `SOURCE_DATE_EPOCH` names, if it is [a name](epoch_source).
    pub epoch_time: Option<i64>,
}

/// Configs of base images.
pub type Configs = BTreeMap<(ImageName, Platform), ImageConfig>;

/// Returns the base images of needed stages whose configs are not among `known`.
///
/// Triggers in a config may make further stages needed, so a caller adds what it fetched and asks again until nothing is missing.
///
/// # Errors
/// Whatever is wrong with a reference, an unknown target, a cycle, or a trigger.
pub fn required_images(
    dockerfile: &Dockerfile,
    options: &Options,
    known: &Configs,
) -> Result<Vec<(ImageName, Platform)>, Error> {
    let graph = Graph::new(dockerfile, options, known)?;
    let mut missing = Vec::new();
    for index in graph.needed()? {
        if let Origin::Image(image, platform) = &graph.bases[index] {
            let key = (image.clone(), platform.clone());
            if !known.contains_key(&key) && !missing.contains(&key) {
                missing.push(key);
            }
        }
    }
    Ok(missing)
}

/// Returns where the first needed stage stands that starts from the image which messages call `image`: its `FROM`, and the name there.
///
/// # Errors
/// As of [`required_images`].
pub fn from_image(
    dockerfile: &Dockerfile,
    options: &Options,
    known: &Configs,
    image: &str,
) -> Result<Option<(Span, String)>, Error> {
    let graph = Graph::new(dockerfile, options, known)?;
    let mut needed = graph.needed()?.into_iter();
    let is_it = |index: &usize| match &graph.bases[*index] {
        Origin::Image(name, _) => name.to_string() == image,
        _ => false,
    };
    Ok(needed.find(is_it).map(|index| {
        let from = &graph.stage(index).from;
        (from.span, from.value.image.clone())
    }))
}

/// Returns the images that any stage starts from, needed or not, each once.
///
/// # Errors
/// As of [`required_images`].
pub fn base_images(
    dockerfile: &Dockerfile,
    options: &Options,
) -> Result<Vec<(ImageName, Platform)>, Error> {
    let configs = Configs::new();
    let graph = Graph::new(dockerfile, options, &configs)?;
    let mut images = Vec::new();
    for base in &graph.bases {
        if let Origin::Image(image, platform) = base {
            let key = (image.clone(), platform.clone());
            if !images.contains(&key) {
                images.push(key);
            }
        }
    }
    Ok(images)
}

/// Evaluates all instructions that the targets need.
///
/// # Errors
/// The first problem in file order, with the lines of its instruction; [`Problem::NoConfig`] if [`required_images`] was not heeded.
pub fn plan(dockerfile: &Dockerfile, options: &Options, configs: &Configs) -> Result<Plan, Error> {
    let mut graph = Graph::new(dockerfile, options, configs)?;
    let needed = graph.needed()?;
    graph.positions = needed.iter().copied().zip(0..).collect();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut stages = Vec::new();
    let mut unused_options = Vec::new();
    let mut findings = dockerfile.findings.clone();
    findings.extend(defaults::findings(dockerfile, options));
    for index in needed {
        let base = match &graph.bases[index] {
            // the files come with the first step
            Origin::Scratch | Origin::Named(_) => Base::Scratch,
            Origin::Image(image, platform) => Base::Image(image.clone(), platform.clone()),
            Origin::Stage(base) => Base::Stage(graph.positions[base]),
        };
        let base_outcome = match base {
            Base::Stage(position) => Some(&outcomes[position]),
            Base::Scratch | Base::Image(..) => None,
        };
        let evaluation = Evaluation::begin(&graph, options, index, base_outcome)?;
        let evaluated = evaluation.run(&graph.commands(index)?)?;
        findings.extend(evaluated.findings);
        unused_options.extend(evaluated.unused_options);
        let stage = graph.stage(index);
        stages.push(PlannedStage {
            index,
            name: stage.name.clone(),
            span: stage.from.span,
            text: stage.from.text.clone(),
            base,
            steps: evaluated.steps,
            config: evaluated.outcome.config.clone(),
            consumers: Vec::new(),
            needs_root: false,
        });
        outcomes.push(evaluated.outcome);
    }
    connect(&mut stages);
    findings.sort_by_key(|finding| finding.span);
    Ok(Plan {
        target: graph.positions[&graph.targets[0]],
        stages,
        source_date_epoch: graph.source_date_epoch,
        findings,
        unused_build_args: graph.unused_build_args(options)?,
        unused_options,
    })
}

/// Fills in who consumes each stage, and whose files somebody looks at.
fn connect(stages: &mut [PlannedStage]) {
    for position in (0..stages.len()).rev() {
        let stage = &mut stages[position];
        stage.needs_root |= stage.steps.iter().any(|step| step.action != Action::Config);
        let needs_root = stage.needs_root;
        let mut uses: BTreeMap<usize, bool> = BTreeMap::new();
        if let Base::Stage(base) = stage.base {
            uses.insert(base, needs_root);
        }
        let read = stage.steps.iter().flat_map(Step::stages_read);
        uses.extend(read.map(|producer| (producer, true)));
        for (producer, needs_root) in uses {
            stages[producer].consumers.insert(0, position);
            stages[producer].needs_root |= needs_root;
        }
    }
}
/// What to build, in file order, without stages that no target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub stages: Vec<PlannedStage>,
    /// Index into `stages` of the stage that becomes the image. Stages of further targets are built and dropped.
    pub target: usize,
    /// Seconds since 1970 that new history entries and layers are clamped to.
    pub source_date_epoch: Option<i64>,
    /// What the checks of the text and of the needed stages found, sorted by line.
    pub findings: Vec<Finding>,
    /// Build args that no `ARG` declares and that have no meaning of their own, for a warning.
    pub unused_build_args: Vec<String>,
    /// Options of mounts that mean nothing for their type, for a warning.
    pub unused_options: Vec<String>,
}

/// One stage: where it starts, what it does, and the config it ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStage {
    /// Position in the Dockerfile.
    pub index: usize,
    pub name: Option<String>,
    /// The `FROM` instruction.
    pub span: Span,
    pub text: String,
    pub base: Base,
    pub steps: Vec<Step>,
    /// The config after the last step. `rootfs`, `history` and `created` are still those of the base image.
    pub config: ImageConfig,
    /// Later stages that start from this one, copy from it or mount it, by their position in [`Plan::stages`], ascending.
    pub consumers: Vec<usize>,
    /// Some step of this stage, or of a consumer, looks at this stage's files, so its base must be unpacked to run it.
    pub needs_root: bool,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each stage")]
pub enum Base {
    Scratch,
    Image(ImageName, Platform),
    /// An earlier stage, by its position in [`Plan::stages`].
    Stage(usize),
}

impl fmt::Display for Plan {
    /// Writes what is built, stage by stage; an empty line ends each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stage in &self.stages {
            match &stage.base {
                Base::Scratch => write!(f, "FROM scratch")?,
                Base::Image(image, _) => write!(f, "FROM {image}")?,
                Base::Stage(base) => match &self.stages[*base].name {
                    Some(name) => write!(f, "FROM {name}")?,
                    None => write!(f, "FROM stage-{}", self.stages[*base].index)?,
                },
            }
            match &stage.name {
                Some(name) => writeln!(f, " AS {name}")?,
                None => writeln!(f)?,
            }
            for step in &stage.steps {
                writeln!(f, "{}", step.text)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
