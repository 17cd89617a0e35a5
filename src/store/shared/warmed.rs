//! Entries that kaniko's warmer made: one image each, named by the digest of its manifest.
//!
//! An entry is an OCI layout `sha256:<hex>/`, or a docker-save tarball `sha256:<hex>` with the manifest beside it in `sha256:<hex>.json`.
//! Documents and layers have the names of their digests in both, so an entry is one more place to look for a digest, and who looks checks.
//!
//! # Spec
//! Compat spec 7.6.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::super::BlobStore;
use super::super::aside::Directory;
use super::DOCUMENT_SIZE;
use crate::image::{Descriptor, Digest};

/// The entries of a directory, of which those that were asked for are open.
#[derive(Debug)]
pub struct Warmed {
    directory: Arc<Directory>,
    ttl: Duration,
    open: Mutex<BTreeMap<Digest, Option<Arc<Entry>>>>,
}

#[derive(Debug)]
enum Entry {
    Layout(BlobStore),
    Tarball(Tarball),
}

/// The members of a tarball, where they lie in it.
#[derive(Debug)]
struct Tarball {
    file: File,
    members: BTreeMap<String, (u64, u64)>,
    manifest: Vec<u8>,
}

impl Warmed {
    pub fn new(directory: Arc<Directory>, ttl: Duration) -> Self {
        Self {
            directory,
            ttl,
            open: Mutex::default(),
        }
    }

    /// Returns a manifest for which there is an entry, or a config of an entry that was found by its manifest.
    pub fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let own = self.entry(digest);
        let bytes = own.iter().find_map(|entry| entry.manifest(digest));
        let bytes = bytes.or_else(|| {
            let entries = self.found();
            let mut readers = entries.iter().filter_map(|entry| entry.open(digest));
            readers.find_map(|reader| read(reader).ok())
        });
        bytes.filter(|bytes| Digest::of(bytes) == *digest)
    }

    /// Opens a layer of an entry that was found by its manifest; its content is not checked.
    pub fn open(&self, descriptor: &Descriptor) -> Option<Box<dyn Read + Send>> {
        let entries = self.found();
        entries
            .iter()
            .find_map(|entry| entry.open(&descriptor.digest))
    }

    fn found(&self) -> Vec<Arc<Entry>> {
        let open = self.open.lock().expect("nothing panics while it is held");
        open.values().flatten().cloned().collect()
    }

    /// Returns the entry for a manifest, which stays open from then on.
    fn entry(&self, digest: &Digest) -> Option<Arc<Entry>> {
        let mut open = self.open.lock().expect("nothing panics while it is held");
        let find = || self.find(digest).map(Arc::new);
        open.entry(digest.clone()).or_insert_with(find).clone()
    }

    fn find(&self, digest: &Digest) -> Option<Entry> {
        let name = digest.as_str();
        let file = self.directory.open_file(name).ok()??;
        let metadata = file.metadata().ok()?;
        let age = SystemTime::now().duration_since(metadata.modified().ok()?);
        if age.is_ok_and(|age| age > self.ttl) {
            tracing::debug!("the entry {name} of the cache directory is older than --cache-ttl");
            return None;
        }
        if metadata.is_dir() {
            let blobs = Directory::open_below(&self.directory, &format!("{name}/blobs")).ok()?;
            return Some(Entry::Layout(BlobStore(Arc::new(blobs))));
        }
        let manifest = self.directory.open_file(&format!("{name}.json")).ok()??;
        Some(Entry::Tarball(Tarball {
            members: members(&file).ok()?,
            file,
            manifest: read(manifest).ok()?,
        }))
    }
}

impl Entry {
    fn manifest(&self, digest: &Digest) -> Option<Vec<u8>> {
        match self {
            Self::Layout(_) => read(self.open(digest)?).ok(),
            Self::Tarball(tarball) => Some(tarball.manifest.clone()),
        }
    }

    fn open(&self, digest: &Digest) -> Option<Box<dyn Read + Send>> {
        match self {
            Self::Layout(blobs) => Some(Box::new(blobs.get(digest).ok()??)),
            Self::Tarball(tarball) => {
                let config = tarball.members.get(digest.as_str());
                let layer = || tarball.members.get(&format!("{}.tar.gz", digest.hex()));
                let (offset, size) = config.or_else(layer)?;
                Some(Box::new(Section {
                    file: tarball.file.try_clone().ok()?,
                    at: *offset,
                    end: offset.saturating_add(*size),
                }))
            }
        }
    }
}

fn members(file: &File) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(file);
    let mut members = BTreeMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        members.insert(name, (entry.raw_file_position(), entry.size()));
    }
    Ok(members)
}

/// Reads a document, as long as it may be.
fn read(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(DOCUMENT_SIZE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A part of a file; it does not move the place where others read.
struct Section {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = rustix::io::pread(&self.file, &mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
