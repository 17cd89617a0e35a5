//! The build context: the files `COPY` and `ADD` see, the rules that hide some of them, and the Dockerfile.
//!
//! A context is only read. It may be mounted read-only, lie inside the kaniko dir, or belong to another user.

mod archive;
pub mod bucket;
mod error;
mod fetched;
pub mod git;
mod location;
mod lookup;
pub mod repository;
mod text_file;

pub mod dockerignore;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::info;

use crate::cloud::Surroundings;
use crate::interrupt::Interrupt;
use crate::layer::LayerPath;
use crate::net::{Environment, Net, Secret};
use crate::rootfs::{self, Rootfs};
use dockerignore::Matcher;
use fetched::Fetched;
use location::Location;

pub use archive::ArchiveError;
pub use error::Error;
pub use fetched::Place;
pub use git::{Error as GitError, SshOptions};

/// A directory of files to copy from; if it was fetched, it goes with the value.
#[derive(Debug)]
pub struct Context {
    /// Reached through its handle, which still works when an in-place RUN has moved the path away.
    pub root: Rootfs,
    pub ignore: Matcher,
    /// Copies belong to whom the files belong to; else to root.
    pub keeps_owners: bool,
    /// When what was fetched was made, in seconds since 1970: a commit, or what a server or an archive says.
    pub time: Option<i64>,
    /// The commit that a repository was fetched at.
    pub commit: Option<String>,
    _fetched: Option<Fetched>,
}

/// The Dockerfile as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileText {
    /// As found: the path given, or that path below the context.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// The bytes as messages show them.
    pub text: String,
}

impl DockerfileText {
    fn new(path: PathBuf, bytes: Vec<u8>) -> Self {
        Self {
            path,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }
}

/// What a context is opened with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// Relative paths are taken from here.
    pub current_dir: &'a Path,
    pub place: &'a Place,
    pub net: &'a Net,
    /// What clouds' credentials are found by.
    pub environment: &'a Environment,
    pub interrupt: &'a Interrupt,
}

/// Where context and Dockerfile are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `--context`; a path, or `scheme://…`.
    pub location: String,
    /// `--bucket`
    pub bucket: String,
    /// `--context-sub-path`
    pub sub_path: String,
    /// `--dockerfile`; absent means `Dockerfile`, then `dockerfile`.
    pub dockerfile: Option<String>,
    pub git: GitOptions,
}

/// How a git repository is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitOptions {
    /// `--git branch=`; wins over the URL's.
    pub branch: Option<String>,
    /// `--git depth=`; 0 for all history.
    pub depth: Option<u32>,
    /// `--git recurse-submodules=`
    pub submodules: bool,
    /// `--git insecure-skip-tls=`
    pub skip_verify: bool,
    /// `GIT_PULL_METHOD=http`
    pub plain: bool,
    /// User and password, from `GIT_TOKEN`, else `GIT_USERNAME` and `GIT_PASSWORD`.
    pub login: Option<(Secret, Secret)>,
    pub ssh: SshOptions,
}

impl GitOptions {
    /// Returns what `git://` means.
    fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    /// Reads what opens repositories; to be called before a command may see another root filesystem.
    pub fn access(&self) -> git::Access {
        git::Access {
            login: self.login.clone(),
            authorization: None,
            skip_verify: self.skip_verify,
            ssh: Arc::new(git::SshFiles::load(&self.ssh)),
        }
    }
}

/// Reads a Dockerfile without a context: a path as it is, or a URL.
pub fn read_dockerfile(name: &str, means: Means<'_>) -> Result<DockerfileText, Error> {
    lookup::dockerfile(Some(name), means.current_dir, means)
}

/// Tells whether a context is on this machine only.
///
/// # Errors
/// Those of an option that says nothing of where the context is.
pub fn is_local(options: &Options) -> Result<bool, Error> {
    let location = Location::of(options)?;
    Ok(matches!(
        location,
        Location::Directory(_) | Location::File(_) | Location::Stdin
    ))
}

/// Opens the context, fetched first if it is elsewhere, finds the Dockerfile, and reads the ignore rules that belong to them.
///
/// # Errors
/// Every variant of [`Error`].
///
/// # Spec
/// Compat spec 1.6 and 4; language spec IGN-1, IGN-2, IGN-7.
pub fn open(options: &Options, means: Means<'_>) -> Result<(Context, DockerfileText), Error> {
    let files = files(
        Location::of(options)?,
        &options.sub_path,
        &options.git,
        means,
    )?;
    let root = files.root;
    let fetched = files.fetched.as_ref().map(Fetched::path);
    let dockerfile = lookup::dockerfile(options.dockerfile.as_deref(), root.path(), means)?;
    stays_inside(fetched, &dockerfile.path)?;
    let ignore = match lookup::ignore_file(&dockerfile.path, root.path())? {
        None => Matcher::default(),
        Some((path, text)) => {
            stays_inside(fetched, &path)?;
            info!("Using dockerignore file: {}", path.display());
            parse_ignore(path, &text)?
        }
    };
    let context = Context {
        root,
        ignore,
        keeps_owners: false,
        time: files.time,
        commit: files.commit,
        _fetched: files.fetched,
    };
    Ok((context, dockerfile))
}

/// Refuses a file of a fetched context that a link has on this machine instead: messages would quote it to whoever sent the link.
fn stays_inside(fetched: Option<&Path>, path: &Path) -> Result<(), Error> {
    let Some(fetched) = fetched.filter(|fetched| path.starts_with(fetched)) else {
        return Ok(());
    };
    let real = |path: &Path| {
        let failed = |source| Error::Read {
            path: path.into(),
            source,
        };
        fs_err::canonicalize(path).map_err(failed)
    };
    match real(path)?.starts_with(real(fetched)?) {
        true => Ok(()),
        false => Err(Error::Outside { path: path.into() }),
    }
}

/// Opens a context given by name: a directory, filtered by the ignore file in it, or what an archive contains.
///
/// # Errors
/// Every variant of [`Error`] but those about Dockerfiles.
///
/// # Spec
/// Language spec CTX-3, IGN-3, IGN-4, META-2.
pub fn open_named(location: &str, git: &GitOptions, means: Means<'_>) -> Result<Context, Error> {
    let git = GitOptions {
        branch: None,
        ..git.clone()
    };
    let location = Location::of(&Options {
        location: location.to_owned(),
        bucket: String::new(),
        sub_path: String::new(),
        dockerfile: None,
        git: git.clone(),
    })?;
    let is_directory = matches!(location, Location::Directory(_));
    let keeps_owners = matches!(
        location,
        Location::File(_) | Location::Web(_) | Location::Object(_) | Location::Stdin
    );
    let files = files(location, "", &git, means)?;
    let root = files.root;
    let path = root.path().join(".dockerignore");
    let ignore = match is_directory {
        true => lookup::read_if_there(&path)?.map(|text| parse_ignore(path, &text)),
        false => None,
    };
    let ignore = ignore.transpose()?.unwrap_or_default();
    Ok(Context {
        root,
        ignore,
        keeps_owners,
        time: files.time,
        commit: files.commit,
        _fetched: files.fetched,
    })
}

fn parse_ignore(path: PathBuf, text: &[u8]) -> Result<Matcher, Error> {
    dockerignore::parse(text).map_err(|failed| Error::Ignore {
        path,
        line: failed.line,
        source: failed.error,
    })
}

/// The files of a context, and what is known of them.
struct Files {
    root: Rootfs,
    fetched: Option<Fetched>,
    time: Option<i64>,
    commit: Option<String>,
}

/// Returns the directory with the files of a context, fetched first if it is elsewhere.
fn files(
    location: Location,
    sub_path: &str,
    git: &GitOptions,
    means: Means<'_>,
) -> Result<Files, Error> {
    if let Location::Directory(path) = location {
        return Ok(Files {
            root: open_directory(means.current_dir.join(path))?,
            fetched: None,
            time: None,
            commit: None,
        });
    }
    let fetched = Fetched::create(means.place, means.interrupt);
    let fetched = fetched.map_err(|source| Error::Place { source })?;
    let root = Rootfs::create(fetched.path().join("files"))?;
    let mut below = sub_path.to_owned();
    let mut time = None;
    let mut commit = None;
    match location {
        Location::Git(text) => {
            let (inside, id) = clone(&text, git, means.net, root.path())?;
            below = format!("{inside}/{below}");
            time = Some(git::commit_time(root.path(), &id)?);
            commit = Some(id);
        }
        Location::File(path) => {
            let path = means.current_dir.join(path);
            archive::from_file(&path, means.net.timeline(), &root)?;
        }
        Location::Object(object) => time = Some(fetch(&object, means, &root)?),
        Location::Web(url) => time = archive::from_url(&url, means.net, &root)?,
        Location::Directory(_) | Location::Stdin => {
            archive::from_stdin(means.net.timeline(), &root)?;
        }
    }
    Ok(Files {
        root: sub_directory(root, &below)?,
        fetched: Some(fetched),
        time,
        commit,
    })
}

/// Unpacks an object of a cloud's storage while it arrives; returns when it was made.
fn fetch(object: &bucket::Object, means: Means<'_>, root: &Rootfs) -> Result<i64, Error> {
    let name = object.to_string();
    info!("Retrieving {name}");
    let at = Surroundings::new(means.net, means.environment);
    let download = object.open(&at).map_err(|source| Error::Bucket {
        name: name.clone(),
        source,
    })?;
    let time = archive::from_download(&name, download, means.net.timeline(), root)?;
    info!("Extracted {name}");
    Ok(time)
}

/// Clones a repository into `dir` and returns the directory of it that was named, and the commit.
fn clone(
    text: &str,
    options: &GitOptions,
    net: &Net,
    dir: &Path,
) -> Result<(String, String), Error> {
    let spec = git::Spec::parse(text, options.scheme()).ok_or(Error::NoUrl)?;
    let mut access = options.access();
    access.login = spec.login.or(access.login);
    let remote = git::Remote {
        net,
        address: spec.address,
        access,
    };
    let wanted = match &options.branch {
        Some(branch) => git::Wanted::Branch(branch.clone()),
        None => spec.wanted,
    };
    let extent = git::Extent {
        depth: options.depth.unwrap_or(1),
        submodules: options.submodules,
    };
    let id = git::clone(&remote, &wanted, extent, dir)?;
    Ok((spec.sub_directory, id))
}

fn open_directory(path: PathBuf) -> Result<Rootfs, Error> {
    Rootfs::open_foreign(path).map_err(|error| match error {
        rootfs::Error::Open { path, source } => Error::Directory { path, source },
        other => Error::Files(other),
    })
}

/// Goes down to `--context-sub-path`; symlinks on the way stay inside.
fn sub_directory(root: Rootfs, sub_path: &str) -> Result<Rootfs, Error> {
    let path: LayerPath = root.resolve(sub_path)?;
    if path.is_root() {
        return Ok(root);
    }
    let is_directory = root.stat(&path)?.is_some_and(|stat| stat.is_dir());
    match is_directory {
        true => Ok(root.into_directory(&path)?),
        false => Err(Error::NoSubPath {
            path: sub_path.to_owned(),
        }),
    }
}
