//! Whose private roots exist: those of stages until their last consumer is done, and those of images that are copied from.

use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Write};

use crate::image::Platform;
use crate::layer::{Limits, Reader, Writer};
use crate::plan::{ImageName, Plan, Source};
use crate::rootfs::{IdShift, Rootfs};
use crate::snapshot;

use super::images::Library;
use super::workspace::Workspace;
use super::{Error, unpack};

const BUFFER: usize = 256 << 10;

/// The roots of one build.
pub struct Roots<'b> {
    workspace: &'b Workspace,
    library: &'b Library<'b>,
    ids: IdShift,
    stages: BTreeMap<usize, Rootfs>,
    images: BTreeMap<(ImageName, Platform), Rootfs>,
    /// For an empty source (`FROM scratch` as a name).
    empty: Option<Rootfs>,
}

impl<'b> Roots<'b> {
    pub fn new(workspace: &'b Workspace, library: &'b Library<'b>, ids: IdShift) -> Self {
        Self {
            workspace,
            library,
            ids,
            stages: BTreeMap::new(),
            images: BTreeMap::new(),
            empty: None,
        }
    }

    /// Makes the empty root of a stage.
    pub fn create(&self, stage: usize) -> Result<Rootfs, Error> {
        Ok(Rootfs::create(self.workspace.stage_root(stage))?.with_id_shift(self.ids))
    }

    /// Keeps the root of a finished stage for its consumers.
    pub fn keep(&mut self, stage: usize, root: Rootfs) {
        self.stages.insert(stage, root);
    }

    /// Returns the root of a finished stage.
    pub fn stage(&self, stage: usize) -> &Rootfs {
        &self.stages[&stage]
    }

    /// Returns a root that holds what `base` holds: that root itself if `stage` is its only consumer left, else a copy.
    pub fn continue_from(
        &mut self,
        base: usize,
        stage: usize,
        plan: &Plan,
    ) -> Result<Rootfs, Error> {
        if plan.stages[base]
            .consumers
            .iter()
            .all(|consumer| *consumer <= stage)
        {
            let reads_base = plan.stages[stage]
                .steps
                .iter()
                .any(|step| step.stages_read().contains(&base));
            if !reads_base && let Some(root) = self.stages.remove(&base) {
                return Ok(root);
            }
        }
        let copy = self.create(stage)?;
        copy_tree(self.stage(base), &copy)?;
        Ok(copy)
    }

    /// Makes sure that the root of a source exists.
    pub fn get_ready(&mut self, source: &Source) -> Result<(), Error> {
        match source {
            Source::Image(image, platform) => self.unpack(image, platform),
            Source::Scratch => self.make_empty(),
            Source::Context | Source::Named(_) | Source::Stage(_) => Ok(()),
        }
    }

    /// Returns the root of a source that was made ready and is no context.
    pub fn ready(&self, source: &Source) -> &Rootfs {
        match source {
            Source::Stage(position) => self.stage(*position),
            Source::Image(image, platform) => &self.images[&(image.clone(), platform.clone())],
            Source::Scratch | Source::Context | Source::Named(_) => {
                self.empty.as_ref().expect("it was made ready")
            }
        }
    }

    /// Unpacks an image that is only copied from, unless it is there.
    fn unpack(&mut self, image: &ImageName, platform: &Platform) -> Result<(), Error> {
        let key = (image.clone(), platform.clone());
        if !self.images.contains_key(&key) {
            let found = self.library.images(std::slice::from_ref(&key))?;
            let root = Rootfs::create(self.workspace.image_root(self.images.len()))?
                .with_id_shift(self.ids);
            unpack::unpack(self.library, image, &found[0], &root)?;
            self.images.insert(key, root);
        }
        Ok(())
    }

    fn make_empty(&mut self) -> Result<(), Error> {
        if self.empty.is_none() {
            self.empty = Some(Rootfs::create(
                self.workspace.dir().join("stages").join("empty"),
            )?);
        }
        Ok(())
    }

    /// Deletes the roots of stages whose last consumer is `stage`.
    pub fn release(&mut self, stage: usize, plan: &Plan) -> Result<(), Error> {
        let done = |index: &usize| {
            plan.stages[*index]
                .consumers
                .iter()
                .all(|consumer| *consumer <= stage)
        };
        let finished: Vec<usize> = self.stages.keys().copied().filter(done).collect();
        for index in finished {
            if let Some(root) = self.stages.remove(&index) {
                root.delete()?;
            }
        }
        Ok(())
    }
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
    })
}
