//! COPY and ADD of files.
//!
//! # Spec
//! Language spec 3.6 to 3.8.

mod copier;

use std::collections::HashMap;
use std::io;

use super::remote::RemoteFile;
use super::selection::{Selection, select};
use super::target::Target;
use super::tree::{Candidate, Owners, Tree};
use super::{Error, Remote};
use crate::context::dockerignore::Matcher;
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::{CopySource, CopyStep};
use crate::rootfs::{Rootfs, users};
use copier::Copier;

/// Executes a COPY or ADD; returns the paths written, directories on the way included, in order.
///
/// Everything named is looked up before anything is written; `remotes` is what [`fetch`](super::fetch) returned. `now` is the time of directories made on the way and of inline files.
///
/// # Errors
/// [`Error::NotFound`] for a source that is not there; conflicts between files and directories; what the disk refuses.
pub fn copy(
    step: &CopyStep,
    tree: &Tree<'_>,
    remotes: &[Remote],
    root: &Rootfs,
    now: Time,
) -> Result<Vec<LayerPath>, Error> {
    let exclude = Matcher::new(&step.exclude)?;
    let mut sources = Vec::new();
    let trees: Vec<Option<Tree<'_>>> = remotes.iter().map(files_of_repository).collect();
    let mut remotes = remotes.iter().zip(&trees);
    for source in &step.sources {
        sources.push(match source {
            CopySource::Path(word) if step.parents => Source::Selection(select(tree, word)?),
            CopySource::Path(word) => Source::Candidates(tree.candidates(word)?),
            CopySource::Inline { name, content } => Source::Inline(name, content),
            CopySource::Url { .. } | CopySource::Git(_) => {
                let remote = remotes.next().expect("every remote source was fetched");
                match remote {
                    (Remote::File(file), _) => Source::Remote(file),
                    (Remote::Repository(checkout), tree) => Source::Repository {
                        tree: tree.as_ref().expect("a repository has files"),
                        time: checkout.time.unwrap_or(now),
                    },
                }
            }
        });
    }
    let mut target = Target::new(root, now, step.link);
    target.owner = match &step.chown {
        Some(owner) => Some(users::owner(root, owner)?),
        None => None,
    };
    target.chmod = step.chmod.as_ref();
    let mut copier = Copier {
        tree,
        files: tree.root.nearby(),
        target,
        exclude: &exclude,
        destination: Destination::of(step),
        links: HashMap::new(),
        checked_out: None,
        now,
    };
    for source in sources {
        copier.links.clear();
        match source {
            Source::Candidates(candidates) => {
                for candidate in candidates {
                    copier.copy_candidate(&candidate, step.unpack)?;
                }
            }
            Source::Inline(name, content) => copier.write_inline(name, content)?,
            Source::Remote(remote) => copier.write_remote(remote, step.unpack)?,
            Source::Selection(selection) => copier.copy_selection(&selection)?,
            Source::Repository { tree, time } => copier.copy_repository(tree, time)?,
        }
    }
    copier.target.finish()
}

/// Copies a file, or a directory with everything in it, for a mount: owners and modes as the source has them, what is ignored left out.
///
/// Nothing is at `to` yet. A context's own directory has no mode of its own.
pub(super) fn replicate(
    tree: &Tree<'_>,
    source: &LayerPath,
    root: &Rootfs,
    to: &LayerPath,
    now: Time,
) -> Result<(), Error> {
    let found = tree.candidate(source, source)?;
    let none = Matcher::default();
    let mut copier = Copier {
        tree,
        files: tree.root.nearby(),
        target: Target::new(root, now, false),
        exclude: &none,
        destination: Destination {
            path: String::new(),
            is_directory: false,
        },
        links: HashMap::new(),
        checked_out: None,
        now,
    };
    if found.stat.is_dir() {
        let mut stat = found.stat;
        if found.path.is_root() && tree.owners == Owners::Root {
            stat.mode = 0o755;
        }
        let (mut entry, _) = copier.open(&found.path, &stat, to.clone())?;
        entry.mode = stat.mode;
        copier.target.put(entry, &mut io::empty())?;
        copier.copy_tree(&found.path, to, None)?;
        copier.target.set_time(to, stat.mtime);
    } else {
        copier.copy_file(&found.path, &found.stat, to.clone())?;
    }
    copier.target.finish().map(drop)
}

/// A source after it was looked up.
enum Source<'a> {
    Candidates(Vec<Candidate>),
    Inline(&'a str, &'a [u8]),
    Remote(&'a RemoteFile),
    Selection(Selection),
    Repository { tree: &'a Tree<'a>, time: Time },
}

/// Where to, as written.
struct Destination {
    /// Joined with the working directory.
    path: String,
    /// Sources go inside, whether it exists or not (DST-2).
    is_directory: bool,
}

impl Destination {
    fn of(step: &CopyStep) -> Self {
        let typed = step.destination.as_str();
        Self {
            path: step.target(),
            is_directory: step.parents
                || matches!(typed, "" | ".")
                || typed.ends_with('/')
                || typed.ends_with("/."),
        }
    }
}

/// Returns the files of a repository, without an ignore file: they belong to root.
fn files_of_repository(remote: &Remote) -> Option<Tree<'_>> {
    match remote {
        Remote::File(_) => None,
        Remote::Repository(checkout) => Some(Tree {
            root: &checkout.root,
            ignore: None,
            owners: Owners::Root,
            name: "repository",
        }),
    }
}
