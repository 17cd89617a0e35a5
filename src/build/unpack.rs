//! Layers into private roots.

use std::io::{self, BufReader, Read};

use tracing::debug;

use super::Error;
use super::demand::Demand;
use super::images::{Image, Library};
use super::pipe::{self, ReadAhead};
use crate::image::{DiffId, Digester, Layer};
use crate::layer::{LayerPath, Limits, Reader, decompress};
use crate::plan::ImageName;
use crate::rootfs::{Excerpt, Rootfs};

/// Bytes that a root leaves free on its disk.
const RESERVE: u64 = 1 << 20;

const BUFFER: usize = 64 << 10;

/// Unpacks what is demanded of an image's layers into an empty root while they arrive.
///
/// Size and digest of each blob and the hash of its tar are checked at its end, before the next layer; after an error the
/// root must not be used.
///
/// # Errors
/// [`Error::NoRoom`], before anything is fetched, if the disk cannot hold even what is compressed.
pub fn unpack(
    library: &Library<'_>,
    name: &ImageName,
    image: &Image,
    demand: &Demand,
    root: &Rootfs,
) -> Result<(), Error> {
    let layers = image.layers();
    if let Demand::Paths(paths) = demand {
        let mut excerpt = Excerpt::new(paths.iter().cloned());
        unpack_layers(library, name, image, &layers, root, Some(&mut excerpt))?;
        if excerpt.is_complete_in(root)? {
            return Ok(());
        }
        debug!("unpacking all of {name}: links lead to what was left out");
        root.remove(&LayerPath::root())?;
    }
    check_room(name, &layers, root)?;
    unpack_layers(library, name, image, &layers, root, None)
}

fn unpack_layers(
    library: &Library<'_>,
    name: &ImageName,
    image: &Image,
    layers: &[Layer],
    root: &Rootfs,
    mut excerpt: Option<&mut Excerpt>,
) -> Result<(), Error> {
    let fetch = |layer: &Layer| fetch(library.blob(image, &layer.descriptor)?, layer);
    let mut next = None;
    for (index, layer) in layers.iter().enumerate() {
        let current = next.take().unwrap_or_else(|| fetch(layer));
        // The one behind is on its way, as far as the buffers reach, while this one is unpacked.
        next = layers
            .get(index + 1)
            .filter(|_| library.shortcuts)
            .map(fetch);
        let unpacked = current
            .map_err(Into::into)
            .and_then(|tar| unpack_fetched(tar, root, excerpt.as_deref_mut()));
        unpacked.map_err(|source| Error::Unpack {
            layer: layer.descriptor.digest.clone(),
            image: name.to_string(),
            dir: root.path().to_owned(),
            source,
        })?;
    }
    Ok(())
}

fn check_room(name: &ImageName, layers: &[Layer], root: &Rootfs) -> Result<(), Error> {
    let sizes = layers.iter().map(|layer| layer.descriptor.size);
    let needed = sizes.fold(0, u64::saturating_add);
    // a disk that does not tell is found full when it is
    match root.free_space() {
        Ok(free) if free < needed => Err(Error::NoRoom {
            image: name.to_string(),
            needed,
            dir: root.path().to_owned(),
            free,
        }),
        _ => Ok(()),
    }
}

/// Unpacks one layer on top of what is there.
pub fn unpack_layer(
    blob: impl Read + Send + 'static,
    layer: &Layer,
    root: &Rootfs,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    unpack_fetched(fetch(blob, layer)?, root, None)
}

/// Starts to decompress and check a layer's blob, ahead of whoever unpacks it.
fn fetch(blob: impl Read + Send + 'static, layer: &Layer) -> io::Result<ReadAhead> {
    let diff_id = layer.diff_id.clone();
    // The first bytes, which tell the compression, are waited for over there.
    pipe::read_ahead(move || {
        let tar = decompress(BufReader::with_capacity(BUFFER, blob))?;
        Ok(Verified::new(tar, diff_id))
    })
}

fn unpack_fetched(
    tar: ReadAhead,
    root: &Rootfs,
    excerpt: Option<&mut Excerpt>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let limits = Limits {
        // one that would fill the disk is refused and not felt
        unpacked: match excerpt {
            None => Some(root.free_space()?.saturating_sub(RESERVE)),
            Some(_) => None,
        },
        ..Limits::default()
    };
    let mut layer = Reader::new(tar, limits);
    match excerpt {
        None => root.apply(&mut layer)?,
        Some(excerpt) => root.apply_excerpt(&mut layer, excerpt)?,
    };
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
