//! Git repositories: what is asked of one, and a commit of it as files with their `.git`.
//!
//! Requests go through [`Net`](crate::net::Net), as all others do; libgit2 takes the pack apart and writes the files.
//!
//! # Spec
//! Compat spec 4.4.

mod spec;

mod address;
mod session;

mod reference;
mod ssh;
mod web;
mod wire;

mod lfs;
mod pkt_line;
mod talk;

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};
use tracing::info;

use crate::layer::LayerPath;
use crate::net::{self, Secret};
use crate::rootfs::{self, Rootfs};
pub use address::{Address, Login, is_scp};
pub use session::Remote;
use session::Session;
pub use spec::{Spec, Wanted, context_address};
pub use ssh::{Files as SshFiles, Key as SshKey, KeyError as SshKeyError, Options as SshOptions};
pub use web::basic;

/// Levels of submodules inside each other, as many as kaniko follows.
const SUBMODULE_DEPTH: u32 = 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Net(net::Error),
    #[error(transparent)]
    Ssh(#[from] ssh::Error),
    #[error("cannot reach {url}")]
    Connect { url: String, source: io::Error },
    #[error("{url} answered {status}")]
    Status { url: String, status: u16 },
    #[error("the answer of {url} broke off")]
    Broken { url: String, source: io::Error },
    #[error("{url} is no git repository, or its server speaks an unknown protocol")]
    Protocol { url: String },
    #[error("the objects of {url} have names of the kind `{format}`, which are not supported")]
    ObjectFormat { url: String, format: String },
    #[error("there is no commit {id} in what {url} gives")]
    NoCommit { id: String, url: String },
    #[error("{url} refused: {message}")]
    Refused { url: String, message: String },
    #[error("invalid branch: {0}")]
    NoBranch(String),
    #[error("{0} is no address of a repository")]
    Address(String),
    #[error("there is no branch, tag or other reference `{name}` in {url}")]
    NoReference { name: String, url: String },
    #[error("the address of the submodule `{0}` cannot be used")]
    Submodule(String),
    #[error("cannot unpack the repository")]
    Git(#[from] git2::Error),
    #[error("cannot write the repository")]
    Write(#[from] io::Error),
}

impl Error {
    /// Tells whether the server wants to know who asks.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 401 | 403 | 404,
                ..
            }
        )
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Net(error) => error.help(),
            Self::Ssh(error) => error.help(),
            Self::NoReference { name, .. } if is_part_of_id(name) => {
                Some("a commit is named by all 40 digits of its id".into())
            }
            Self::Protocol { .. } => Some(
                "is that the address to clone from? a private repository may answer with a page to log in at, and plain files on a web server are no repository".into(),
            ),
            _ if self.is_refusal() => Some(
                "a private repository needs GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD".into(),
            ),
            _ => None,
        }
    }
}

fn is_part_of_id(name: &str) -> bool {
    (4..40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What opens repositories.
#[derive(Debug, Clone)]
pub struct Access {
    /// For web servers.
    pub login: Option<Login>,
    /// The whole `Authorization` header for web servers, in place of a login.
    pub authorization: Option<Secret>,
    /// Accepts any certificate.
    pub skip_verify: bool,
    pub ssh: Arc<SshFiles>,
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
    let mut session = remote.connect()?;
    let (branch, id) = resolve(remote, &mut session, wanted)?;
    info!("Cloning {} at {id}", remote.address);
    let repository = unpack(remote, session, branch.as_deref(), &id, extent.depth, dir)?;
    if extent.submodules {
        submodules(remote, &repository, extent.depth, 0)?;
    }
    Ok(id)
}

/// Finds the commit that a reference stands for at the moment; about a commit nobody is asked.
pub fn find(remote: &Remote<'_>, wanted: &Wanted) -> Result<String, Error> {
    if let Wanted::Commit(id) = wanted {
        remote.check()?;
        return Ok(id.clone());
    }
    let mut session = remote.connect()?;
    resolve(remote, &mut session, wanted).map(|(_, id)| id)
}

/// Returns when a commit was made, in seconds since 1970; `dir` is what [`clone()`] filled.
pub fn commit_time(dir: &Path, id: &str) -> Result<i64, Error> {
    let repository = Repository::open(dir)?;
    let commit = repository
        .find_object(Oid::from_str(id)?, None)?
        .peel_to_commit()?;
    Ok(commit.time().seconds())
}

/// Removes what git keeps for itself, in submodules too; no file of a commit can have that name.
pub fn forget(root: &Rootfs) -> Result<(), rootfs::Error> {
    let mut found = Vec::new();
    let mut walk = root.walk(&LayerPath::root())?;
    while let Some(entry) = walk.next()? {
        let path = entry.layer_path();
        if path.file_name() == Some(b".git") {
            found.push(path);
            walk.skip();
        }
    }
    for path in found {
        root.remove(&path)?;
    }
    Ok(())
}

/// Finds the commit, and the full name of the branch if it is one.
fn resolve(
    remote: &Remote<'_>,
    session: &mut Session<'_>,
    wanted: &Wanted,
) -> Result<(Option<String>, String), Error> {
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
    let found = session.references(&prefixes)?;
    let by_name = names
        .iter()
        .find_map(|name| found.iter().find(|reference| reference.name == *name));
    let no_reference = |name: &str| Error::NoReference {
        name: name.to_owned(),
        url: remote.address.to_string(),
    };
    let Some(reference) = by_name else {
        return Err(match wanted {
            Wanted::Branch(name) => Error::NoBranch(name.clone()),
            Wanted::Name(name) => no_reference(name),
            Wanted::Default | Wanted::Commit(_) => no_reference("HEAD"),
        });
    };
    let branch = reference.target.as_ref().unwrap_or(&reference.name);
    let branch = Some(branch).filter(|name| name.starts_with("refs/heads/"));
    let commit = reference.peeled.as_ref().unwrap_or(&reference.id);
    Ok((branch.cloned(), commit.clone()))
}

/// Fetches a commit and checks it out.
fn unpack(
    remote: &Remote<'_>,
    session: Session<'_>,
    branch: Option<&str>,
    id: &str,
    depth: u32,
    dir: &Path,
) -> Result<Repository, Error> {
    let repository = Repository::init(dir)?;
    receive(session, id, depth, &repository)?;
    repository.remote("origin", &remote.address.text())?;
    check_out(&repository, remote, branch, id)?;
    lfs::warn_of_pointers(&repository)?;
    Ok(repository)
}

fn receive(
    mut session: Session<'_>,
    id: &str,
    depth: u32,
    repository: &Repository,
) -> Result<(), Error> {
    let objects = repository.odb()?;
    let mut pack = objects.packwriter()?;
    let shallow = session.fetch(id, depth, &mut pack)?;
    pack.commit()?;
    if !shallow.is_empty() {
        let mut file = fs_err::File::create(repository.path().join("shallow"))?;
        for id in shallow {
            writeln!(file, "{id}")?;
        }
    }
    Ok(())
}

fn check_out(
    repository: &Repository,
    remote: &Remote<'_>,
    branch: Option<&str>,
    id: &str,
) -> Result<(), Error> {
    let object = repository.find_object(Oid::from_str(id)?, None);
    let commit = object.and_then(|object| object.peel_to_commit());
    let commit = commit.map_err(|_| Error::NoCommit {
        id: id.to_owned(),
        url: remote.address.to_string(),
    })?;
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
    Ok(())
}

/// Fetches the submodules of a repository, and theirs.
fn submodules(
    remote: &Remote<'_>,
    repository: &Repository,
    depth: u32,
    level: u32,
) -> Result<(), Error> {
    if level == SUBMODULE_DEPTH {
        return Ok(());
    }
    let dir = repository.workdir().expect("it was made with a directory");
    for module in repository.submodules()? {
        let path = module.path().to_owned();
        let unusable = || Error::Submodule(path.display().to_string());
        let url = module.url()?.ok_or_else(unusable)?;
        let Some(head) = module.head_id() else {
            continue;
        };
        let inner = remote.submodule(url).ok_or_else(unusable)?;
        let session = inner.connect()?;
        let id = head.to_string();
        info!("Cloning {} at {id} as {}", inner.address, path.display());
        let repository = unpack(&inner, session, None, &id, depth, &dir.join(&path))?;
        submodules(&inner, &repository, depth, level + 1)?;
    }
    Ok(())
}
