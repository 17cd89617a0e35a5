//! What a COPY or a mount would read from the build context, for the key of its layer.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Error;
use super::selection::{self, Role, select};
use super::tree::{Owners, Tree};
use crate::cache::key::{Content, InputFile};
use crate::context::dockerignore::Matcher;
use crate::image::{Digest, Digester};
use crate::layer::{Kind, LayerPath};
use crate::plan::{CopySource, CopyStep};
use crate::rootfs::{self, Nearby, Stat};

/// Content hashes by inode, so that a file which several steps read is hashed once.
///
/// The build context must not change while this lives.
#[derive(Debug, Default)]
pub struct Hashes(HashMap<(u64, u64), Digest>);

/// What a step would read, and what state that was in.
#[derive(Debug)]
pub struct Found {
    /// In the order in which the step takes them.
    pub files: Vec<InputFile>,
    pub state: State,
}

/// Stands for the inodes of files and when they last changed, so that a change is noticed without reading them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State(u64);

/// Returns the files that a COPY or ADD takes from `tree`.
///
/// # Errors
/// Those with which the step itself would fail.
pub fn files_of_copy(
    step: &CopyStep,
    tree: &Tree<'_>,
    hashes: &mut Hashes,
) -> Result<Found, Error> {
    Ok(copied(step, Reader::new(tree, Some(hashes)))?.found())
}

/// Looks for what the source words of a COPY or ADD name.
///
/// # Errors
/// [`Error::NotFound`], and those of patterns.
pub fn find_sources(step: &CopyStep, tree: &Tree<'_>) -> Result<(), Error> {
    for source in &step.sources {
        match source {
            CopySource::Path(word) if step.parents => drop(select(tree, word)?),
            CopySource::Path(word) => drop(tree.candidates(word)?),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the state of the files that a COPY or ADD takes from `tree`.
pub fn state_of_copy(step: &CopyStep, tree: &Tree<'_>) -> Result<State, Error> {
    Ok(copied(step, Reader::new(tree, None))?.found().state)
}

fn copied<'a>(step: &CopyStep, mut reader: Reader<'a>) -> Result<Reader<'a>, Error> {
    let tree = reader.tree;
    let exclude = Matcher::new(&step.exclude)?;
    for source in &step.sources {
        let CopySource::Path(word) = source else {
            continue;
        };
        reader.links.clear();
        if step.parents {
            let selection = select(tree, word)?;
            reader.below(&selection.base, &exclude, Some(&selection.matcher))?;
            continue;
        }
        for candidate in tree.candidates(word)? {
            match candidate.stat.is_dir() {
                true => {
                    reader.top(&candidate.path, &candidate.stat);
                    reader.below(&candidate.path, &exclude, None)?;
                }
                false => {
                    let name = LayerPath::clean(&candidate.name);
                    reader.file(&candidate.path, &candidate.stat, name, Role::Entry)?;
                    reader.source += 1;
                }
            }
        }
    }
    Ok(reader)
}

/// Returns what a mount of `path` shows of `tree`.
///
/// # Errors
/// [`Error::NotFound`] if it is not there.
pub fn files_of_mount(path: &str, tree: &Tree<'_>, hashes: &mut Hashes) -> Result<Found, Error> {
    Ok(mounted(path, Reader::new(tree, Some(hashes)))?.found())
}

/// Returns the state of what a mount of `path` shows of `tree`.
pub fn state_of_mount(path: &str, tree: &Tree<'_>) -> Result<State, Error> {
    Ok(mounted(path, Reader::new(tree, None))?.found().state)
}

fn mounted<'a>(path: &str, mut reader: Reader<'a>) -> Result<Reader<'a>, Error> {
    let tree = reader.tree;
    let path = LayerPath::clean(path);
    let candidate = tree.candidate(&path, &path)?;
    let role = Role::Entry;
    reader.file(&candidate.path, &candidate.stat, LayerPath::root(), role)?;
    if candidate.stat.is_dir() {
        reader.below(&candidate.path, &Matcher::default(), None)?;
    }
    Ok(reader)
}

struct Reader<'a> {
    tree: &'a Tree<'a>,
    looks: Nearby<'a>,
    /// Absent where only the state of files is asked for.
    hashes: Option<&'a mut Hashes>,
    files: Vec<InputFile>,
    state: DefaultHasher,
    source: usize,
    /// First name of each file of the current source word that has several.
    links: HashMap<(u64, u64), LayerPath>,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a Tree<'a>, hashes: Option<&'a mut Hashes>) -> Self {
        Self {
            tree,
            looks: tree.root.nearby(),
            hashes,
            files: Vec::new(),
            state: DefaultHasher::new(),
            source: 0,
            links: HashMap::new(),
        }
    }

    fn found(self) -> Found {
        Found {
            files: self.files,
            state: State(self.state.finish()),
        }
    }

    fn note(&mut self, path: &LayerPath, stat: &Stat) {
        (path.as_bytes(), stat.device, stat.inode, stat.mode).hash(&mut self.state);
        // a directory changes with every file in it, and not all are read
        if !stat.is_dir() {
            (stat.size, stat.ctime).hash(&mut self.state);
        }
    }

    /// Notes a directory of which only the time counts.
    fn top(&mut self, path: &LayerPath, stat: &Stat) {
        self.note(path, stat);
        self.files.push(InputFile {
            origin: path.clone(),
            source: self.source,
            path: LayerPath::root(),
            is_intermediate: false,
            content: Content::Top,
            mode: 0,
            owner: None,
            xattrs: Vec::new(),
            mtime: stat.mtime.seconds,
        });
    }

    fn below(
        &mut self,
        from: &LayerPath,
        exclude: &Matcher,
        select: Option<&Matcher>,
    ) -> Result<(), Error> {
        let tree = self.tree;
        selection::visit(tree, from, exclude, select, &mut |path, stat, role| {
            let below = path.strip_prefix(from).unwrap_or_default();
            self.file(path, stat, below, role)
        })?;
        self.source += 1;
        Ok(())
    }

    fn file(
        &mut self,
        path: &LayerPath,
        stat: &Stat,
        name: LayerPath,
        role: Role,
    ) -> Result<(), Error> {
        self.note(path, stat);
        if self.hashes.is_none() {
            return Ok(());
        }
        let (entry, file) = self
            .looks
            .open(path)?
            .map(|found| (found.entry, found.file))
            .unzip();
        let inode = (stat.device, stat.inode);
        let first = self.links.get(&inode).cloned();
        let content = match entry.as_ref().map(|entry| &entry.kind) {
            None => Content::Socket,
            Some(Kind::Directory) => Content::Directory,
            Some(_) if stat.links > 1 && first.is_some() => {
                Content::HardLink(first.expect("looked at a line above"))
            }
            Some(Kind::Symlink { target }) => Content::Symlink(target.clone()),
            Some(Kind::CharDevice { major, minor }) => Content::CharDevice(*major, *minor),
            Some(Kind::BlockDevice { major, minor }) => Content::BlockDevice(*major, *minor),
            Some(Kind::Fifo) => Content::Fifo,
            Some(Kind::File { .. } | Kind::HardLink { .. }) => {
                Content::File(self.hash(path, inode, file.flatten())?)
            }
        };
        if !stat.is_dir() && stat.links > 1 {
            // the source's number keeps files of several sources of one word apart
            let known = LayerPath::clean(self.source.to_string()).join(name.as_bytes());
            self.links.entry(inode).or_insert(known);
        }
        self.files.push(InputFile {
            origin: path.clone(),
            source: self.source,
            path: name,
            is_intermediate: role == Role::Intermediate,
            content,
            mode: stat.mode,
            owner: (self.tree.owners == Owners::Kept).then_some((stat.uid, stat.gid)),
            xattrs: entry.map_or_else(Vec::new, |entry| entry.xattrs.into_iter().collect()),
            mtime: stat.mtime.seconds,
        });
        Ok(())
    }

    fn hash(
        &mut self,
        path: &LayerPath,
        inode: (u64, u64),
        file: Option<File>,
    ) -> Result<Digest, Error> {
        let known = self.hashes.as_ref().and_then(|hashes| hashes.0.get(&inode));
        if let Some(digest) = known {
            return Ok(digest.clone());
        }
        let failed = |source| {
            Error::Files(rootfs::Error::Content {
                path: path.clone(),
                source,
            })
        };
        let mut file = file.expect("a file was opened");
        let mut digester = Digester::new();
        digester.read(&mut file).map_err(failed)?;
        let digest = digester.finish();
        if let Some(hashes) = &mut self.hashes {
            hashes.0.insert(inode, digest.clone());
        }
        Ok(digest)
    }
}
