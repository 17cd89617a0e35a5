//! Git repositories: what is asked of one, and a commit of it as files with their `.git`.
//!
//! Requests go through [`Net`](crate::net::Net), as all others do; libgit2 takes the pack apart and writes the files.
//!
//! # Spec
//! Compat spec 4.4.

mod pkt_line;
mod remote;
mod spec;

use std::io::{self, Write as _};
use std::path::Path;

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};
use tracing::info;

use crate::net;
use crate::net::redact::redacted;
pub use remote::Remote;
pub use spec::{Spec, Wanted};

/// Levels of submodules inside each other, as many as kaniko follows.
const SUBMODULE_DEPTH: u32 = 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Net(net::Error),
    #[error("{url} answered {status}")]
    Status { url: String, status: u16 },
    #[error("the answer of {url} broke off")]
    Broken { url: String, source: io::Error },
    #[error("{url} is no git repository, or its server does not know version 2 of the protocol")]
    Protocol { url: String },
    #[error("{url} refused: {message}")]
    Refused { url: String, message: String },
    #[error("invalid branch: {0}")]
    NoBranch(String),
    #[error("there is no `{name}` in {url}")]
    NoReference { name: String, url: String },
    #[error("the address of the submodule `{0}` cannot be used")]
    Submodule(String),
    #[error("cannot unpack the repository")]
    Git(#[from] git2::Error),
    #[error("cannot write the repository")]
    Write(#[from] io::Error),
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Net(error) => error.help(),
            Self::Status {
                status: 401 | 403 | 404,
                ..
            } => Some(
                "a private repository needs GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD".into(),
            ),
            _ => None,
        }
    }
}

/// Which parts of a repository are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Commits of history; 0 for all.
    pub depth: u32,
    pub submodules: bool,
}

/// Fetches a commit into the empty directory `dir` and returns its id.
pub fn clone(
    remote: &Remote<'_>,
    wanted: &Wanted,
    extent: Extent,
    dir: &Path,
) -> Result<String, Error> {
    let (branch, id) = resolve(remote, wanted)?;
    info!("Cloning {} at {id}", redacted(&remote.url));
    unpack(remote, branch.as_deref(), &id, extent, dir, 0)?;
    Ok(id)
}

/// Finds the commit, and the full name of the branch if it is one.
fn resolve(remote: &Remote<'_>, wanted: &Wanted) -> Result<(Option<String>, String), Error> {
    let names = match wanted {
        Wanted::Commit(id) => return Ok((None, id.clone())),
        Wanted::Default => vec!["HEAD".to_owned()],
        Wanted::Branch(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        // git's own order
        Wanted::Name(name) => ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"]
            .iter()
            .map(|prefix| format!("{prefix}{name}"))
            .collect(),
    };
    let prefixes: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = remote.references(&prefixes)?;
    let by_name = names
        .iter()
        .find_map(|name| found.iter().find(|reference| reference.name == *name));
    let Some(reference) = by_name else {
        return Err(match wanted {
            Wanted::Branch(name) => Error::NoBranch(name.clone()),
            _ => Error::NoReference {
                name: names.last().cloned().unwrap_or_default(),
                url: redacted(&remote.url),
            },
        });
    };
    let branch = reference.target.as_ref().unwrap_or(&reference.name);
    let branch = Some(branch).filter(|name| name.starts_with("refs/heads/"));
    let commit = reference.peeled.as_ref().unwrap_or(&reference.id);
    Ok((branch.cloned(), commit.clone()))
}

fn unpack(
    remote: &Remote<'_>,
    branch: Option<&str>,
    id: &str,
    extent: Extent,
    dir: &Path,
    level: u32,
) -> Result<(), Error> {
    let oid = Oid::from_str(id)?;
    let repository = Repository::init(dir)?;
    let objects = repository.odb()?;
    let mut pack = objects.packwriter()?;
    let shallow = remote.fetch(id, extent.depth, &mut pack)?;
    pack.commit()?;
    if !shallow.is_empty() {
        let mut file = fs_err::File::create(repository.path().join("shallow"))?;
        for id in shallow {
            writeln!(file, "{id}")?;
        }
    }
    repository.remote("origin", remote.url.as_str())?;
    let commit = repository.find_object(oid, None)?.peel_to_commit()?;
    repository.checkout_tree(commit.as_object(), Some(CheckoutBuilder::new().force()))?;
    match branch {
        Some(branch) => {
            let short = branch.trim_start_matches("refs/heads/");
            repository.reference(branch, commit.id(), true, "clone")?;
            let tracking = format!("refs/remotes/origin/{short}");
            repository.reference(&tracking, commit.id(), true, "clone")?;
            repository.set_head(branch)?;
        }
        None => repository.set_head_detached(commit.id())?,
    }
    if extent.submodules && level < SUBMODULE_DEPTH {
        for module in repository.submodules()? {
            let path = module.path().to_owned();
            let unusable = || Error::Submodule(path.display().to_string());
            let url = module.url()?.ok_or_else(unusable)?;
            let Some(head) = module.head_id() else {
                continue;
            };
            let inner = remote.submodule(url).ok_or_else(unusable)?;
            unpack(
                &inner,
                None,
                &head.to_string(),
                extent,
                &dir.join(&path),
                level + 1,
            )?;
        }
    }
    Ok(())
}
