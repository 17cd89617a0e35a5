//! Copying what was found, one source after the other.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;

use super::super::remote::RemoteFile;
use super::super::selection::{self, Role, Selection};
use super::super::target::Target;
use super::super::tree::{Candidate, Owners, Tree};
use super::super::{Error, add};
use super::Destination;
use crate::context::dockerignore::Matcher;
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};
use crate::plan::Unpack;
use crate::rootfs::{FileType, Nearby, Stat};

/// Writes into a stage's root what one instruction takes from a tree.
pub(super) struct Copier<'a> {
    pub(super) tree: &'a Tree<'a>,
    pub(super) files: Nearby<'a>,
    pub(super) target: Target<'a>,
    pub(super) exclude: &'a Matcher,
    pub(super) destination: Destination,
    /// First copy of each file of the current source that has several names.
    pub(super) links: HashMap<(u64, u64), LayerPath>,
    /// The current source is a commit, whose files are of this time.
    pub(super) checked_out: Option<Time>,
    pub(super) now: Time,
}

impl<'a> Copier<'a> {
    /// Copies what a repository contains, in place of the files of the tree (GIT-3).
    pub(super) fn copy_repository(&mut self, tree: &'a Tree<'a>, time: Time) -> Result<(), Error> {
        let files = std::mem::replace(&mut self.files, tree.root.nearby());
        let own = std::mem::replace(&mut self.tree, tree);
        self.checked_out = Some(time);
        let top = LayerPath::root();
        let to = self.target.resolve(&self.destination.path)?;
        let stat = tree.root.stat(&top)?;
        if let Some(stat) = stat {
            self.copy_directory(&top, &stat, &to)?;
        }
        self.checked_out = None;
        (self.tree, self.files) = (own, files);
        Ok(())
    }
}

impl Copier<'_> {
    pub(super) fn copy_candidate(
        &mut self,
        candidate: &Candidate,
        unpack: Unpack,
    ) -> Result<(), Error> {
        let to = self.target.resolve(&self.destination.path)?;
        if candidate.stat.is_dir() {
            return self.copy_directory(&candidate.path, &candidate.stat, &to);
        }
        if unpack != Unpack::Never && candidate.stat.is_file() {
            let file = self.tree.root.open_file(&candidate.path)?;
            if add::unpack(file, &candidate.path, &to, &mut self.target)? {
                tracing::info!("Unpacking local tar archive {} to {to}", candidate.path);
                return Ok(());
            }
        }
        let path = self.place(&to, &candidate.name)?;
        self.copy_file(&candidate.path, &candidate.stat, path)
    }

    /// Returns where a file of this name goes, and makes the directories above.
    fn place(&mut self, to: &LayerPath, name: &[u8]) -> Result<LayerPath, Error> {
        if self.destination.is_directory {
            self.target.make_directory(to)?;
            return Ok(to.join(name));
        }
        if self.target.kind(to)? == Some(FileType::Directory) {
            return Ok(to.join(name));
        }
        self.target.make_parents(to)?;
        Ok(to.clone())
    }

    pub(super) fn write_inline(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        let to = self.target.resolve(&self.destination.path)?;
        let path = self.place(&to, name.as_bytes())?;
        let entry = new_file(path, content.len() as u64, 0o644, self.now);
        self.target.put(entry, &mut &*content)
    }

    pub(super) fn write_remote(
        &mut self,
        remote: &RemoteFile,
        unpack: Unpack,
    ) -> Result<(), Error> {
        let to = self.target.resolve(&self.destination.path)?;
        let open = || {
            remote.content().map_err(|source| Error::Fetch {
                url: remote.name.clone(),
                source,
            })
        };
        if unpack == Unpack::Always {
            let name = LayerPath::clean(&remote.name);
            if add::unpack(open()?, &name, &to, &mut self.target)? {
                return Ok(());
            }
        }
        let path = self.place(&to, remote.name.as_bytes())?;
        let entry = new_file(path, remote.size, 0o600, remote.mtime);
        self.target.put(entry, &mut open()?)
    }

    /// Copies what a directory contains (SRC-7); the target directory takes over its time only (META-3).
    fn copy_directory(
        &mut self,
        from: &LayerPath,
        stat: &Stat,
        to: &LayerPath,
    ) -> Result<(), Error> {
        match self.target.kind(to)? {
            None | Some(FileType::Directory) => {}
            Some(_) => return Err(Error::NonDirectory(to.clone())),
        }
        self.target.make_directory(to)?;
        self.copy_tree(from, to, None)?;
        self.target
            .set_time(to, self.checked_out.unwrap_or(stat.mtime));
        Ok(())
    }

    pub(super) fn copy_selection(&mut self, selection: &Selection) -> Result<(), Error> {
        let to = self.target.resolve(&self.destination.path)?;
        self.target.make_directory(&to)?;
        self.copy_tree(&selection.base, &to, Some(&selection.matcher))
    }

    /// Copies what is below `from` and neither ignored nor excluded, and selected if there is a selection.
    pub(super) fn copy_tree(
        &mut self,
        from: &LayerPath,
        to: &LayerPath,
        select: Option<&Matcher>,
    ) -> Result<(), Error> {
        let (tree, exclude) = (self.tree, self.exclude);
        let mut copy = |path: &LayerPath, stat: &Stat, role: Role| {
            let below = path.strip_prefix(from).unwrap_or_default();
            let to = to.join(below.as_bytes());
            match role {
                Role::Entry => self.copy_entry(path, stat, to),
                Role::Intermediate => self.copy_intermediate(path, *stat, to),
            }
        };
        selection::visit(tree, from, exclude, select, &mut copy)
    }

    /// Makes a directory on the way to what `--parents` selects: its own time, and an existing one gets the mode only (PAR-4).
    fn copy_intermediate(
        &mut self,
        from: &LayerPath,
        mut stat: Stat,
        to: LayerPath,
    ) -> Result<(), Error> {
        stat.mtime = self.now;
        match self.target.kind(&to)? == Some(FileType::Directory) {
            true => self.target.adopt_mode(&to, stat.mode),
            false => self.copy_entry(from, &stat, to),
        }
    }

    fn copy_entry(&mut self, from: &LayerPath, stat: &Stat, to: LayerPath) -> Result<(), Error> {
        match stat.is_dir() {
            true => {
                let (entry, _) = self.open(from, stat, to)?;
                self.target.put(entry, &mut io::empty())
            }
            false => self.copy_file(from, stat, to),
        }
    }

    /// Copies anything but a directory; further names of a file stay hard links to the first (SRC-9).
    pub(super) fn copy_file(
        &mut self,
        from: &LayerPath,
        stat: &Stat,
        to: LayerPath,
    ) -> Result<(), Error> {
        let (mut entry, file) = self.open(from, stat, to)?;
        let inode = (stat.device, stat.inode);
        if stat.links > 1 {
            if let Some(target) = self.links.get(&inode).filter(|first| **first != entry.path) {
                entry.kind = Kind::HardLink {
                    target: target.clone(),
                };
                return self.target.put_link(entry);
            }
            self.links.insert(inode, entry.path.clone());
        }
        match file {
            Some(mut file) => self.target.put(entry, &mut file),
            None => self.target.put(entry, &mut io::empty()),
        }
    }

    /// Returns the entry that copies `from` to `to`, and a file's content; a socket becomes an empty file.
    pub(super) fn open(
        &mut self,
        from: &LayerPath,
        stat: &Stat,
        to: LayerPath,
    ) -> Result<(Entry, Option<File>), Error> {
        let found = self.files.open(from)?;
        let found = found.map(|found| (found.entry, found.file));
        let (mut entry, file) = found.unwrap_or_else(|| {
            let entry = Entry {
                path: LayerPath::root(),
                kind: Kind::File { size: 0 },
                mode: stat.mode,
                uid: stat.uid,
                gid: stat.gid,
                mtime: stat.mtime,
                xattrs: BTreeMap::new(),
            };
            (entry, None)
        });
        entry.path = to;
        entry.mtime = stat.mtime;
        if self.tree.owners == Owners::Root {
            (entry.uid, entry.gid) = (0, 0);
        }
        if let Some(time) = self.checked_out {
            entry.mtime = time;
            // what the umask made of them does not count (GIT-5)
            entry.mode = match &entry.kind {
                Kind::File { .. } if entry.mode & 0o100 == 0 => 0o644,
                Kind::File { .. } | Kind::Directory => 0o755,
                _ => entry.mode,
            };
        }
        Ok((entry, file))
    }
}

/// Returns the entry of a file that comes from no tree.
fn new_file(path: LayerPath, size: u64, mode: u32, mtime: Time) -> Entry {
    Entry {
        path,
        kind: Kind::File { size },
        mode,
        uid: 0,
        gid: 0,
        mtime,
        xattrs: BTreeMap::new(),
    }
}
