//! The keys of a plan's steps, from manifests and hashes of files alone.

use std::collections::BTreeMap;

use tracing::{debug, trace};

use super::Error;
use super::bases::Bases;
use super::contexts::Contexts;
use super::images::Library;
use super::outlook::At;
use super::pins::Pins;
use crate::cache::key::{self, Input, Key, Keyed, Writing};
use crate::execute::{self, Hashes, Pinned, State};
use crate::image::{DiffId, Platform};
use crate::plan::{Action, Base, CopyStep, ImageName, Plan, RunMount, RunStep, Source, Step};

/// The key of each step, by stage and position; absent for steps without a layer, and where what a step reads is known only once it ran.
pub type Keys = Vec<Vec<Option<Keyed>>>;

/// The state in which the files of the contexts were when the keys were computed, for each mount or COPY that reads any.
pub type States = BTreeMap<At, Vec<State>>;

/// Images that are copied from or mounted, by what their layers are.
pub type Images = BTreeMap<(ImageName, Platform), Vec<DiffId>>;

/// Looks up the images that steps read, all at once.
pub fn images(library: &Library<'_>, plan: &Plan) -> Result<Images, Error> {
    let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
    let mut wanted: Vec<(ImageName, Platform)> = Vec::new();
    for source in steps.flat_map(Step::sources) {
        if let Source::Image(image, platform) = source {
            wanted.push((image.clone(), platform.clone()));
        }
    }
    wanted.sort();
    wanted.dedup();
    let found = library.images(&wanted).map_err(|error| {
        let image = error.image();
        let mut steps = plan.stages.iter().flat_map(|stage| {
            let steps = stage.steps.iter();
            steps.map(move |step| (stage, step))
        });
        let reads_it = |(_, step): &(_, &Step)| {
            step.sources().into_iter().any(|source| match source {
                Source::Image(name, _) => Some(name.to_string()) == image,
                _ => false,
            })
        };
        match steps.find(reads_it) {
            Some((stage, step)) => Error::at(stage, step, error),
            None => error,
        }
    })?;
    let diff_ids = found
        .iter()
        .map(|found| found.config.rootfs.diff_ids.clone());
    Ok(wanted.into_iter().zip(diff_ids).collect())
}

/// Computes the keys of a plan; with `single`, of one layer a stage, at its last step.
///
/// # Errors
/// That a source of a COPY or ADD is not there, at its instruction.
pub fn keys(
    plan: &Plan,
    contexts: &Contexts<'_>,
    bases: &Bases,
    images: &Images,
    pins: &Pins,
    writing: &Writing,
    single: bool,
) -> Result<(Keys, States), Error> {
    let mut states = States::new();
    let mut reader = Reader {
        contexts,
        images,
        hashes: Hashes::default(),
        ends: Vec::new(),
        states: Vec::new(),
    };
    let mut keys = Keys::new();
    for (position, stage) in plan.stages.iter().enumerate() {
        let mut state = match &stage.base {
            Base::Scratch => Some(key::scratch(&stage.config.platform)),
            Base::Image(image, platform) => {
                let base = &bases[&(image.clone(), platform.clone())];
                Some(key::image(&base.config.rootfs.diff_ids, platform))
            }
            Base::Stage(base) => reader.ends[*base],
        };
        let start = state;
        let mut of_stage = Vec::new();
        for (index, step) in stage.steps.iter().enumerate() {
            let pins = pins.get(&(position, index)).map_or(&[][..], Vec::as_slice);
            let key = match (&step.action, &state) {
                (Action::Config, _) => {
                    of_stage.push(None);
                    continue;
                }
                (_, None) => None,
                (Action::Workdir(workdir), Some(before)) => {
                    Some(key::workdir(before, workdir, writing))
                }
                (Action::Run(run), Some(before)) => reader
                    .mounts(run)
                    .map(|inputs| key::run(before, run, &inputs, writing)),
                (Action::Copy(copy), Some(before)) => reader
                    .copied(copy, pins)
                    .map_err(|error| Error::at(stage, step, error.into()))?
                    .map(|input| key::copy(before, copy, &input, writing)),
            };
            let read = std::mem::take(&mut reader.states);
            if !read.is_empty() {
                states.insert((position, index), read);
            }
            match &key {
                Some(Keyed { key, .. }) => {
                    debug!(stage = stage.index, "key {key} of {}", step.text);
                }
                None => debug!(
                    stage = stage.index,
                    "no key for {}: what it depends on is not known beforehand", step.text
                ),
            }
            state = state
                .zip(key.as_ref())
                .map(|(before, keyed)| key::after(&before, &keyed.key));
            of_stage.push(key);
        }
        if single {
            let last = stage.steps.iter().rposition(Step::has_layer);
            let parts = of_stage.drain(..).flatten().map(|keyed| keyed.parts);
            let parts = parts.collect();
            let whole = start.zip(state);
            let whole = whole.map(|(start, end)| key::single(&start, &end, parts));
            of_stage = vec![None; stage.steps.len()];
            if let Some(last) = last {
                of_stage[last] = whole;
            }
        }
        reader.ends.push(state);
        keys.push(of_stage);
    }
    Ok((keys, states))
}

/// Returns the state in which the files are now that a step reads from contexts; nothing if one of them is not there any more.
pub fn states(step: &Step, contexts: &Contexts<'_>) -> Option<Vec<State>> {
    let mut states = Vec::new();
    match &step.action {
        Action::Config | Action::Workdir(_) => {}
        Action::Copy(copy) => {
            if let Some(tree) = contexts.tree(&copy.from) {
                states.push(execute::state_of_copy(copy, &tree).ok()?);
            }
        }
        Action::Run(run) => {
            for mount in &run.mounts {
                if let (RunMount::Bind { source, .. }, Some(from)) = (mount, mount.source())
                    && let Some(tree) = contexts.tree(from)
                {
                    states.push(execute::state_of_mount(source, &tree).ok()?);
                }
            }
        }
    }
    Some(states)
}

/// Finds out what steps read.
struct Reader<'b> {
    contexts: &'b Contexts<'b>,
    images: &'b Images,
    hashes: Hashes,
    /// What the stages so far end with.
    ends: Vec<Option<Key>>,
    /// Of what the current step reads.
    states: Vec<State>,
}

impl Reader<'_> {
    fn copied(
        &mut self,
        step: &CopyStep,
        pins: &[Option<Pinned>],
    ) -> Result<Option<Input>, execute::Error> {
        let Some(tree) = self.contexts.tree(&step.from) else {
            return Ok(self.elsewhere(&step.from));
        };
        let found = execute::files_of_copy(step, &tree, &mut self.hashes)?;
        self.states.push(found.state);
        let files = found.files;
        for file in &files {
            trace!(path = %file.path, "read by COPY: {:?}", file.content);
        }
        let fetched: Vec<String> = pins.iter().flatten().map(Pinned::identity).collect();
        Ok(Some(match fetched.is_empty() {
            true => Input::Files(files),
            false => Input::Fetched(fetched, files),
        }))
    }

    /// Returns what each mount of a RUN reads; nothing if one of them cannot be told.
    fn mounts(&mut self, step: &RunStep) -> Option<Vec<Input>> {
        let inputs = step
            .mounts
            .iter()
            .map(|mount| match (mount, mount.source()) {
                (_, None) => Some(Input::Nothing),
                (
                    RunMount::Bind { source, .. },
                    Some(from @ (Source::Context | Source::Named(_))),
                ) => {
                    let tree = self.contexts.tree(from)?;
                    let found = execute::files_of_mount(source, &tree, &mut self.hashes);
                    // the RUN itself says what is missing
                    let found = found.ok()?;
                    self.states.push(found.state);
                    Some(Input::Files(found.files))
                }
                // what a cache mount contains is no input (RUN-10)
                (_, Some(Source::Context | Source::Named(_))) => Some(Input::Nothing),
                (_, Some(from)) => self.elsewhere(from),
            });
        inputs.collect()
    }

    fn elsewhere(&self, from: &Source) -> Option<Input> {
        match from {
            Source::Context | Source::Named(_) | Source::Scratch => Some(Input::Nothing),
            Source::Stage(position) => self.ends[*position].map(Input::Stage),
            Source::Image(image, platform) => {
                let diff_ids = self.images.get(&(image.clone(), platform.clone()))?;
                Some(Input::Image(diff_ids.clone()))
            }
        }
    }
}
