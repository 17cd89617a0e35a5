//! ADD of a git repository: one commit of it, as files.
//!
//! # Spec
//! Language spec 3.11.

use tempfile::TempDir;
use url::Url;

use super::{Error, Means};
use crate::context::git::{self, Address, Extent, Wanted};
use crate::layer::entry::Time;
use crate::net::Secret;
use crate::net::redact::redacted;
use crate::plan::{GitReference, GitSource};
use crate::rootfs::Rootfs;

/// The files of a commit; they go with the value.
#[derive(Debug)]
pub struct Checkout {
    pub(super) root: Rootfs,
    /// How old the files are; absent for those of this build.
    pub(super) time: Option<Time>,
    _dir: TempDir,
}

/// Returns what the server is asked for.
pub fn wanted(source: &GitSource) -> Wanted {
    match (&source.reference, &source.commit) {
        (_, Some(id)) if source.by_commit && is_commit(id) => Wanted::Commit(id.clone()),
        (GitReference::Any(id), _) if is_commit(id) => Wanted::Commit(id.clone()),
        (reference, _) => match reference.full_name() {
            Some(name) => Wanted::Name(name),
            None => Wanted::Default,
        },
    }
}

/// Finds the commit that `source` means at the moment.
///
/// # Errors
/// [`Error::OtherCommit`] if it is not the one that `--checksum` says.
pub(super) fn commit(source: &GitSource, means: Means<'_>) -> Result<String, Error> {
    let failed = |error| failed(source, error);
    let wanted = wanted(source);
    let remote = remote(source, means).map_err(failed)?;
    let found = git::find(&remote, &wanted).map_err(failed)?;
    match &source.commit {
        Some(wanted) if !found.starts_with(wanted) => Err(Error::OtherCommit {
            wanted: wanted.clone(),
            found,
        }),
        _ => Ok(found),
    }
}

/// Fetches the commit that `source` means at the moment, and says when it was made.
pub(super) fn commit_time(source: &GitSource, means: Means<'_>) -> Result<i64, Error> {
    let source = GitSource {
        commit_time: true,
        sub_directory: String::new(),
        submodules: false,
        ..source.clone()
    };
    let checkout = check_out(&source, &commit(&source, means)?, means)?;
    Ok(checkout.time.map_or(0, |time| time.seconds))
}

/// Fetches a commit.
pub(super) fn check_out(source: &GitSource, id: &str, means: Means<'_>) -> Result<Checkout, Error> {
    let prepared = fs_err::create_dir_all(means.dir)
        .and_then(|()| TempDir::with_prefix_in("repository-", means.dir));
    let dir = prepared.map_err(|error| failed(source, error.into()))?;
    let extent = Extent {
        depth: 1,
        submodules: source.submodules,
    };
    let failed = |error| failed(source, error);
    let remote = remote(source, means).map_err(failed)?;
    let wanted = Wanted::Commit(id.to_owned());
    git::clone(&remote, &wanted, extent, dir.path()).map_err(failed)?;
    let time = source.commit_time.then(|| git::commit_time(dir.path(), id));
    let time = time.transpose().map_err(failed)?;
    let root = Rootfs::open(dir.path().to_owned())?;
    if !source.keep_git_dir {
        git::forget(&root)?;
    }
    Ok(Checkout {
        root: below(root, source)?,
        time: time.map(Time::from_seconds),
        _dir: dir,
    })
}

/// Returns the directory of the repository that is wanted; links on the way stay inside.
fn below(root: Rootfs, source: &GitSource) -> Result<Rootfs, Error> {
    let path = root.resolve(source.sub_directory.as_bytes())?;
    if path.is_root() {
        return Ok(root);
    }
    let missing = || Error::NoSubDirectory {
        url: shown(source),
        path: source.sub_directory.clone(),
    };
    match root.stat(&path)? {
        Some(stat) if stat.is_dir() => Ok(root.into_directory(&path)?),
        _ => Err(missing()),
    }
}

fn remote<'m>(source: &GitSource, means: Means<'m>) -> Result<git::Remote<'m>, git::Error> {
    let parsed = Address::parse(&source.repository);
    let (address, login) = parsed.ok_or_else(|| git::Error::Address(shown(source)))?;
    let mut access = means.git.access();
    if login.is_none() {
        access.authorization = authorization(source, means);
    }
    access.login = login;
    Ok(git::Remote {
        net: means.net,
        address,
        access,
    })
}

/// Returns what opens the repository, from the first secret there is (GIT-6).
pub fn authorization(source: &GitSource, means: Means<'_>) -> Option<Secret> {
    let url: Url = source.repository.parse().ok()?;
    let host = match (url.host_str()?, url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let hosts = [
        format!(".{host}"),
        format!(".{}", url.host_str()?),
        String::new(),
    ];
    hosts.iter().find_map(|host| {
        let header = means.secret(&format!("GIT_AUTH_HEADER{host}"));
        header.or_else(|| {
            let token = means.secret(&format!("GIT_AUTH_TOKEN{host}"))?;
            Some(git::basic(&(Secret::new("x-access-token"), token)))
        })
    })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn failed(source: &GitSource, error: git::Error) -> Error {
    Error::Repository {
        url: shown(source),
        source: Box::new(error),
    }
}

fn shown(source: &GitSource) -> String {
    match source.repository.parse() {
        Ok(url) => redacted(&url),
        // an address as ssh has it, in which there is no password
        Err(_) => source.repository.clone(),
    }
}
