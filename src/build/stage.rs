//! One stage: its base, its steps, and a layer for each step that has one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Once, OnceLock};
use std::time::{Instant, SystemTime};

use time::OffsetDateTime;
use tracing::{debug, info, info_span, warn};

use super::assemble::{Lineage, Record};
use super::bases::Bases;
use super::contexts::Contexts;
use super::dispatch::Dispatch;
use super::error::display_name;
use super::images::Library;
use super::lookahead::Lookahead;
use super::outlook::{At, Prospect};
use super::pins::{self, Pins};
use super::roots::Roots;
use super::schedule;
use super::{Error, Options, prepared, unpack};
use crate::cache::Hit;
use crate::execute::mount::{Prepared, Shelf};
use crate::execute::run::{self, Isolation};
use crate::execute::{self, Owners, Tree};
use crate::image::{Compression, Family, Layer};
use crate::interrupt::Interrupt;
use crate::layer::entry::Time;
use crate::layer::{LayerPath, Writer};
use crate::log::record::{self, State};
use crate::log::timeline::Timeline;
use crate::plan::{Action, Base, Plan, PlannedStage, RunMount, Source, Step};
use crate::rootfs::{Refused, Rootfs};
use crate::snapshot::{self, Change};
use crate::store::{BlobStore, LayerSink};

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
    pub halt: Interrupt,
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
    pub prospects: &'b [Prospect],
    pub timeline: &'b Timeline,
    /// Where finished layers of the image are uploaded to; absent if it is not pushed.
    pub dispatch: Option<Dispatch<'b>>,
}

/// A stage at work.
struct Work<'b> {
    builder: &'b Builder<'b>,
    position: usize,
    root: Rootfs,
    /// What the root looked like at the last snapshot; absent until a RUN needs it.
    baseline: Option<snapshot::Tree>,
}

impl Builder<'_> {
    /// Builds what is needed of all stages, side by side where they do not wait for each other.
    pub fn stages(&self, roots: &Roots<'_>) -> Result<Vec<Lineage>, Error> {
        let lineages: Vec<OnceLock<Lineage>> =
            self.plan.stages.iter().map(|_| OnceLock::new()).collect();
        schedule::run(&self.dependencies, self.jobs, |position| {
            let built = self.build(position, &lineages, roots);
            let built = built.inspect_err(|_| self.halt.raise(libc::SIGTERM))?;
            lineages[position]
                .set(built)
                .expect("each stage is built once");
            roots.release(position, self.plan)
        })?;
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
            if self.options.snapshot.single && self.in_image.contains(&position) {
                work.take_baseline().map_err(failed)?;
            }
            let last = at_work
                .iter()
                .rposition(|step| step.action != Action::Config);
            for (index, step) in at_work.iter().enumerate() {
                let told = self.timeline.step(position, index);
                let record = match self.lookahead.hit((position, index)) {
                    Some(hit) => work.apply(step, hit),
                    None => work.step(index, step, Some(index) == last, roots),
                };
                let record = record.map_err(|error| Error::at(stage, step, error))?;
                told.done(self.outcome((position, index)), layer_of(&record));
                lineage.records.push(record);
            }
            match prospect.is_read {
                true => roots.keep(position, work.root),
                false => work.root.delete()?,
            }
        }
        for (index, step) in stage.steps.iter().enumerate().skip(at_work.len()) {
            let told = self.timeline.step(position, index);
            let hit = self.lookahead.hit((position, index));
            if hit.is_some() {
                info!("{}", step.text);
            }
            let record = record(step, hit.map(Made::from));
            told.done(self.outcome((position, index)), layer_of(&record));
            lineage.records.push(record);
        }
        Ok(lineage)
    }

    /// Tells whether there is a reason to stop: a signal, or another stage that failed.
    fn check(&self) -> Result<(), Error> {
        self.interrupt.check()?;
        Ok(self.halt.check()?)
    }

    /// Returns what stands before each line of a stage's commands, where several may write at a time.
    fn prefix(&self, position: usize) -> Option<String> {
        let stage = &self.plan.stages[position];
        (self.jobs > 1).then(|| format!("[{}] ", display_name(stage)))
    }

    /// Returns what becomes of a step, if it does not fail.
    fn outcome(&self, at: At) -> State {
        match self.plan.stages[at.0].steps[at.1].action {
            Action::Config => State::Recorded,
            _ if self.lookahead.hit(at).is_some() => State::Cached,
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
            Base::Scratch => roots.create(position),
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
                unpack::unpack(self.library, image, found, &root)?;
                debug!(
                    elapsed_ms = started.elapsed().as_millis() as u64,
                    "unpacked {image}"
                );
                Ok(root)
            }
        }
    }
}

impl Work<'_> {
    /// Puts a cached layer into the root in place of executing its step.
    fn apply(&mut self, step: &Step, hit: &Hit) -> Result<Record, Error> {
        self.builder.check()?;
        info!("{}", step.text);
        info!("Found cached layer, extracting to filesystem");
        let descriptor = &hit.layer.descriptor;
        let failed = |source| Error::Cached {
            layer: descriptor.digest.clone(),
            dir: self.root.path().to_owned(),
            source,
        };
        let blob = self.builder.store.verified(descriptor)?;
        let blob = blob.ok_or_else(|| failed("it is not in the blob store".into()))?;
        unpack::unpack_layer(blob, &hit.layer, &self.root).map_err(failed)?;
        // what the next RUN changes is told from a new look at everything
        self.baseline = None;
        Ok(record(step, Some(hit.into())))
    }

    fn step(
        &mut self,
        index: usize,
        step: &Step,
        is_last: bool,
        roots: &Roots<'_>,
    ) -> Result<Record, Error> {
        self.builder.check()?;
        if step.action != Action::Config {
            info!("{}", step.text);
        }
        let at = (self.position, index);
        let makes_layer =
            self.builder.in_image.contains(&self.position) || self.builder.lookahead.wants(at);
        let single = self.builder.options.snapshot.single;
        let started = Instant::now();
        let layer = match &step.action {
            Action::Config => None,
            Action::Run(run) => {
                if makes_layer {
                    self.take_baseline()?;
                }
                let prepared = self.mounts(run, roots)?;
                self.run(run, &prepared)?;
                self.layer_of_changes(makes_layer && !single)?
            }
            Action::Copy(copy) => {
                let touched = self.copy(index, copy, roots)?;
                self.layer_of(&touched, makes_layer && !single)?
            }
            Action::Workdir(workdir) => {
                let touched = execute::workdir(workdir, &self.root, now())?;
                self.layer_of(&touched, makes_layer && !single)?
            }
        };
        let layer = match layer {
            None if single && makes_layer && is_last => self.layer_of_changes(true)?,
            layer => layer,
        };
        debug!(elapsed_ms = started.elapsed().as_millis() as u64, "done");
        let made = layer.map(|layer| Made {
            layer,
            created: OffsetDateTime::from(SystemTime::now()),
        });
        if let Some(Made { layer, created }) = &made {
            let builder = self.builder;
            builder
                .lookahead
                .put(at, builder.plan, layer, *created, builder.store);
            if let Some(dispatch) = &builder.dispatch
                && builder.in_image.contains(&self.position)
            {
                dispatch.send(layer, builder.lookahead.registry(at));
            }
        }
        Ok(record(step, made))
    }
}

impl Work<'_> {
    fn run(&mut self, step: &crate::plan::RunStep, prepared: &Prepared) -> Result<(), Error> {
        let isolation = self
            .builder
            .isolation
            .expect("an isolation is selected for every plan with a RUN");
        let context = run::RunContext {
            executable: run::this_executable(),
            secret_env: &prepared.env,
            lent: &prepared.lent,
            interrupt: self.builder.interrupt,
            halt: &self.builder.halt,
            prefix: self.builder.prefix(self.position),
        };
        let refused = self.root.refused();
        if refused != Refused::default() {
            self.builder.refused.call_once(|| {
                warn!("the disk cannot hold {refused} here: the image will have them, but RUN does not see them");
            });
        }
        let outcome = {
            let _terminal = self.builder.timeline.lend_terminal();
            run::execute(isolation, &self.root, step, &context)?
        };
        if let Some(mut baseline) = self.baseline.take() {
            let ignored = |path: &[u8]| self.is_ignored(path);
            baseline.refresh(
                &self.root,
                &outcome.refreshed,
                &self.snapshot_options(&ignored),
            )?;
            self.baseline = Some(baseline);
        }
        Ok(())
    }

    /// Makes the mounts of a RUN ready.
    fn mounts(&self, step: &crate::plan::RunStep, roots: &Roots<'_>) -> Result<Prepared, Error> {
        let sources: Vec<Option<&Source>> = step.mounts.iter().map(RunMount::source).collect();
        let mut ready = Vec::with_capacity(sources.len());
        for source in sources {
            ready.push(match source {
                Some(source) => Some((source, self.name(source), roots.get(source)?)),
                None => None,
            });
        }
        let trees: Vec<Option<Tree<'_>>> = ready
            .iter()
            .map(|ready| {
                let (source, name, root) = ready.as_ref()?;
                Some(self.tree(source, root.as_deref(), name))
            })
            .collect();
        let shelf = self.builder.shelf;
        let shelf = shelf.expect("there is one for every plan with a RUN");
        Ok(shelf.prepare(step, &trees, now())?)
    }

    /// Returns how messages call a source that is no context.
    fn name(&self, source: &Source) -> String {
        match source {
            Source::Stage(position) => display_name(&self.builder.plan.stages[*position]),
            Source::Image(image, _) => image.to_string(),
            Source::Context | Source::Named(_) | Source::Scratch => "scratch".to_owned(),
        }
    }

    /// Returns the files of a source: those of a context, or of the root it has.
    fn tree<'t>(&'t self, source: &Source, root: Option<&'t Rootfs>, name: &'t str) -> Tree<'t> {
        let context = self.builder.contexts.tree(source);
        context.unwrap_or_else(|| Tree {
            root: root.expect("what is no context has a root"),
            ignore: None,
            owners: Owners::Kept,
            name,
        })
    }

    fn copy(
        &mut self,
        index: usize,
        step: &crate::plan::CopyStep,
        roots: &Roots<'_>,
    ) -> Result<Vec<LayerPath>, Error> {
        let from = roots.get(&step.from)?;
        let name = self.name(&step.from);
        let tree = self.tree(&step.from, from.as_deref(), &name);
        let means = execute::Means {
            net: self.builder.library.client.net(),
            dir: self.builder.work_dir,
            secrets: &self.builder.options.mounts.secrets,
            git: &pins::of_add(&self.builder.options.git),
        };
        let pinned = self.builder.pins.get(&(self.position, index));
        let remotes = execute::fetch(step, pinned.map_or(&[], Vec::as_slice), means)?;
        Ok(execute::copy(step, &tree, &remotes, &self.root, now())?)
    }

    /// Looks at the whole root, so that the changes of a RUN can be told.
    fn take_baseline(&mut self) -> Result<(), Error> {
        let baseline = match self.baseline.take() {
            Some(baseline) => baseline,
            None => {
                info!("Taking snapshot of full filesystem...");
                snapshot::tree::scan(
                    &self.root,
                    &self.snapshot_options(&|path| self.is_ignored(path)),
                )?
            }
        };
        snapshot::clock::pass(&baseline);
        self.baseline = Some(baseline);
        Ok(())
    }

    /// Makes a layer of everything that changed since the baseline, which moves on.
    fn layer_of_changes(&mut self, wanted: bool) -> Result<Option<Layer>, Error> {
        if !wanted {
            return Ok(None);
        }
        let Some(mut baseline) = self.baseline.take() else {
            return Ok(None);
        };
        info!("Taking snapshot of full filesystem...");
        let changes = snapshot::changes(
            &mut baseline,
            &self.root,
            &self.snapshot_options(&|path| self.is_ignored(path)),
        )?;
        self.baseline = Some(baseline);
        self.write(&changes).map(Some)
    }

    /// Makes a layer of the paths that an instruction touched.
    fn layer_of(&mut self, touched: &[LayerPath], wanted: bool) -> Result<Option<Layer>, Error> {
        if let Some(mut baseline) = self.baseline.take() {
            if !self.builder.options.snapshot.single {
                baseline.refresh(
                    &self.root,
                    touched,
                    &self.snapshot_options(&|path| self.is_ignored(path)),
                )?;
            }
            self.baseline = Some(baseline);
        }
        if !wanted {
            return Ok(None);
        }
        info!("Taking snapshot of files...");
        let mut changes = snapshot::touched(&self.root, touched)?;
        changes.retain(|change| !self.is_ignored(change.path().as_bytes()));
        self.write(&changes).map(Some)
    }

    fn write(&self, changes: &[Change]) -> Result<Layer, Error> {
        let builder = self.builder;
        let sink = LayerSink::new(
            builder.store,
            builder.family,
            builder.compression,
            builder.options.snapshot.level,
        )?;
        let mut writer = Writer::new(sink);
        let written = snapshot::write(changes, &self.root, &mut writer, builder.epoch)?;
        let layer = writer.finish().map_err(snapshot::Error::from)?.finish()?;
        debug!(entries = written.entries, whiteouts = written.whiteouts, size_bytes = written.size, digest = %layer.descriptor.digest, "layer");
        Ok(layer)
    }

    fn snapshot_options<'o>(&self, ignore: &'o dyn Fn(&[u8]) -> bool) -> snapshot::Options<'o> {
        snapshot::Options {
            ignore,
            full: self.builder.options.snapshot.read_everything,
        }
    }

    fn is_ignored(&self, path: &[u8]) -> bool {
        let ignore = &self.builder.options.snapshot.ignore;
        !ignore.is_empty() && {
            let path = LayerPath::clean(path);
            ignore.iter().any(|ignored| path.starts_with(ignored))
        }
    }
}

/// A layer and when it was made.
struct Made {
    layer: Layer,
    created: OffsetDateTime,
}

impl From<&Hit> for Made {
    fn from(hit: &Hit) -> Self {
        Self {
            layer: hit.layer.clone(),
            created: hit.created,
        }
    }
}

fn record(step: &Step, made: Option<Made>) -> Record {
    let (layer, created) = made.map(|made| (made.layer, made.created)).unzip();
    Record {
        created_by: step.created_by.clone(),
        layer,
        created,
    }
}

fn layer_of(record: &Record) -> Option<record::Layer> {
    record.layer.as_ref().map(prepared::layer)
}

/// Returns the current time in whole seconds, as layers have it.
fn now() -> Time {
    Time::from_seconds(OffsetDateTime::now_utc().unix_timestamp())
}
