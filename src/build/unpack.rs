//! Layers into private roots.

use std::io::{self, BufReader, Read};

use super::{Error, pipe};
use crate::image::{DiffId, Digester, Layer};
use crate::layer::{Limits, Reader, decompress};
use crate::registry::{self, RemoteImage};
use crate::rootfs::Rootfs;

/// Bytes that a root leaves free on its disk.
const RESERVE: u64 = 1 << 20;

/// Unpacks an image's layers into an empty root while they arrive.
///
/// Size and digest of each blob and the hash of its tar are checked at its end, before the next layer; after an error the
/// root must not be used.
pub fn unpack(client: &registry::Client, image: &RemoteImage, root: &Rootfs) -> Result<(), Error> {
    for layer in image.layers() {
        let blob = client.blob(&image.source, &layer.descriptor);
        unpack_layer(blob, &layer, root).map_err(|source| Error::Unpack {
            layer: layer.descriptor.digest.clone(),
            image: Box::new(image.reference.clone()),
            dir: root.path().to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// Unpacks one layer on top of what is there.
pub fn unpack_layer(
    blob: impl Read + Send + 'static,
    layer: &Layer,
    root: &Rootfs,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let tar = Verified::new(decompress(BufReader::new(blob))?, layer.diff_id.clone());
    let limits = Limits {
        // one that would fill the disk is refused and not felt
        unpacked: Some(root.free_space()?.saturating_sub(RESERVE)),
        ..Limits::default()
    };
    let mut reader = Reader::new(pipe::read_ahead(tar)?, limits);
    root.apply(&mut reader)?;
    Ok(())
}

/// A layer's tar that fails at its end if it is not the one the config lists.
struct Verified<R> {
    tar: R,
    digester: Option<Digester>,
    wanted: DiffId,
}

impl<R> Verified<R> {
    fn new(tar: R, wanted: DiffId) -> Self {
        Self {
            tar,
            digester: Some(Digester::new()),
            wanted,
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.tar.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            if let Some(digester) = &mut self.digester {
                digester.update(&buffer[..read]);
            }
            return Ok(read);
        }
        let Some(digester) = self.digester.take() else {
            return Ok(0);
        };
        let found = digester.finish();
        if found == *self.wanted.digest() {
            return Ok(0);
        }
        let wanted = &self.wanted;
        Err(io::Error::other(format!(
            "the layer's tar has the digest {found}, but its diff_id is {wanted}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn another_tar_fails_at_its_end() {
        let read = |wanted: &[u8]| {
            let mut verified = Verified::new(&b"tar"[..], DiffId::new(Digest::of(wanted)));
            verified
                .read_to_end(&mut Vec::new())
                .map_err(|e| e.to_string())
        };
        assert_eq!(read(b"tar"), Ok(3));
        assert!(read(b"other").unwrap_err().contains("diff_id"));
    }
}
