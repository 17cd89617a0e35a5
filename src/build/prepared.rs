//! A build that is planned: what it will do is known, nothing of it is done.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use super::bases::{self, Bases};
use super::contexts::Contexts;
use super::images::Library;
use super::keys::States;
use super::lookahead::Lookahead;
use super::outlook::{self, At, Prospect};
use super::pins::{self, Pins};
use super::{Error, Options, assemble, epoch, error, keys, machine};
use crate::cache::LayerCache;
use crate::cache::key::Writing;
use crate::context::{self, Context, DockerfileText};
use crate::dockerfile::check::Finding;
use crate::dockerfile::{self, Dockerfile};
use crate::image::{Compression, Family, Layer};
use crate::log::record;
use crate::log::timeline::Timeline;
use crate::plan::{self, Base, Plan};
use crate::{execute, registry};

/// The plan, and what was found out for it from registries and the context alone.
pub struct Prepared<'b> {
    pub(super) library: Library<'b>,
    pub(super) contexts: Contexts<'b>,
    pub(super) plan: Plan,
    pub(super) bases: Bases,
    pub(super) family: Family,
    pub(super) compression: Compression,
    pub(super) epoch: Option<i64>,
    pub(super) lookahead: Lookahead,
    pub(super) pins: Pins,
    pub(super) states: States,
}

/// What the checks of a Dockerfile found.
pub struct Checked {
    /// Sorted by line.
    pub findings: Vec<Finding>,
    /// The Dockerfile says that findings are errors.
    pub are_errors: bool,
}

impl Checked {
    /// Adds what the checks for another platform found.
    pub fn add(&mut self, other: Self) {
        let findings = other.findings.into_iter();
        let new: Vec<Finding> = findings.filter(|f| !self.findings.contains(f)).collect();
        self.findings.extend(new);
        self.findings.sort_by_key(|finding| finding.span);
        self.are_errors |= other.are_errors;
    }
}

/// Parses, fetches the base images' configs, and plans, for the checks' sake.
pub fn check(
    client: &registry::Client,
    context: &Context,
    text: &DockerfileText,
    options: &Options,
    means: context::Means<'_>,
) -> Result<Checked, Error> {
    let dockerfile = dockerfile::parse(&text.bytes, &frontend(&options.plan.build_args))?;
    let library = Library {
        client,
        current_dir: means.current_dir.to_owned(),
        shortcuts: options.shortcuts,
    };
    let (_, configs) = bases::fetch(&library, &dockerfile, &options.plan)?;
    let plan = plan::plan(&dockerfile, &options.plan, &configs)?;
    let ignored = execute::ignored_sources(&plan, &context.ignore, &dockerfile.checks);
    let mut findings: Vec<Finding> = plan.findings.into_iter().chain(ignored).collect();
    findings.sort_by_key(|finding| finding.span);
    Ok(Checked {
        findings,
        are_errors: dockerfile.checks.error,
    })
}

/// Parses, fetches the base images' configs, plans, and looks into the layer cache.
pub fn prepare<'b>(
    client: &'b registry::Client,
    cache: Option<LayerCache>,
    context: &'b Context,
    text: &DockerfileText,
    options: &Options,
    means: context::Means<'_>,
    timeline: &Timeline,
) -> Result<Prepared<'b>, Error> {
    let phase = timeline.phase("plan");
    let dockerfile = dockerfile::parse(&text.bytes, &frontend(&options.plan.build_args))?;
    let library = Library {
        client,
        current_dir: means.current_dir.to_owned(),
        shortcuts: options.shortcuts,
    };
    let asked = plan::Options {
        epoch_time: epoch::time(&dockerfile, options, client.net(), means)?,
        ..options.plan.clone()
    };
    let or_stage = |error: Error| {
        let stages = dockerfile.stages.iter();
        error.suggest_stages(stages.filter_map(|stage| {
            let name = stage.name.as_deref()?;
            Some((name, stage.from.value.image.as_str()))
        }))
    };
    let (bases, configs) = bases::fetch(&library, &dockerfile, &asked).map_err(or_stage)?;
    let plan = plan::plan(&dockerfile, &asked, &configs)?;
    let images = keys::images(&library, &plan).map_err(or_stage)?;
    let ignored = execute::ignored_sources(&plan, &context.ignore, &dockerfile.checks);
    report_findings(&plan, &ignored, &dockerfile)?;
    for name in &options.no_cache_filter {
        let mut stages = dockerfile.stages.iter();
        if !stages.any(|stage| stage.name.as_ref() == Some(name)) {
            warn!("--no-cache-filter {name} has no effect: no stage is called so");
        }
    }
    let contexts = Contexts::open(context, &plan, options, means)?;

    let family = bases::family(&plan, &bases, options.image.family);
    bases::check_family(
        (family, options.image.family),
        &plan,
        &bases,
        &dockerfile,
        &asked,
        &configs,
    )?;
    let (compression, given_up) = assemble::compression(family, options.snapshot.compression);
    if given_up {
        warn!(
            "ignoring --compression=zstd, because the base image is a Docker schema 2 image; --image-format=oci makes it an OCI one"
        );
    }
    let epoch = plan
        .source_date_epoch
        .or(options.image.reproducible.then_some(0));
    drop(phase);

    let mut pins = Pins::new();
    let mut states = States::new();
    let lookahead = match cache {
        Some(cache) => {
            let _phase = timeline.phase("look into the cache");
            let writing = Writing {
                compression,
                level: options.snapshot.level,
                epoch,
                ignore: options.snapshot.ignore.texts().to_vec(),
            };
            pins = pins::pins(&plan, client.net(), options)?;
            let single = options.snapshot.single;
            let (keys, read) =
                keys::keys(&plan, &contexts, &bases, &images, &pins, &writing, single)?;
            states = read;
            let anew = made_anew(&plan, &options.no_cache_filter);
            Lookahead::look_up(cache, &plan, keys, compression, &anew, single)
        }
        None => Lookahead::default(),
    };
    if options.pin_sources && pins.is_empty() {
        pins = pins::pins(&plan, client.net(), options)?;
    }
    let mut prepared = Prepared {
        library,
        contexts,
        plan,
        bases,
        family,
        compression,
        epoch,
        lookahead,
        pins,
        states,
    };
    if prepared.pins.is_empty() {
        let executed = prepared.executed(&prepared.lookahead.prospects(&prepared.plan));
        prepared.pins = pins::commits(&prepared.plan, client.net(), options, &executed)?;
    }
    timeline.plan(prepared.recorded());
    Ok(prepared)
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
    for option in &plan.unused_options {
        warn!("{option} means nothing and is ignored");
    }
    let rules: BTreeSet<String> = findings().map(|f| f.rule.to_string()).collect();
    if !dockerfile.checks.error || rules.is_empty() {
        return Ok(());
    }
    Err(Error::Checks {
        rules: rules.into_iter().collect(),
    })
}

/// Returns the stages that are made anew: those called `names`, and those that read them.
fn made_anew(plan: &Plan, names: &[String]) -> BTreeSet<usize> {
    let mut anew = BTreeSet::new();
    for (position, stage) in plan.stages.iter().enumerate() {
        let is_named = stage.name.as_ref().is_some_and(|name| names.contains(name));
        if is_named || anew.contains(&position) {
            anew.insert(position);
            anew.extend(&stage.consumers);
        }
    }
    anew
}

impl Prepared<'_> {
    /// Refuses commands for machines that are neither this one nor emulated, before any work.
    pub fn check_machines(&self) -> Result<(), Error> {
        let executed = self.executed(&self.lookahead.prospects(&self.plan));
        machine::check(&self.plan, &self.bases, &executed)
    }

    /// Returns the steps that must be executed, as far as it is known which layers there are.
    pub(super) fn executed(&self, prospects: &[Prospect]) -> Vec<At> {
        outlook::executed(prospects, &self.plan, &self.lookahead.found()).collect()
    }

    /// Returns the plan as a record has it.
    fn recorded(&self) -> Vec<record::Stage> {
        let stages = self.plan.stages.iter().enumerate();
        let stage = |(position, stage): (usize, &plan::PlannedStage)| {
            let step = |(index, step): (usize, &plan::Step)| record::Step {
                line: step.span.first_line,
                text: step.text.clone(),
                state: record::State::Pending,
                cache: self.lookahead.verdict((position, index)),
                interval: None,
                layer: None,
            };
            record::Stage {
                name: error::display_name(stage),
                base: self.base_name(stage),
                base_layers: self.base_layers(stage),
                line: stage.span.first_line,
                text: stage.text.clone(),
                interval: None,
                unpack: None,
                steps: stage.steps.iter().enumerate().map(step).collect(),
            }
        };
        stages.map(stage).collect()
    }

    /// Returns how messages call what a stage starts from.
    pub(super) fn base_name(&self, stage: &plan::PlannedStage) -> String {
        match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Image(image, _) => image.to_string(),
            Base::Stage(base) => error::display_name(&self.plan.stages[*base]),
        }
    }

    fn base_layers(&self, stage: &plan::PlannedStage) -> Vec<record::Layer> {
        match &stage.base {
            Base::Image(image, platform) => {
                let image = &self.bases[&(image.clone(), platform.clone())];
                image.layers().iter().map(layer).collect()
            }
            Base::Scratch | Base::Stage(_) => Vec::new(),
        }
    }
}

/// Returns a layer as a record has it.
pub fn layer(layer: &Layer) -> record::Layer {
    record::Layer {
        digest: layer.descriptor.digest.to_string(),
        size: layer.descriptor.size,
    }
}
