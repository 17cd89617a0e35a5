//! The build context: the files `COPY` and `ADD` see, the rules that hide some of them, and the Dockerfile.
//!
//! A context is only read. It may be mounted read-only, lie inside the kaniko dir, or belong to another user.

mod location;
mod lookup;

pub mod dockerignore;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tracing::info;

use dockerignore::Matcher;
use location::Location;

/// A directory of files to copy from.
#[derive(Debug)]
pub struct Context {
    /// Absolute; for messages. Files are reached through `dir`, which still works when an in-place RUN has moved the path away.
    pub path: PathBuf,
    pub dir: OwnedFd,
    pub ignore: Matcher,
}

/// The Dockerfile as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileText {
    /// As found: the path given, or that path below the context.
    pub path: PathBuf,
    pub text: String,
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
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "error resolving source context: please specify a path to the build context with the --context flag or a bucket with the --bucket flag"
    )]
    NoLocation,
    #[error(
        "error resolving source context: unknown build context prefix provided, please use one of the following: gs://, dir://, tar://, s3://, git://, https://"
    )]
    UnknownScheme,
    #[error("error resolving source context: not supported yet: {option}")]
    NotSupportedYet { option: String },
    #[error("error resolving source context: cannot open the directory `{}`", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile"
    )]
    NoDockerfile { tried: Vec<PathBuf> },
    #[error("error resolving dockerfile path: not supported yet: --dockerfile {url}")]
    DockerfileUrl { url: String },
    #[error("cannot read `{}`", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot parse `{}`", .path.display())]
    Ignore {
        path: PathBuf,
        source: dockerignore::Error,
    },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoDockerfile { tried } => {
                let tried = tried.iter().map(|path| format!("`{}`", path.display()));
                Some(format!(
                    "there is none at {}",
                    tried.collect::<Vec<_>>().join(", ")
                ))
            }
            Self::Directory { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("pass the directory with `--context`, or mount it at that path".into())
            }
            Self::NotSupportedYet { .. } | Self::DockerfileUrl { .. } => {
                Some("fetch it before the build and pass a local path".into())
            }
            _ => None,
        }
    }
}

/// Opens the context, finds the Dockerfile, and reads the ignore rules that belong to them.
///
/// Relative paths are taken from `current_dir`.
///
/// # Errors
/// Every variant of [`Error`].
///
/// # Spec
/// Compat spec 1.6, 4.1 and 4.2; language spec IGN-1, IGN-2, IGN-7.
pub fn open(options: &Options, current_dir: &Path) -> Result<(Context, DockerfileText), Error> {
    let Location::Directory(path) = Location::of(options)?;
    let path = current_dir.join(path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| Error::Directory {
        path: path.clone(),
        source: errno.into(),
    })?;
    let dockerfile = lookup::dockerfile(options.dockerfile.as_deref(), &path, current_dir)?;
    let ignore = match lookup::ignore_file(&dockerfile.path, &path)? {
        None => Matcher::default(),
        Some((path, text)) => {
            info!("Using dockerignore file: {}", path.display());
            dockerignore::parse(&text).map_err(|source| Error::Ignore { path, source })?
        }
    };
    Ok((Context { path, dir, ignore }, dockerfile))
}
