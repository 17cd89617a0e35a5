//! From a layer's tar to a blob in the store, in one pass.

use std::io::{self, Write};

use super::{BlobStore, BlobWriter, Error};
use crate::image::{Compression, Descriptor, DiffId, Digester, Family, Layer, MediaType};
use crate::layer::Encoder;

/// Takes a layer's tar, compresses it into a store, and knows both its hashes at the end.
///
/// Memory does not grow with the layer. Dropped without a finish it leaves nothing.
pub struct LayerSink {
    diff_id: Digester,
    encoder: Encoder<BlobWriter>,
    media_type: MediaType,
}

impl LayerSink {
    /// Starts a layer; no `level` means the default of the compression, no `threads` one a processor.
    ///
    /// # Errors
    /// [`Error::MediaType`] if the family has no type for the compression.
    pub fn new(
        store: &BlobStore,
        family: Family,
        compression: Compression,
        level: Option<u32>,
        threads: Option<usize>,
    ) -> Result<Self, Error> {
        let media_type = family.layer(compression).map_err(Error::MediaType)?;
        Ok(Self {
            diff_id: Digester::new(),
            encoder: Encoder::new(store.writer()?, compression, level, threads),
            media_type,
        })
    }

    /// Completes the blob and puts it into the store.
    pub fn finish(self) -> Result<Layer, Error> {
        let blob = self.encoder.finish();
        let blob = blob.map_err(|source| Error::Compress { source })?;
        let (digest, size) = blob.commit()?;
        Ok(Layer {
            descriptor: Descriptor::new(self.media_type, digest, size),
            diff_id: DiffId::new(self.diff_id.finish()),
        })
    }
}

impl Write for LayerSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.encoder.write(bytes)?;
        self.diff_id.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}
