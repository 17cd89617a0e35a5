//! Whose private roots exist: those of stages until their last consumer is done, and those of images that are copied from.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::image::Platform;
use crate::layer::{LayerPath, Limits, Reader, Writer};
use crate::plan::{ImageName, Plan, Source};
use crate::rootfs::{IdShift, Rootfs};
use crate::snapshot;

use super::demand::{Demand, Demands};
use super::images::Library;
use super::removal::Removal;
use super::workspace::Workspace;
use super::{Error, unpack};

const BUFFER: usize = 256 << 10;

/// The roots of one build, shared by the stages that are built at the same time.
pub struct Roots<'b> {
    workspace: &'b Workspace,
    library: &'b Library<'b>,
    ids: IdShift,
    demands: Demands,
    stages: Mutex<Stages>,
    images: Mutex<BTreeMap<(ImageName, Platform), Slot>>,
    /// For an empty source (`FROM scratch` as a name).
    empty: Mutex<Option<Arc<Rootfs>>>,
    /// The root of the last stage, on its way out.
    removal: Mutex<Option<Removal>>,
}

/// The root of an image, once somebody has unpacked it; whoever wants the same one meanwhile waits.
type Slot = Arc<Mutex<Option<Arc<Rootfs>>>>;

#[derive(Default)]
struct Stages {
    /// The roots of stages that somebody still wants to read.
    kept: BTreeMap<usize, Arc<Rootfs>>,
    finished: BTreeSet<usize>,
}

impl<'b> Roots<'b> {
    pub fn new(
        workspace: &'b Workspace,
        library: &'b Library<'b>,
        ids: IdShift,
        demands: Demands,
    ) -> Self {
        Self {
            workspace,
            library,
            ids,
            demands,
            stages: Mutex::default(),
            images: Mutex::default(),
            empty: Mutex::default(),
            removal: Mutex::default(),
        }
    }

    /// Makes the empty root of a stage.
    pub fn create(&self, stage: usize) -> Result<Rootfs, Error> {
        Ok(Rootfs::create(self.workspace.stage_root(stage))?.with_id_shift(self.ids))
    }

    /// Returns what is looked at in the root that a stage begins with.
    pub fn demand(&self, stage: usize) -> &Demand {
        self.demands.of_stage(stage)
    }

    /// Keeps the root of a finished stage for its consumers.
    pub fn keep(&self, stage: usize, root: Rootfs) {
        lock(&self.stages).kept.insert(stage, Arc::new(root));
    }

    /// Returns a root that holds what `base` holds: that root itself if `stage` is its only consumer left, else a copy.
    pub fn continue_from(&self, base: usize, stage: usize, plan: &Plan) -> Result<Rootfs, Error> {
        let root = {
            let mut stages = lock(&self.stages);
            let is_last = plan.stages[base]
                .consumers
                .iter()
                .all(|consumer| *consumer == stage || stages.finished.contains(consumer));
            let reads_base = plan.stages[stage]
                .steps
                .iter()
                .any(|step| step.stages_read().contains(&base));
            match is_last && !reads_base {
                true => stages.kept.remove(&base),
                false => None,
            }
        };
        if let Some(root) = root {
            return Ok(Arc::into_inner(root).expect("whoever else read it has finished"));
        }
        let copy = self.create(stage)?;
        copy_tree(&self.stage(base), &copy)?;
        Ok(copy)
    }

    /// Returns the root of a source, which is made if it does not exist yet; none for the build context.
    pub fn get(&self, source: &Source) -> Result<Option<Arc<Rootfs>>, Error> {
        match source {
            Source::Context | Source::Named(_) => Ok(None),
            Source::Stage(position) => Ok(Some(self.stage(*position))),
            Source::Image(image, platform) => self.image(image, platform).map(Some),
            Source::Scratch => self.empty().map(Some),
        }
    }

    /// Returns the root of a finished stage.
    fn stage(&self, stage: usize) -> Arc<Rootfs> {
        let stages = lock(&self.stages);
        let root = stages.kept.get(&stage);
        Arc::clone(root.expect("the root of a stage is kept until its last consumer has finished"))
    }

    /// Unpacks an image that is only copied from, unless it is there.
    fn image(&self, image: &ImageName, platform: &Platform) -> Result<Arc<Rootfs>, Error> {
        let key = (image.clone(), platform.clone());
        let (slot, index) = {
            let mut images = lock(&self.images);
            let index = images.len();
            (Arc::clone(images.entry(key).or_default()), index)
        };
        let mut slot = lock(&slot);
        if let Some(root) = &*slot {
            return Ok(Arc::clone(root));
        }
        let key = (image.clone(), platform.clone());
        let found = self.library.images(std::slice::from_ref(&key))?;
        let root = Rootfs::create(self.workspace.image_root(index))?.with_id_shift(self.ids);
        let demand = self.demands.of_image(&key);
        unpack::unpack(self.library, image, &found[0], demand, &root)?;
        Ok(Arc::clone(slot.insert(Arc::new(root))))
    }

    fn empty(&self) -> Result<Arc<Rootfs>, Error> {
        let mut empty = lock(&self.empty);
        if let Some(root) = &*empty {
            return Ok(Arc::clone(root));
        }
        let dir = self.workspace.dir().join("stages").join("empty");
        Ok(Arc::clone(empty.insert(Arc::new(Rootfs::create(dir)?))))
    }

    /// Deletes the root of a finished stage that nobody reads; that of the last one while the image is pushed.
    pub fn discard(&self, stage: usize, root: Rootfs, plan: &Plan) -> Result<(), Error> {
        if stage + 1 < plan.stages.len() {
            return Ok(root.delete()?);
        }
        *lock(&self.removal) = Some(Removal::start(root));
        Ok(())
    }

    /// Returns what is still being removed.
    pub fn into_removal(self) -> Option<Removal> {
        let removal = self.removal.into_inner();
        removal.unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `stage` has finished, and deletes the roots that only it was still waiting to read.
    pub fn release(&self, stage: usize, plan: &Plan) -> Result<(), Error> {
        let done: Vec<Arc<Rootfs>> = {
            let mut stages = lock(&self.stages);
            stages.finished.insert(stage);
            let Stages { kept, finished } = &mut *stages;
            let is_done = |index: &usize, _: &mut Arc<Rootfs>| {
                let consumers = &plan.stages[*index].consumers;
                consumers.iter().all(|consumer| finished.contains(consumer))
            };
            kept.extract_if(.., is_done).map(|(_, root)| root).collect()
        };
        for root in done {
            let root = Arc::into_inner(root).expect("whoever else read it has finished");
            root.delete()?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies a whole root into an empty one, hard links and all, as a layer that is written and unpacked.
fn copy_tree(from: &Rootfs, to: &Rootfs) -> Result<(), Error> {
    let everything = snapshot::Options {
        ignore: &|_| false,
        full: false,
    };
    let changes = snapshot::changes(&mut snapshot::Tree::default(), from, &everything)?;
    let (reader, writer) = io::pipe().map_err(|source| Error::Pipe { source })?;
    std::thread::scope(|scope| {
        let written = scope.spawn(move || -> Result<(), Error> {
            let mut writer = Writer::new(BufWriter::with_capacity(BUFFER, writer));
            snapshot::write(&changes, from, &mut writer, None)?;
            let mut rest = writer.finish().map_err(snapshot::Error::from)?;
            rest.flush().map_err(|source| Error::Pipe { source })
        });
        let unpacked = to.apply(&mut Reader::new(
            BufReader::with_capacity(BUFFER, reader),
            Limits::default(),
        ));
        // a writer that failed ends the stream early, which the reader notices: its error comes first
        written
            .join()
            .expect("writing a layer does not panic")
            .and(unpacked.map(drop).map_err(Error::from))
    })?;
    // of which a layer says nothing
    if let Some(top) = from.entry(&LayerPath::root())? {
        to.put(&top, &mut io::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::{Scratch, dir, listing};

    #[test]
    fn a_copy_is_like_the_original_from_the_top_on() {
        let (from, to) = (Scratch::new(), Scratch::new());
        from.apply("d d\nf d/f text\nh d/g d/f\nl l d").unwrap();
        from.put(&dir("", 0o511), "");
        copy_tree(&from.root, &to.root).unwrap();
        assert_eq!(listing(&to.root), listing(&from.root));
        let top = |root: &Rootfs| root.entry(&LayerPath::root()).unwrap();
        assert_eq!(top(&to.root), top(&from.root));
    }
}
