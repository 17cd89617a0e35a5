//! One stage: its base, its steps, and a layer for each step that has one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Once, OnceLock};
use std::time::Instant;

use tracing::{debug, info, info_span};

use super::assemble::{Lineage, Record};
use super::bases::Bases;
use super::contexts::Contexts;
use super::dispatch::Dispatch;
use super::error::display_name;
use super::images::Library;
use super::keys::States;
use super::lookahead::Lookahead;
use super::outlook::{At, Prospect};
use super::pins::Pins;
use super::roots::Roots;
use super::schedule;
use super::work::{Made, Work, record};
use super::{Error, Options, phrases, prepared, unpack};
use crate::execute::mount::Shelf;
use crate::execute::run::Isolation;
use crate::image::{Compression, Family};
use crate::interrupt::Interrupt;
use crate::log::record::{self, State};
use crate::log::timeline::Timeline;
use crate::plan::{Action, Base, Plan, PlannedStage};
use crate::rootfs::Rootfs;
use crate::store::BlobStore;

/// What all stages of a build share.
pub struct Builder<'b> {
    pub plan: &'b Plan,
    pub options: &'b Options,
    pub contexts: &'b Contexts<'b>,
    pub library: &'b Library<'b>,
    pub bases: &'b Bases,
    pub isolation: Option<&'b Isolation>,
    /// Where mounts come from; there is one for every plan with a RUN.
    pub shelf: Option<&'b Shelf<'b>>,
    pub interrupt: &'b Interrupt,
    /// Set off when a stage fails, to end the others.
    pub halt: &'b Interrupt,
    /// How many stages may be built at a time, and what each waits for.
    pub jobs: usize,
    pub dependencies: schedule::Dependencies,
    pub store: &'b BlobStore,
    /// Where files wait that are still to be copied.
    pub work_dir: &'b Path,
    /// Media types and compression of new layers; those of the image that is made in the end.
    pub family: Family,
    pub compression: Compression,
    pub epoch: Option<i64>,
    /// Stages whose layers are part of the image.
    pub in_image: BTreeSet<usize>,
    /// Whether it has been said what commands see otherwise than the image has it.
    pub refused: Once,
    /// What is cached, and where new layers are cached.
    pub lookahead: &'b Lookahead,
    /// What fetched sources were found to be.
    pub pins: &'b Pins,
    /// What the contexts were like when the keys were computed.
    pub states: &'b States,
    pub prospects: &'b [Prospect],
    pub timeline: &'b Timeline,
    /// Where finished layers of the image are uploaded to; absent if it is not pushed.
    pub dispatch: Option<Dispatch<'b>>,
}

impl Builder<'_> {
    /// Builds what is needed of all stages, side by side where they do not wait for each other.
    pub fn stages(&self, roots: &Roots<'_>) -> Result<Vec<Lineage>, Error> {
        let lineages: Vec<OnceLock<Lineage>> =
            self.plan.stages.iter().map(|_| OnceLock::new()).collect();
        phrases::dependencies(self.plan);
        let build = |position| {
            let built = self.build(position, &lineages, roots)?;
            lineages[position]
                .set(built)
                .expect("each stage is built once");
            roots.release(position, self.plan)
        };
        let halt = || self.halt.raise(libc::SIGTERM);
        schedule::run(&self.dependencies, self.jobs, build, halt)?;
        let built = lineages.into_iter().map(OnceLock::into_inner);
        Ok(built
            .map(|lineage| lineage.expect("no stage failed"))
            .collect())
    }

    /// Builds the stage at `position` of the plan; its root, if it needs one, is kept in `roots`.
    fn build(
        &self,
        position: usize,
        lineages: &[OnceLock<Lineage>],
        roots: &Roots<'_>,
    ) -> Result<Lineage, Error> {
        let stage = &self.plan.stages[position];
        let _span =
            info_span!("stage", index = stage.index, name = stage.name.as_deref()).entered();
        let (mut lineage, failed_at) = (self.lineage(stage, lineages), stage.span);
        let failed = |source| Error::in_stage(stage, failed_at, source);
        let prospect = &self.prospects[position];
        if !prospect.is_needed() {
            debug!("skipping the stage: the layers of all that reads it are cached");
            return Ok(lineage);
        }
        let _stage = self.timeline.stage(position);
        phrases::stage(self.plan, position);
        info!("{}", stage.text);
        let at_work = match prospect.has_root() {
            true => stage.steps.split_at(prospect.work).0,
            false => {
                info!("Skipping unpacking as no commands require it.");
                &[]
            }
        };
        if prospect.has_root() {
            let mut work = Work {
                builder: self,
                position,
                root: self.root(position, roots).map_err(failed)?,
                baseline: None,
            };
            let last = at_work.iter().rposition(|step| step.has_layer());
            // the one layer that the stage will have, unless that is there
            let is_made = |last: usize| {
                let at = (position, last);
                let wanted = self.in_image.contains(&position) || self.lookahead.wants(at);
                wanted && self.lookahead.hit(at).is_none()
            };
            if self.options.snapshot.single && last.is_some_and(is_made) {
                work.take_baseline().map_err(failed)?;
            }
            for (index, step) in at_work.iter().enumerate() {
                let told = self.timeline.step(position, index);
                let record = match self.lookahead.hit((position, index)) {
                    Some(hit) => work.apply(step, hit),
                    None if self.lookahead.is_merged((position, index)) => Ok(record(step, None)),
                    None => {
                        let tail = told.tail();
                        work.step(index, step, Some(index) == last, roots, &tail)
                    }
                };
                let record = record.map_err(|error| Error::at(stage, step, error))?;
                told.done(self.outcome((position, index)), layer_of(&record));
                lineage.records.push(record);
            }
            match prospect.is_read {
                true => roots.keep(position, work.root),
                false => roots.discard(position, work.root, self.plan)?,
            }
        }
        for (index, step) in stage.steps.iter().enumerate().skip(at_work.len()) {
            let told = self.timeline.step(position, index);
            let hit = self.lookahead.hit((position, index));
            if hit.is_some() {
                info!("{}", step.text);
            }
            if step.action == Action::Config {
                phrases::step(step);
            }
            let record = record(step, hit.map(Made::from));
            told.done(self.outcome((position, index)), layer_of(&record));
            lineage.records.push(record);
        }
        Ok(lineage)
    }

    /// Tells whether there is a reason to stop: a signal, or another stage that failed.
    pub fn check(&self) -> Result<(), Error> {
        self.interrupt.check()?;
        Ok(self.halt.check()?)
    }

    /// Returns what stands before each line of a stage's commands, where several may write at a time.
    pub fn prefix(&self, position: usize) -> Option<String> {
        let stage = &self.plan.stages[position];
        (self.jobs > 1).then(|| format!("[{}] ", display_name(stage)))
    }

    /// Returns what becomes of a step, if it does not fail.
    fn outcome(&self, at: At) -> State {
        match self.plan.stages[at.0].steps[at.1].action {
            Action::Config => State::Recorded,
            _ if self.lookahead.hit(at).is_some() || self.lookahead.is_merged(at) => State::Cached,
            _ => State::Executed,
        }
    }

    fn lineage(&self, stage: &PlannedStage, lineages: &[OnceLock<Lineage>]) -> Lineage {
        match &stage.base {
            Base::Scratch => Lineage {
                base_layers: Vec::new(),
                base_history: Vec::new(),
                records: Vec::new(),
            },
            Base::Image(image, platform) => {
                let image = &self.bases[&(image.clone(), platform.clone())];
                Lineage {
                    base_layers: image.layers(),
                    base_history: image.config.history.clone(),
                    records: Vec::new(),
                }
            }
            Base::Stage(base) => {
                let base = lineages[*base].get();
                base.expect("a stage waits for its base").clone()
            }
        }
    }

    /// Makes the root that a stage begins with.
    fn root(&self, position: usize, roots: &Roots<'_>) -> Result<Rootfs, Error> {
        let stage = &self.plan.stages[position];
        match &stage.base {
            Base::Scratch => {
                info!("No base image, nothing to extract");
                roots.create(position)
            }
            Base::Stage(base) => roots.continue_from(*base, position, self.plan),
            Base::Image(image, platform) => {
                let root = roots.create(position)?;
                match stage
                    .steps
                    .iter()
                    .find(|step| step.action != Action::Config)
                {
                    Some(step) => info!("Unpacking rootfs as cmd {} requires it.", step.text),
                    None => info!("Unpacking rootfs as later stages require it."),
                }
                let started = Instant::now();
                let _unpack = self.timeline.unpack(position);
                let found = &self.bases[&(image.clone(), platform.clone())];
                unpack::unpack(self.library, image, found, roots.demand(position), &root)?;
                debug!(
                    elapsed_ms = started.elapsed().as_millis() as u64,
                    "unpacked {image}"
                );
                Ok(root)
            }
        }
    }
}

fn layer_of(record: &Record) -> Option<record::Layer> {
    record.layer.as_ref().map(prepared::layer)
}
