//! A store that outlives builds and is shared by them (`--cache-dir`): base images and cached layers, by digest.
//!
//! Documents and blobs lie side by side in `blobs/`, each under the digest of its bytes, and nothing is believed: what is read is hashed
//! first, and what is not right is reported once, removed and fetched anew. Several processes may read and write at the same time, since a blob
//! appears whole or not at all and an open one stays readable when it is removed. A store that cannot be written to is read.
//!
//! The time of a blob's last use is its mtime; where there is a limit, what was not used for longest goes first.
//!
//! What kaniko's warmer has left in the same directory is read too ([`warmed`]).

pub mod evict;
pub mod warmed;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::aside::{Aside, Directory};
use super::{BlobStore, Error, name};
use crate::causes;
use crate::image::{Descriptor, Digest, Digester};
use warmed::Warmed;

/// Where the store is, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub dir: PathBuf,
    /// The directory is made if it is not there.
    pub create: bool,
    /// Bytes that all blobs together may have; absent for no limit.
    pub max_size: Option<u64>,
    /// How old an entry of kaniko's warmer may be.
    pub ttl: Duration,
    /// Nothing is taken from the store, and what is fetched replaces what is there.
    pub refresh: bool,
}

/// Blobs that builds share. Clones are the same store.
#[derive(Debug, Clone)]
pub struct SharedStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    blobs: Option<BlobStore>,
    warmed: Warmed,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was said to be damaged.
    reported: BTreeSet<Digest>,
    /// It was found that nothing can be written.
    is_read_only: bool,
}

/// What a document may have at most.
const DOCUMENT_SIZE: u64 = 32 << 20;

impl SharedStore {
    /// Opens the store; `None` if there is no such directory and none is to be made.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory can be neither opened nor made.
    pub fn open(options: Options) -> Result<Option<Self>, Error> {
        if !options.create && !options.dir.is_dir() {
            return Ok(None);
        }
        let directory = Arc::new(Directory::create_all(&options.dir)?);
        let blobs = match BlobStore::open(&options.dir.join("blobs")) {
            Ok(blobs) => Some(blobs),
            Err(error) => {
                let error = causes::in_one_line(&error);
                tracing::debug!("nothing is kept in the cache directory: {error}");
                None
            }
        };
        Ok(Some(Self(Arc::new(Inner {
            warmed: Warmed::new(directory, options.ttl),
            options,
            blobs,
            state: Mutex::default(),
        }))))
    }

    /// Returns the path under which the store was opened.
    pub fn path(&self) -> &Path {
        &self.0.options.dir
    }

    /// Returns a manifest, index or config.
    pub fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        if self.0.options.refresh {
            return None;
        }
        let bytes = self.own_document(digest);
        bytes.or_else(|| self.0.warmed.document(digest))
    }

    fn own_document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let file = self.0.blobs.as_ref()?.get(digest).ok()??;
        let mut bytes = Vec::new();
        let read = (&file).take(DOCUMENT_SIZE + 1).read_to_end(&mut bytes);
        if read.is_ok() && Digest::of(&bytes) == *digest {
            touch(&file);
            return Some(bytes);
        }
        self.discard(digest);
        None
    }

    /// Keeps a document whose digest is right.
    pub fn keep_document(&self, bytes: &[u8]) {
        let put = |blobs: &BlobStore| {
            if !self.0.options.refresh && blobs.size(&Digest::of(bytes))?.is_some() {
                return Ok(());
            }
            blobs.put(bytes).map(drop)
        };
        if let Some(blobs) = self.writable()
            && let Err(error) = put(&blobs)
        {
            self.stop_writing(&error);
        }
    }

    /// Tells whether a blob is there in full length.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        let size = |blobs: &BlobStore| blobs.size(&descriptor.digest).ok().flatten();
        let own = self.0.blobs.as_ref().and_then(size);
        own == Some(descriptor.size) || self.0.warmed.open(descriptor).is_some()
    }

    /// Opens a blob whose every byte was found right.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Option<Box<dyn Read + Send>> {
        if self.0.options.refresh {
            return None;
        }
        if let Some(file) = self.own_blob(descriptor) {
            return Some(Box::new(file));
        }
        let found = self.0.warmed.open(descriptor)?;
        if !is_right(found, descriptor).unwrap_or(false) {
            self.report(&descriptor.digest);
            return None;
        }
        self.0.warmed.open(descriptor)
    }

    fn own_blob(&self, descriptor: &Descriptor) -> Option<File> {
        let mut file = self.0.blobs.as_ref()?.get(&descriptor.digest).ok()??;
        let is_right = is_right(&file, descriptor).unwrap_or(false);
        if is_right && file.rewind().is_ok() {
            touch(&file);
            return Some(file);
        }
        self.discard(&descriptor.digest);
        None
    }

    /// Starts to keep a blob that is about to be read from elsewhere; `None` if it cannot or should not be kept.
    pub fn keep(&self, descriptor: &Descriptor) -> Option<Keeping> {
        let max_size = self.0.options.max_size;
        if max_size.is_some_and(|max_size| descriptor.size > max_size) {
            return None;
        }
        match Aside::create(&self.writable()?.0) {
            Ok(aside) => Some(Keeping {
                store: self.clone(),
                aside,
                name: name(&descriptor.digest),
            }),
            Err(error) => {
                self.stop_writing(&error);
                None
            }
        }
    }

    /// Returns what was noted under a name. Notes explain; nothing depends on them.
    pub fn note(&self, name: &str) -> Option<Vec<u8>> {
        let file = self
            .0
            .blobs
            .as_ref()?
            .0
            .open_file(&note_path(name))
            .ok()??;
        let mut bytes = Vec::new();
        file.take(DOCUMENT_SIZE).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Notes something under a name, in place of what was noted before.
    pub fn set_note(&self, name: &str, bytes: &[u8]) {
        let Some(blobs) = self
            .writable()
            .filter(|_| self.note(name).as_deref() != Some(bytes))
        else {
            return;
        };
        let written = blobs.0.create("notes");
        if let Err(error) = written.and_then(|()| blobs.0.write(&note_path(name), bytes)) {
            self.stop_writing(&error);
        }
    }

    /// Removes what was not used for longest until the limit is kept.
    pub fn keep_limit(&self) {
        if let (Some(max_size), Some(blobs)) = (self.0.options.max_size, self.writable())
            && let Err(error) = evict::to_size(&blobs, max_size)
        {
            let error = causes::in_one_line(&error);
            tracing::warn!("cannot keep --cache-dir-max-size: {error}");
        }
    }

    fn writable(&self) -> Option<BlobStore> {
        let is_read_only = self.state().is_read_only;
        self.0.blobs.clone().filter(|_| !is_read_only)
    }

    fn stop_writing(&self, error: &Error) {
        if std::mem::replace(&mut self.state().is_read_only, true) {
            return;
        }
        let told = causes::in_one_line(error);
        match error {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!("nothing more is kept in the cache directory: {told}");
            }
            _ => tracing::debug!("nothing is kept in the cache directory: {told}"),
        }
    }

    /// Forgets a blob that is not what its name says.
    fn discard(&self, digest: &Digest) {
        self.report(digest);
        if let Some(blobs) = self.writable()
            && let Err(error) = blobs.0.remove(&name(digest))
        {
            let error = causes::in_one_line(&error);
            tracing::debug!("cannot remove a damaged blob: {error}");
        }
    }

    fn report(&self, digest: &Digest) {
        if self.state().reported.insert(digest.clone()) {
            tracing::warn!(
                "the copy of {digest} in {} is damaged and not used",
                self.path().display()
            );
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("nothing panics while it is held")
    }
}

/// A blob on its way into the store. Dropped without a commit it leaves nothing.
pub struct Keeping {
    store: SharedStore,
    aside: Aside,
    name: String,
}

impl Keeping {
    /// Takes a piece of the blob; false if it cannot be kept.
    #[must_use]
    pub fn write(&mut self, piece: &[u8]) -> bool {
        let Err(source) = self.aside.write_all(piece) else {
            return true;
        };
        self.store.stop_writing(&Error::Io {
            action: "write to",
            path: self.aside.path(),
            source,
        });
        false
    }

    /// Puts the blob into the store. Its size and digest have been found right.
    pub fn commit(self) {
        match self.aside.commit(&self.name) {
            Ok(()) => self.store.keep_limit(),
            Err(error) => self.store.stop_writing(&error),
        }
    }
}

fn note_path(name: &str) -> String {
    format!("notes/{}", Digest::of(name.as_bytes()).hex())
}

/// Notes that a blob was used. Who may not do that has no say in what goes first.
fn touch(file: &File) {
    let now = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
    };
    let _ = rustix::fs::futimens(file, &now);
}

/// Reads a blob to its end.
fn is_right(blob: impl Read, descriptor: &Descriptor) -> io::Result<bool> {
    let mut digester = Digester::new();
    let size = digester.read(&mut blob.take(descriptor.size.saturating_add(1)))?;
    Ok(size == descriptor.size && digester.finish() == descriptor.digest)
}

#[cfg(test)]
mod tests;
