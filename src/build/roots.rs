//! Whose private roots exist: those of stages until their last consumer is done, and those of images that are copied from.

use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Write};

use crate::image::{ImageRef, Platform};
use crate::layer::{Limits, Reader, Writer};
use crate::plan::{Plan, Source};
use crate::rootfs::{IdShift, Rootfs};
use crate::{registry, snapshot};

use super::workspace::Workspace;
use super::{Error, unpack};

const BUFFER: usize = 256 << 10;

/// The roots of one build.
pub struct Roots<'b> {
    workspace: &'b Workspace,
    client: &'b registry::Client,
    ids: IdShift,
    stages: BTreeMap<usize, Rootfs>,
    images: BTreeMap<(ImageRef, Platform), Rootfs>,
    /// For an empty source (`FROM scratch` as a name).
    empty: Option<Rootfs>,
}

impl<'b> Roots<'b> {
    pub fn new(workspace: &'b Workspace, client: &'b registry::Client, ids: IdShift) -> Self {
        Self {
            workspace,
            client,
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
            Source::Context | Source::Stage(_) => Ok(()),
        }
    }

    /// Returns the root of a source that was made ready and is not the context.
    pub fn ready(&self, source: &Source) -> &Rootfs {
        match source {
            Source::Stage(position) => self.stage(*position),
            Source::Image(image, platform) => &self.images[&(image.clone(), platform.clone())],
            Source::Scratch | Source::Context => self.empty.as_ref().expect("it was made ready"),
        }
    }

    /// Unpacks an image that is only copied from, unless it is there.
    fn unpack(&mut self, image: &ImageRef, platform: &Platform) -> Result<(), Error> {
        let key = (image.clone(), platform.clone());
        if !self.images.contains_key(&key) {
            let found = self
                .client
                .net()
                .block_on(self.client.image(image, platform));
            let found = found.map_err(|source| Error::Image {
                image: image.clone(),
                source: Box::new(source),
            })?;
            let root = Rootfs::create(self.workspace.image_root(self.images.len()))?
                .with_id_shift(self.ids);
            unpack::unpack(self.client, &found, &root)?;
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
