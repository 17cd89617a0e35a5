//! A context given by name that is a git repository: one commit of it, as files.
//!
//! # Spec
//! Language spec CTX-3, GIT-1 to GIT-5.

use std::path::Path;

use super::fetched::Fetched;
use super::{Context, Error, GitOptions, Means, git, sub_directory};
use crate::context::dockerignore::Matcher;
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::net::Secret;
use crate::rootfs::Rootfs;

/// What of a repository is wanted.
#[derive(Debug)]
pub struct Request<'a> {
    /// The address alone.
    pub address: &'a str,
    pub wanted: git::Wanted,
    /// The first digits that the id of the commit must have.
    pub commit: Option<&'a str>,
    /// A directory in the repository; empty for its root.
    pub sub_directory: &'a str,
    pub keep_git_dir: bool,
    pub submodules: bool,
    /// Files are as old as the commit.
    pub commit_time: bool,
    /// What opens it on a web server, before what opens the build context.
    pub authorization: Option<Secret>,
}

/// Fetches a commit; the build context's own branch, depth and submodules mean nothing here.
///
/// # Errors
/// [`Error::Git`], [`Error::OtherCommit`], [`Error::NoSubPath`], and those of files that cannot be written.
pub fn open(
    request: &Request<'_>,
    options: &GitOptions,
    means: Means<'_>,
) -> Result<Context, Error> {
    let fetched = Fetched::create(means.place, means.interrupt);
    let fetched = fetched.map_err(|source| Error::Place { source })?;
    let root = Rootfs::create(fetched.path().join("files"))?;
    let commit = clone(request, options, means, root.path())?;
    let time = git::commit_time(root.path(), &commit)?;
    if !request.keep_git_dir {
        git::forget(&root)?;
    }
    if request.commit_time {
        age(&root, Time::from_seconds(time))?;
    }
    Ok(Context {
        root: sub_directory(root, request.sub_directory)?,
        ignore: Matcher::default(),
        keeps_owners: false,
        time: Some(time),
        commit: Some(commit),
        _fetched: Some(fetched),
    })
}

fn clone(
    request: &Request<'_>,
    options: &GitOptions,
    means: Means<'_>,
    dir: &Path,
) -> Result<String, Error> {
    let parsed = git::context_address(request.address, options.scheme());
    let (address, login) = parsed.ok_or(Error::NoUrl)?;
    let mut access = options.access();
    if login.is_none() {
        access.authorization.clone_from(&request.authorization);
    }
    access.login = login.or(access.login);
    let remote = git::Remote {
        net: means.net,
        address,
        access,
    };
    let id = git::find(&remote, &request.wanted)?;
    if let Some(wanted) = request.commit
        && !id.starts_with(wanted)
    {
        return Err(Error::OtherCommit {
            wanted: wanted.to_owned(),
            found: id,
        });
    }
    let extent = git::Extent {
        depth: 1,
        submodules: request.submodules,
    };
    Ok(git::clone(&remote, &git::Wanted::Commit(id), extent, dir)?)
}

/// Makes all files as old as `time`.
fn age(root: &Rootfs, time: Time) -> Result<(), Error> {
    let mut paths = Vec::new();
    let mut walk = root.walk(&LayerPath::root())?;
    while let Some(entry) = walk.next()? {
        paths.push(entry.layer_path());
    }
    for path in paths {
        root.set_mtime(&path, time)?;
    }
    Ok(())
}
