//! What a build does and how long it takes, told while it happens.
//!
//! Whoever does something that takes time reports it to the build's [`Timeline`]; [`Timeline::record`] returns what is known so far.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tracing::info;

use super::progress::{Lent, Progress, Tail, Task};
use super::record::{Bytes, Image, Interval, Layer, Phase, Record, Stage, State, Step};
use super::summary;
use super::transfer::Kind;

/// The place to report to; clones report to the same one, from any thread.
#[derive(Clone)]
pub struct Timeline {
    shared: Arc<Shared>,
    part: Option<Arc<Part>>,
}

/// One of several builds that are told of together.
struct Part {
    name: String,
    /// Where its stages begin among all.
    first: OnceLock<usize>,
}

struct Shared {
    start: Instant,
    started: OffsetDateTime,
    known: Mutex<Known>,
    progress: Progress,
}

#[derive(Default)]
struct Known {
    error: Option<String>,
    image: Option<Image>,
    bytes: Bytes,
    phases: Vec<Phase>,
    stages: Vec<Stage>,
}

/// A phase that lasts until this is dropped.
#[must_use = "the phase ends when this is dropped"]
pub struct PhaseSpan {
    timeline: Timeline,
    index: usize,
    _shown: Task,
}

/// A stage at work until this is dropped.
#[must_use = "the stage ends when this is dropped"]
pub struct StageSpan {
    timeline: Timeline,
    position: usize,
}

/// A stage's base on its way into the root, until this is dropped.
#[must_use = "the unpacking ends when this is dropped"]
pub struct UnpackSpan {
    timeline: Timeline,
    position: usize,
    _shown: Task,
}

/// A step at work; it failed if this is dropped before [`StepSpan::done`].
#[must_use = "a step that is not done has failed"]
pub struct StepSpan {
    timeline: Timeline,
    at: (usize, usize),
    is_done: bool,
    shown: Option<Task>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::begin()
    }
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timeline").finish_non_exhaustive()
    }
}

impl Timeline {
    /// Starts the clock.
    pub fn begin() -> Self {
        Self::shown_by(Progress::default())
    }

    /// Starts the clock of a build that a display shows.
    pub fn shown_by(progress: Progress) -> Self {
        Self {
            shared: Arc::new(Shared {
                start: Instant::now(),
                started: OffsetDateTime::now_utc(),
                known: Mutex::default(),
                progress,
            }),
            part: None,
        }
    }

    /// Returns the place to report one of several builds to, whose stages are called by its name too.
    pub fn part(&self, name: String) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            part: Some(Arc::new(Part {
                name,
                first: OnceLock::new(),
            })),
        }
    }

    /// Returns the display that shows the build.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Keeps the display out of the way of a command, whose output goes to the terminal itself.
    pub fn lend_terminal(&self) -> Lent {
        self.shared.progress.lend()
    }

    /// Begins a part of the build.
    pub fn phase(&self, name: &'static str) -> PhaseSpan {
        let interval = self.begun();
        let mut known = self.known();
        known.phases.push(Phase { name, interval });
        PhaseSpan {
            timeline: self.clone(),
            index: known.phases.len() - 1,
            _shown: self.shared.progress.task(name),
        }
    }

    /// Tells what is to be built; nothing of it has begun.
    pub fn plan(&self, mut stages: Vec<Stage>) {
        let mut known = self.known();
        let Some(part) = &self.part else {
            known.stages = stages;
            return;
        };
        for stage in &mut stages {
            stage.name = format!("{} {}", part.name, stage.name);
        }
        // what is planned once more takes the place of what was planned before
        let of_part = format!("{} ", part.name);
        let is_before = |stage: &Stage| stage.name.starts_with(&of_part);
        let first = known.stages.iter().position(is_before);
        let first = first.unwrap_or(known.stages.len());
        let end = known.stages.len().min(first + stages.len());
        known.stages.splice(first..end, stages);
        part.first.get_or_init(|| first);
    }

    /// Returns the position among the stages of all builds.
    fn position(&self, position: usize) -> usize {
        let first = self.part.as_ref().and_then(|part| part.first.get());
        first.copied().unwrap_or_default() + position
    }

    /// Begins a stage of the plan.
    pub fn stage(&self, position: usize) -> StageSpan {
        let position = self.position(position);
        let interval = self.begun();
        if let Some(stage) = self.known().stages.get_mut(position) {
            stage.interval = Some(interval);
        }
        StageSpan {
            timeline: self.clone(),
            position,
        }
    }

    /// Begins to unpack the base of a stage.
    pub fn unpack(&self, position: usize) -> UnpackSpan {
        let position = self.position(position);
        let interval = self.begun();
        let mut base = String::new();
        if let Some(stage) = self.known().stages.get_mut(position) {
            stage.unpack = Some(interval);
            base.clone_from(&stage.base);
        }
        UnpackSpan {
            timeline: self.clone(),
            position,
            _shown: self.shared.progress.task(format!("unpacking {base}")),
        }
    }

    /// Begins a step of a stage.
    pub fn step(&self, position: usize, index: usize) -> StepSpan {
        let at = (self.position(position), index);
        let interval = self.begun();
        let mut title = String::new();
        self.change(at, |step| {
            step.interval = Some(interval);
            title = step.title();
        });
        StepSpan {
            timeline: self.clone(),
            at,
            is_done: false,
            shown: Some(self.shared.progress.task(title)),
        }
    }

    /// Counts a blob that need not be pushed, because the registry has it.
    pub fn skip(&self, size: u64) {
        self.known().bytes.skipped += size;
    }

    /// Counts bytes that went through the network.
    pub(super) fn count(&self, kind: Kind, bytes: u64) {
        let mut known = self.known();
        let counted = &mut known.bytes;
        *match kind {
            Kind::Pull => &mut counted.pulled,
            Kind::Push => &mut counted.pushed,
            Kind::Fetch => &mut counted.fetched,
        } += bytes;
    }

    /// Tells what was built.
    pub fn built(&self, image: Image) {
        self.known().image = Some(image);
    }

    /// Tells where the image is now.
    pub fn pushed(&self, destinations: Vec<String>) {
        if let Some(image) = &mut self.known().image {
            image.pushed_to = destinations;
        }
    }

    /// Tells what the build failed with.
    pub fn failed(&self, error: String) {
        self.known().error = Some(error);
    }

    /// Returns what is known by now; what has not ended lasts until now.
    pub fn record(&self) -> Record {
        let elapsed = self.elapsed();
        let known = self.known();
        Record {
            started: self.shared.started,
            elapsed,
            error: known.error.clone(),
            image: known.image.clone(),
            bytes: known.bytes,
            phases: known.phases.clone(),
            stages: known.stages.clone(),
        }
    }

    /// Logs the end of a build in one line.
    pub fn summarize(&self) {
        info!("{}", summary::of_build(&self.record()));
    }

    fn begun(&self) -> Interval {
        Interval {
            begin: self.elapsed(),
            elapsed: Duration::ZERO,
        }
    }

    fn elapsed(&self) -> Duration {
        self.shared.start.elapsed()
    }

    fn end(&self, interval: &mut Interval) {
        interval.elapsed = self.elapsed().saturating_sub(interval.begin);
    }

    fn change(&self, at: (usize, usize), change: impl FnOnce(&mut Step)) {
        let mut known = self.known();
        let stage = known.stages.get_mut(at.0);
        if let Some(step) = stage.and_then(|stage| stage.steps.get_mut(at.1)) {
            change(step);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.shared
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl StepSpan {
    /// Returns the place for what the step's command says.
    pub fn tail(&self) -> Tail {
        self.shown.as_ref().map(Task::tail).unwrap_or_default()
    }

    /// Ends the step and logs the line about it.
    pub fn done(mut self, state: State, layer: Option<Layer>) {
        self.is_done = true;
        self.shown = None;
        let timeline = self.timeline.clone();
        timeline.change(self.at, |step| {
            step.state = state;
            step.layer = layer;
            if let Some(interval) = &mut step.interval {
                timeline.end(interval);
            }
        });
        let (position, index) = self.at;
        let line = {
            let known = timeline.known();
            let stage = known.stages.get(position);
            stage.and_then(|stage| summary::of_step(stage, index))
        };
        if let Some(line) = line {
            info!("{line}");
        }
    }
}

impl Drop for PhaseSpan {
    fn drop(&mut self) {
        let mut known = self.timeline.known();
        if let Some(phase) = known.phases.get_mut(self.index) {
            self.timeline.end(&mut phase.interval);
        }
    }
}

impl Drop for StageSpan {
    fn drop(&mut self) {
        let mut known = self.timeline.known();
        let stage = known.stages.get_mut(self.position);
        if let Some(interval) = stage.and_then(|stage| stage.interval.as_mut()) {
            self.timeline.end(interval);
        }
    }
}

impl Drop for UnpackSpan {
    fn drop(&mut self) {
        let mut known = self.timeline.known();
        let stage = known.stages.get_mut(self.position);
        if let Some(interval) = stage.and_then(|stage| stage.unpack.as_mut()) {
            self.timeline.end(interval);
        }
    }
}

impl Drop for StepSpan {
    fn drop(&mut self) {
        if !self.is_done {
            let timeline = &self.timeline;
            timeline.change(self.at, |step| {
                step.state = State::Failed;
                if let Some(interval) = &mut step.interval {
                    timeline.end(interval);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::example;
    use super::*;

    #[test]
    fn parts_have_stages_of_their_own() {
        let timeline = Timeline::begin();
        let parts = ["linux/amd64", "linux/arm64"].map(|name| timeline.part(name.to_owned()));
        for part in &parts {
            let mut stages = example().stages;
            stages.iter_mut().for_each(|stage| stage.interval = None);
            part.plan(stages);
        }
        drop(parts[1].stage(1));
        parts[0].step(0, 2).done(State::Cached, None);
        let record = timeline.record();
        let of_stage = |stage: &Stage| {
            let state = stage.interval.map_or("", |_| " at work");
            let cached = stage
                .steps
                .iter()
                .filter(|step| step.state == State::Cached);
            format!("{}{state} {}", stage.name, cached.count())
        };
        let stages: Vec<String> = record.stages.iter().map(of_stage).collect();
        let want = [
            "linux/amd64 builder 2",
            "linux/amd64 stage-1 0",
            "linux/arm64 builder 1",
            "linux/arm64 stage-1 at work 0",
        ];
        assert_eq!(stages, want);
    }
}
