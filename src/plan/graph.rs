//! The stages and how they refer to one another.
//!
//! # Spec
//! Language spec 6, OB-4.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::cycle::{self, Edge};
use super::origin::Origin;
use super::{Configs, Error, NamedContext, Options, Problem, Scope, epoch, mount, scope};
use crate::dockerfile::{self, Dockerfile, Instruction, Located, Stage, suggest};
use crate::image::Platform;

/// Every stage of a Dockerfile with what it starts from; references, indexes and cycles are checked for all of them.
pub(super) struct Graph<'a> {
    pub dockerfile: &'a Dockerfile,
    pub configs: &'a Configs,
    pub contexts: &'a [NamedContext],
    /// Global and automatic args.
    pub globals: Scope,
    /// What each stage starts from.
    pub bases: Vec<Origin>,
    /// Stages that a context replaces, so that their instructions do not count.
    replaced: BTreeSet<usize>,
    /// Stages by name; of several with one name the last.
    pub names: BTreeMap<&'a str, usize>,
    /// Place of each needed stage in the plan; empty until they are known.
    pub positions: BTreeMap<usize, usize>,
    /// The stages asked for, the one that becomes the image first.
    pub targets: Vec<usize>,
    pub target_platform: &'a Platform,
    /// `--build-arg`s, with `SOURCE_DATE_EPOCH` as a number.
    pub build_args: BTreeMap<String, String>,
    /// The build's moment for new history and files.
    pub source_date_epoch: Option<i64>,
}

/// An instruction of a stage, or a trigger of its base, which stands where the stage's `FROM` does.
pub(super) type Command<'a> = Cow<'a, Located<Instruction>>;

impl<'a> Graph<'a> {
    pub fn new(
        dockerfile: &'a Dockerfile,
        options: &'a Options,
        configs: &'a Configs,
    ) -> Result<Self, Error> {
        let names: BTreeMap<&str, usize> = dockerfile
            .stages
            .iter()
            .filter_map(|stage| Some((stage.name.as_deref()?, stage.index)))
            .collect();
        let mut globals = scope::globals(dockerfile, options)?;
        let mut build_args = options.build_args.clone();
        let source_date_epoch = epoch::resolve(&mut globals, &mut build_args, dockerfile, options)?;
        let mut graph = Self {
            dockerfile,
            configs,
            contexts: &options.contexts,
            replaced: BTreeSet::new(),
            globals,
            build_args,
            source_date_epoch,
            bases: Vec::new(),
            names,
            positions: BTreeMap::new(),
            targets: Vec::new(),
            target_platform: &options.platforms.target,
        };
        for stage in &dockerfile.stages {
            let replaced = stage.name.as_deref().map(|name| graph.named(name, None));
            let replaced = replaced.transpose().map(Option::flatten);
            let base = match replaced {
                Ok(Some(origin)) => {
                    graph.replaced.insert(stage.index);
                    graph.after(origin, stage)
                }
                Ok(None) => graph.base(stage),
                Err(problem) => Err(problem),
            };
            graph.bases.push(base.map_err(|p| p.at(stage.from.span))?);
        }
        graph.check_cycles()?;
        graph.targets = match options.every_stage {
            true => (0..dockerfile.stages.len()).rev().collect(),
            false => graph.find_targets(&options.targets)?,
        };
        Ok(graph)
    }

    pub fn stage(&self, index: usize) -> &'a Stage {
        &self.dockerfile.stages[index]
    }

    /// Returns the name by which messages call a stage.
    pub fn display_name(&self, index: usize) -> String {
        let name = self.stage(index).name.clone();
        name.unwrap_or_else(|| format!("stage-{index}"))
    }

    /// Returns a stage's own instructions.
    fn body(&self, index: usize) -> &'a [Located<Instruction>] {
        match self.replaced.contains(&index) {
            true => &[],
            false => &self.stage(index).instructions,
        }
    }

    /// Returns what a stage does: the triggers of its base, then its own instructions.
    ///
    /// Triggers of an image whose config is not known are left out.
    pub fn commands(&self, index: usize) -> Result<Vec<Command<'a>>, Error> {
        let stage = self.stage(index);
        let mut commands = Vec::new();
        let labs = self.dockerfile.syntax.as_ref();
        let labs = labs.is_some_and(|syntax| syntax.labs);
        for text in self.triggers(index) {
            let trigger = dockerfile::parse_trigger(&text, labs);
            let value =
                trigger.map_err(|source| Problem::trigger(&text, source).at(stage.from.span))?;
            commands.push(Cow::Owned(Located {
                span: stage.from.span,
                text,
                value,
            }));
        }
        commands.extend(self.body(index).iter().map(Cow::Borrowed));
        Ok(commands)
    }

    /// Returns the triggers that run in a stage before its own instructions.
    fn triggers(&self, index: usize) -> Vec<String> {
        match &self.bases[index] {
            Origin::Scratch | Origin::Named(_) => Vec::new(),
            Origin::Image(image, platform) => {
                let config = self.configs.get(&(image.clone(), platform.clone()));
                config.map_or(Vec::new(), |config| config.config.on_build.clone())
            }
            Origin::Stage(base) => {
                let instructions = self.body(*base).iter();
                let onbuild = |located: &Located<Instruction>| match &located.value {
                    Instruction::Onbuild(trigger) => Some(trigger.clone()),
                    _ => None,
                };
                instructions.filter_map(onbuild).collect()
            }
        }
    }

    /// Returns the stages that the targets need, in file order.
    pub fn needed(&self) -> Result<BTreeSet<usize>, Error> {
        let mut needed = BTreeSet::new();
        let mut pending = self.targets.clone();
        while let Some(index) = pending.pop() {
            if !needed.insert(index) {
                continue;
            }
            if let Origin::Stage(base) = self.bases[index] {
                pending.push(base);
            }
            for command in self.commands(index)? {
                let read = self.stages_read(&command)?;
                pending.extend(read.into_iter().map(|(stage, _)| stage));
            }
        }
        Ok(needed)
    }

    /// Returns the stages that an instruction reads files of, and how it refers to each.
    fn stages_read(&self, located: &Located<Instruction>) -> Result<Vec<(usize, String)>, Error> {
        let origins = match &located.value {
            Instruction::Copy(copy) => match copy.from.as_deref() {
                Some(from) if !from.is_empty() && !from.contains('$') => {
                    vec![(self.copy_origin(from), format!("--from={from}"))]
                }
                _ => Vec::new(),
            },
            Instruction::Run(run) => run
                .mounts
                .iter()
                .filter(|mount| mount::reads_files(mount))
                .flat_map(|mount| &mount.fields)
                .filter(|(key, _)| key.eq_ignore_ascii_case("from"))
                .filter_map(|(_, value)| value.as_deref().filter(|from| !from.is_empty()))
                .map(|from| (self.mount_origin(from), format!("from={from}")))
                .collect(),
            _ => Vec::new(),
        };
        let mut stages = Vec::new();
        for (origin, reference) in origins {
            match origin {
                Ok(Origin::Stage(index)) => stages.push((index, reference)),
                Err(problem @ Problem::StageIndex(_)) => return Err(problem.at(located.span)),
                // A bad image name is an error of the instruction, and matters only if that is needed.
                Ok(Origin::Scratch | Origin::Named(_) | Origin::Image(..)) | Err(_) => {}
            }
        }
        Ok(stages)
    }

    /// Returns the build args that nothing declares and that have no meaning of their own.
    pub fn unused_build_args(&self, options: &Options) -> Result<Vec<String>, Error> {
        let mut declared = self.globals.declared.clone();
        let mut declare = |located: &Located<Instruction>| {
            if let Instruction::Arg(declarations) = &located.value {
                declared.extend(declarations.iter().map(|arg| arg.name.clone()));
            }
        };
        let stages = self.dockerfile.stages.iter();
        stages
            .flat_map(|stage| &stage.instructions)
            .for_each(&mut declare);
        for index in self.positions.keys() {
            let commands = self.commands(*index)?;
            commands.iter().for_each(|command| declare(command));
        }
        let names = options.build_args.keys();
        let unused = names.filter(|name| !declared.contains(*name) && !scope::is_predefined(name));
        Ok(unused.cloned().collect())
    }

    fn find_targets(&self, targets: &[String]) -> Result<Vec<usize>, Error> {
        let last = self.dockerfile.stages.len().checked_sub(1);
        let find = |name: &String| {
            let found = self.names.get(name.to_lowercase().as_str());
            found.copied().ok_or_else(|| Error {
                span: None,
                problem: Problem::Target {
                    suggestion: suggest(name, self.names.keys().copied()).map(str::to_owned),
                    name: name.clone(),
                    known: (0..=last.unwrap_or(0))
                        .map(|index| self.display_name(index))
                        .collect(),
                },
            })
        };
        match targets {
            [] => Ok(last.into_iter().collect()),
            targets => targets.iter().map(find).collect(),
        }
    }

    /// Refuses stages that need themselves; triggers cannot add to this, as they may only refer backwards.
    fn check_cycles(&self) -> Result<(), Error> {
        let mut edges = Vec::new();
        for stage in &self.dockerfile.stages {
            let mut from_stage = Vec::new();
            if let Origin::Stage(base) = self.bases[stage.index] {
                let reference = stage.from.value.image.clone();
                from_stage.push(Edge {
                    to: base,
                    span: stage.from.span,
                    reference,
                });
            }
            for located in self.body(stage.index) {
                let read = self.stages_read(located)?;
                from_stage.extend(read.into_iter().map(|(to, reference)| Edge {
                    to,
                    span: located.span,
                    reference,
                }));
            }
            edges.push(from_stage);
        }
        match cycle::find(&edges) {
            Some((stage, edge)) => {
                let stage = self.display_name(stage);
                let reference = edge.reference.clone();
                Err(Problem::Cycle { stage, reference }.at(edge.span))
            }
            None => Ok(()),
        }
    }
}
