//! Where COPY, ADD and WORKDIR put files.
//!
//! # Spec
//! Language spec 3.6, META-5, META-6, CHOWN-4, LINK-1.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::Error;
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};
use crate::plan::Chmod;
use crate::rootfs::{Batch, FileType, Rootfs};

/// The stage's root while one instruction writes into it.
pub(super) struct Target<'a> {
    pub root: &'a Rootfs,
    batch: Batch<'a>,
    pub owner: Option<(u32, u32)>,
    pub chmod: Option<&'a Chmod>,
    /// Nothing below counts: what this instruction has not written is not there (LINK-1).
    link: bool,
    now: Time,
    written: BTreeMap<LayerPath, FileType>,
    /// Directories that were there and take over a time, once nothing is written into them any more.
    times: Vec<(LayerPath, Time)>,
}

impl<'a> Target<'a> {
    pub fn new(root: &'a Rootfs, now: Time, link: bool) -> Self {
        Self {
            root,
            batch: root.batch(),
            owner: None,
            chmod: None,
            link,
            now,
            written: BTreeMap::new(),
            times: Vec::new(),
        }
    }

    /// Returns where `path` leads, symlinks followed inside the root unless nothing below counts.
    pub fn resolve(&self, path: &str) -> Result<LayerPath, Error> {
        self.resolve_directory(&LayerPath::clean(path))
    }

    /// Like [`resolve`](Self::resolve), for a path that is clean already.
    pub fn resolve_directory(&self, path: &LayerPath) -> Result<LayerPath, Error> {
        match self.link {
            true => Ok(path.clone()),
            false => Ok(self.root.resolve(path.as_bytes())?),
        }
    }

    /// Returns what is at `path`, itself and not what it links to.
    pub fn kind(&self, path: &LayerPath) -> Result<Option<FileType>, Error> {
        if path.is_root() {
            return Ok(Some(FileType::Directory));
        }
        match self.link {
            true => Ok(self.written.get(path).copied()),
            false => Ok(self.batch.stat(path)?.map(|stat| stat.kind)),
        }
    }

    /// Makes `path` and what is missing above it, unless it is there; tells whether it is new.
    ///
    /// New directories have mode 0755 or that of an octal `--chmod`, the owner of `--chown`, and the time of the build (DST-5).
    pub fn make_directory(&mut self, path: &LayerPath) -> Result<bool, Error> {
        let mut is_new = false;
        for dir in path.ancestors().into_iter().chain([path.clone()]) {
            is_new = match self.kind(&dir)? {
                Some(FileType::Directory) => false,
                Some(_) => return Err(Error::NotADirectory(dir)),
                None => {
                    let entry = self.new_directory(&dir);
                    self.write(&entry, &mut io::empty())?;
                    true
                }
            };
        }
        Ok(is_new)
    }

    /// Makes what is missing above `path`.
    pub fn make_parents(&mut self, path: &LayerPath) -> Result<(), Error> {
        match path.parent() {
            Some(parent) => self.make_directory(&parent).map(drop),
            None => Ok(()),
        }
    }

    fn new_directory(&self, path: &LayerPath) -> Entry {
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        Entry {
            path: path.clone(),
            kind: Kind::Directory,
            mode: match self.chmod {
                Some(Chmod::Octal(mode)) => mode & 0o777,
                _ => 0o755,
            },
            uid,
            gid,
            mtime: self.now,
            xattrs: BTreeMap::new(),
        }
    }

    /// Puts a copied entry with the instruction's owner and mode; its parent must be there.
    pub fn put(&mut self, mut entry: Entry, content: &mut dyn Read) -> Result<(), Error> {
        let is_directory = entry.kind == Kind::Directory;
        match (self.kind(&entry.path)?, is_directory) {
            (Some(FileType::Directory) | None, true) => {}
            (Some(_), true) => return Err(Error::NonDirectory(entry.path)),
            (Some(FileType::Directory), false) => return Err(Error::ReplaceDirectory(entry.path)),
            (_, false) => {}
        }
        if let Some((uid, gid)) = self.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        if let Some(chmod) = self.chmod
            && !matches!(entry.kind, Kind::Symlink { .. })
        {
            entry.mode = chmod.apply(entry.mode, is_directory);
        }
        self.write(&entry, content)
    }

    /// Puts an entry exactly as it is, in place of whatever is there.
    pub fn write(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        self.batch.put(entry, content)?;
        let kind = FileType::of(&entry.kind);
        let before = self.written.insert(entry.path.clone(), kind);
        if before == Some(FileType::Directory) && kind != FileType::Directory {
            let path = &entry.path;
            self.written
                .retain(|written, _| written == path || !written.starts_with(path));
        }
        Ok(())
    }

    /// Makes another name for a file of this instruction, which has owner and mode already.
    pub fn put_link(&mut self, entry: Entry) -> Result<(), Error> {
        if self.kind(&entry.path)? == Some(FileType::Directory) {
            return Err(Error::ReplaceDirectory(entry.path));
        }
        self.write(&entry, &mut io::empty())
    }

    /// Gives an existing directory the mode that a new one would get.
    pub fn adopt_mode(&mut self, path: &LayerPath, mode: u32) -> Result<(), Error> {
        let mode = self.chmod.map_or(mode, |chmod| chmod.apply(mode, true));
        self.root.chmod(path, mode)?;
        self.written.insert(path.clone(), FileType::Directory);
        Ok(())
    }

    /// Gives an existing directory this time at the end.
    pub fn set_time(&mut self, path: &LayerPath, time: Time) {
        if !path.is_root() {
            self.times.push((path.clone(), time));
        }
    }

    /// Completes the instruction; returns every path that was written, in order.
    pub fn finish(self) -> Result<Vec<LayerPath>, Error> {
        self.batch.finish()?;
        let mut written: BTreeSet<LayerPath> = self.written.into_keys().collect();
        for (path, time) in self.times {
            self.root.set_mtime(&path, time)?;
            written.insert(path);
        }
        Ok(written.into_iter().collect())
    }
}
