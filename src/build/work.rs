//! A stage at work: one step after the other in its root.

use std::time::{Instant, SystemTime};

use time::OffsetDateTime;
use tracing::{debug, info, warn};

use super::assemble::Record;
use super::error::display_name;
use super::keys;
use super::phrases;
use super::pins;
use super::roots::Roots;
use super::stage::Builder;
use super::{Error, unpack};
use crate::cache::Hit;
use crate::execute::mount::Prepared;
use crate::execute::run::{self, Lines, Output, Terminal};
use crate::execute::{self, Owners, Tree};
use crate::image::Layer;
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::log::progress::Tail;
use crate::plan::{Action, RunMount, Source, Step};
use crate::rootfs::{Refused, Rootfs};
use crate::snapshot;

/// A stage at work.
pub struct Work<'b> {
    pub builder: &'b Builder<'b>,
    /// Of its stage in the plan.
    pub position: usize,
    pub root: Rootfs,
    /// What the root looked like at the last snapshot; absent until a RUN needs it.
    pub baseline: Option<snapshot::Tree>,
}

impl Work<'_> {
    /// Puts a cached layer into the root in place of executing its step.
    pub fn apply(&mut self, step: &Step, hit: &Hit) -> Result<Record, Error> {
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

    /// Executes a step, and makes a layer of what it changed if one is wanted.
    pub fn step(
        &mut self,
        index: usize,
        step: &Step,
        is_last: bool,
        roots: &Roots<'_>,
        tail: &Tail,
    ) -> Result<Record, Error> {
        self.builder.check()?;
        if step.action != Action::Config {
            info!("{}", step.text);
        }
        phrases::step(step);
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
                self.run(run, &prepared, tail)?;
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
        self.check_context(index, step);
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
    /// Makes sure that no layer is cached under the key of something else, because files changed after that was computed.
    fn check_context(&self, index: usize, step: &Step) {
        let builder = self.builder;
        if let Some(then) = builder.states.get(&(self.position, index))
            && keys::states(step, builder.contexts).as_ref() != Some(then)
        {
            builder.lookahead.close(&step.text);
        }
    }

    /// Returns where the output of a command goes.
    fn output(&self, tail: &Tail) -> Output {
        let progress = self.builder.timeline.progress();
        if let Some(prefix) = self.builder.prefix(self.position) {
            return Output::Lines(Lines {
                prefix,
                progress: progress.clone(),
                tail: tail.clone(),
            });
        }
        let terminal = Terminal::open(progress, tail);
        terminal.map_or(Output::Own, Output::Terminal)
    }

    fn run(
        &mut self,
        step: &crate::plan::RunStep,
        prepared: &Prepared,
        tail: &Tail,
    ) -> Result<(), Error> {
        let isolation = self
            .builder
            .isolation
            .expect("an isolation is selected for every plan with a RUN");
        let output = self.output(tail);
        let context = run::RunContext {
            executable: run::this_executable(),
            secret_env: &prepared.env,
            lent: &prepared.lent,
            interrupt: self.builder.interrupt,
            halt: self.builder.halt,
            output: &output,
        };
        let refused = self.root.refused();
        if refused != Refused::default() {
            self.builder.refused.call_once(|| {
                warn!("the disk cannot hold {refused} here: the image will have them, but RUN does not see them");
            });
        }
        let outcome = {
            let is_own = matches!(output, Output::Own);
            let _terminal = is_own.then(|| self.builder.timeline.lend_terminal());
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
            dir: &self.builder.work_dir.join("lent"),
            secrets: &self.builder.options.mounts.secrets,
            git: &pins::of_add(&self.builder.options.git),
        };
        let pinned = self.builder.pins.get(&(self.position, index));
        let remotes = execute::fetch(step, pinned.map_or(&[], Vec::as_slice), means)?;
        Ok(execute::copy(step, &tree, &remotes, &self.root, now())?)
    }
}

/// A layer and when it was made.
pub struct Made {
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

/// Returns what the image says of a step.
pub fn record(step: &Step, made: Option<Made>) -> Record {
    let (layer, created) = made.map(|made| (made.layer, made.created)).unzip();
    Record {
        created_by: step.created_by.clone(),
        layer,
        created,
    }
}

/// Returns the current time in whole seconds, as layers have it.
fn now() -> Time {
    Time::from_seconds(OffsetDateTime::now_utc().unix_timestamp())
}
