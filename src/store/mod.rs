//! Blobs on disk, by digest.
//!
//! A store is a directory with `sha256/<hex>` in it, like `blobs` of an OCI layout. A blob appears there whole or not at all: it
//! is written aside, under a name that starts with `.new-`, and renamed. What a killed process leaves of these is removed
//! when the store is opened next. Several processes may write to one store, and a store may be read-only.
//!
//! Everything goes through a handle of the directory, so a store stays usable while an in-place RUN has other
//! directories at its path.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::image::{self, Descriptor, Digest, Digester};

pub mod aside;

pub mod verify;

pub mod sink;

pub mod shared;

use aside::{Aside, Directory};
pub use shared::SharedStore;
pub use sink::LayerSink;
pub use verify::Verified;

/// Blobs in a directory. Clones share its handle.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// use executor::store::BlobStore;
/// let store = BlobStore::open(directory.path())?;
/// let (digest, size) = store.put(b"{}")?;
/// assert_eq!((store.size(&digest)?, size), (Some(2), 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BlobStore(Arc<Directory>);

/// What kept a blob from being stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("expected the blob {expected}, got {found}")]
    Mismatch { expected: Digest, found: Digest },
    #[error("the blob {digest} has {found} bytes, expected {expected}")]
    Size {
        digest: Digest,
        expected: u64,
        found: u64,
    },
    #[error("cannot compress a layer into the blob store")]
    Compress { source: io::Error },
    #[error(transparent)]
    MediaType(image::Error),
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("`--kaniko-dir` may point to a larger disk".to_owned())
            }
            Self::Mismatch { .. } | Self::Size { .. } => {
                Some("the blob is damaged; remove it to have it fetched again".to_owned())
            }
            _ => None,
        }
    }
}

impl BlobStore {
    /// Opens a store, creates it if it is not there, and removes what killed writers have left.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no directory and none can be made. A directory that cannot be written to is no error.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let directory = Directory::create_all(path)?;
        if directory.create("sha256").is_ok() {
            directory.sweep();
        }
        Ok(Self(Arc::new(directory)))
    }

    /// Opens a store that somebody else has made, and changes nothing in it.
    pub fn open_existing(path: &Path) -> Result<Self, Error> {
        Ok(Self(Arc::new(Directory::open(path)?)))
    }

    /// Returns the path under which the store was opened.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Starts a blob whose digest is not known yet.
    pub fn writer(&self) -> Result<BlobWriter, Error> {
        Ok(BlobWriter {
            file: io::BufWriter::with_capacity(64 * 1024, Aside::create(&self.0)?),
            digester: Digester::new(),
            size: 0,
        })
    }

    /// Stores a blob that is in memory; returns its digest and size.
    pub fn put(&self, bytes: &[u8]) -> Result<(Digest, u64), Error> {
        let mut writer = self.writer()?;
        let written = writer.write_all(bytes);
        written.map_err(|e| self.0.error("write to", "", e))?;
        writer.commit()
    }

    /// Opens a blob without looking whether its content is right; `None` if it is not there.
    pub fn get(&self, digest: &Digest) -> Result<Option<File>, Error> {
        self.0.open_file(&name(digest))
    }

    /// Opens a blob; the reader checks size and digest and fails at the end if they are not those of the descriptor.
    pub fn verified(&self, descriptor: &Descriptor) -> Result<Option<Verified<File>>, Error> {
        let file = self.get(&descriptor.digest)?;
        Ok(file.map(|file| Verified::new(file, descriptor)))
    }

    /// Returns a blob's size in bytes; `None` if it is not there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let Some(file) = self.get(digest)? else {
            return Ok(None);
        };
        let metadata = file.metadata();
        let metadata = metadata.map_err(|e| self.0.error("look at", name(digest), e))?;
        Ok(Some(metadata.len()))
    }
}

fn name(digest: &Digest) -> String {
    format!("sha256/{}", digest.hex())
}

/// A blob in the making, hashed while it is written. Dropped without a commit it leaves nothing.
pub struct BlobWriter {
    file: io::BufWriter<Aside>,
    digester: Digester,
    size: u64,
}

impl BlobWriter {
    /// Puts the blob into the store; returns its digest and size.
    pub fn commit(self) -> Result<(Digest, u64), Error> {
        let (digest, size) = (self.digester.finish(), self.size);
        let aside = self.file.into_inner();
        let aside = aside.map_err(|e| {
            let (source, writer) = e.into_parts();
            let path = writer.get_ref().path();
            Error::Io {
                action: "write to",
                path,
                source,
            }
        })?;
        aside.commit(name(&digest))?;
        Ok((digest, size))
    }

    /// Puts the blob into the store if it is the one described.
    ///
    /// # Errors
    /// [`Error::Size`] and [`Error::Mismatch`]; then nothing is stored.
    pub fn commit_as(self, descriptor: &Descriptor) -> Result<(), Error> {
        let expected = &descriptor.digest;
        if self.size != descriptor.size {
            return Err(Error::Size {
                digest: expected.clone(),
                expected: descriptor.size,
                found: self.size,
            });
        }
        let found = self.digester.clone().finish();
        if found != *expected {
            let expected = expected.clone();
            return Err(Error::Mismatch { expected, found });
        }
        self.commit().map(drop)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads a blob to its end and checks it; for documents, not for layers.
pub fn read_verified(reader: impl Read, descriptor: &Descriptor) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Verified::new(reader, descriptor).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
