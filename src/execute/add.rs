//! ADD of an archive: what it contains goes into the destination.
//!
//! # Spec
//! Language spec 3.9.

use std::fs::File;
use std::io::{self, BufReader, Read};

use super::Error;
use super::target::Target;
use crate::layer::decompress::decompress;
use crate::layer::{Entry, Kind, LayerPath, Limits, Reader};
use crate::rootfs::FileType;

/// Unpacks `file`, called `path`, into the directory `to`; tells whether it was an archive at all.
///
/// Content alone decides: decompressed by its first bytes, it must begin with a tar header. An empty file, an empty tar, and a
/// compressed file without a tar in it are no archives (TAR-2).
pub(super) fn unpack(
    file: File,
    path: &LayerPath,
    to: &LayerPath,
    target: &mut Target<'_>,
) -> Result<bool, Error> {
    let file = BufReader::with_capacity(64 * 1024, file);
    // What is no archive, or a broken one from its first bytes on, is copied instead.
    let Ok(content) = decompress(file) else {
        return Ok(false);
    };
    let mut reader = Reader::clamping(content, Limits::default());
    let Ok(Some(first)) = reader.next() else {
        return Ok(false);
    };
    if !matches!(target.kind(to)?, None | Some(FileType::Directory)) {
        return Err(Error::NotADirectory(to.clone()));
    }
    // `--chmod` is for copies, what is unpacked stands in directories of the usual mode (TAR-4)
    let chmod = target.chmod.take();
    target.make_directory(to)?;
    let mut unpacking = Unpacking {
        to,
        target,
        parent: None,
    };
    let mut next = Some(first);
    while let Some(entry) = next {
        unpacking.write(entry, &mut reader)?;
        next = reader.next().map_err(|source| Error::Archive {
            path: path.clone(),
            source,
        })?;
    }
    target.chmod = chmod;
    Ok(true)
}

struct Unpacking<'t, 'r> {
    to: &'t LayerPath,
    target: &'t mut Target<'r>,
    /// The last entry's directory as named, and where that is.
    parent: Option<(LayerPath, LayerPath)>,
}

impl Unpacking<'_, '_> {
    /// Puts one entry in place of what is there; `--chown` overrides its owner (TAR-4, TAR-5).
    fn write(&mut self, mut entry: Entry, content: &mut dyn Read) -> Result<(), Error> {
        let Some(name) = entry.path.file_name() else {
            // `./`: the destination is there by now
            return Ok(());
        };
        let named = self
            .to
            .join(entry.path.parent().unwrap_or_default().as_bytes());
        let real = match self.parent.take() {
            Some((known, real)) if known == named => real,
            _ => {
                let real = self.target.resolve_directory(&named)?;
                self.target.make_directory(&real)?;
                real
            }
        };
        let path = real.join(name);
        self.parent = Some((named, real));
        if let Kind::HardLink { target } = &mut entry.kind {
            *target = self.to.join(target.as_bytes());
        }
        entry.path = path;
        self.put(entry, content)
    }

    fn put(&mut self, mut entry: Entry, content: &mut dyn Read) -> Result<(), Error> {
        if let Some((uid, gid)) = self.target.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        match entry.kind {
            Kind::File { .. } => self.target.write(&entry, content),
            _ => self.target.write(&entry, &mut io::empty()),
        }
    }
}
