//! From what a step changed to its layer.

use tracing::{debug, info};

use super::Error;
use super::work::Work;
use crate::image::Layer;
use crate::layer::{LayerPath, Writer};
use crate::snapshot::{self, Change};
use crate::store::LayerSink;

impl Work<'_> {
    /// Looks at the whole root, so that the changes of a RUN can be told.
    pub fn take_baseline(&mut self) -> Result<(), Error> {
        let baseline = match self.baseline.take() {
            Some(baseline) => baseline,
            None => {
                info!("Initializing snapshotter ...");
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
    pub fn layer_of_changes(&mut self, wanted: bool) -> Result<Option<Layer>, Error> {
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
    pub fn layer_of(
        &mut self,
        touched: &[LayerPath],
        wanted: bool,
    ) -> Result<Option<Layer>, Error> {
        let layer = match wanted {
            true => {
                info!("Taking snapshot of files...");
                let mut changes = snapshot::touched(&self.root, touched)?;
                changes.retain(|change| !self.is_ignored(change.path().as_bytes()));
                Some(self.write(&changes)?)
            }
            false => None,
        };
        // last, as it takes over what the root knows of contents, which the layer spares hashing
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
        Ok(layer)
    }

    fn write(&self, changes: &[Change]) -> Result<Layer, Error> {
        let builder = self.builder;
        let sink = LayerSink::new(
            builder.store,
            builder.family,
            builder.compression,
            builder.options.snapshot.level,
            builder.options.snapshot.threads,
        )?;
        let mut writer = Writer::new(sink);
        let written = snapshot::write(changes, &self.root, &mut writer, builder.epoch)?;
        let layer = writer.finish().map_err(snapshot::Error::from)?.finish()?;
        debug!(entries = written.entries, whiteouts = written.whiteouts, size_bytes = written.size, digest = %layer.descriptor.digest, "layer");
        Ok(layer)
    }

    pub fn snapshot_options<'o>(&self, ignore: &'o dyn Fn(&[u8]) -> bool) -> snapshot::Options<'o> {
        snapshot::Options {
            ignore,
            full: self.builder.options.snapshot.read_everything,
        }
    }

    pub fn is_ignored(&self, path: &[u8]) -> bool {
        self.builder.options.snapshot.ignore.cover(path)
    }
}
