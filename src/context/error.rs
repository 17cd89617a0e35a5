//! What may be wrong with a context or a Dockerfile.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use reqwest::StatusCode;

use super::{ArchiveError, bucket, dockerignore, git};
use crate::net;
use crate::rootfs;

/// Why the context or the Dockerfile cannot be had.
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
    #[error("error resolving source context: the value of --context is not a URL")]
    NoUrl,
    #[error("error resolving source context: the value of --context names no bucket")]
    NoBucket,
    #[error("error resolving source context: cannot fetch `{name}`")]
    Bucket { name: String, source: bucket::Error },
    #[error("error resolving source context: cannot open the directory `{}`", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("error resolving source context: cannot make a directory for the context")]
    Place { source: io::Error },
    #[error("error resolving source context: there is no directory `{path}` in the context")]
    NoSubPath { path: String },
    #[error(
        "error resolving source context: no data found.. don't forget to add the '--interactive, -i' flag"
    )]
    NoInput,
    #[error("error resolving source context: cannot unpack the archive `{name}`")]
    Archive { name: String, source: ArchiveError },
    #[error("error resolving source context: HTTPSTar bad status from server: {status}, for {url}")]
    Status { url: String, status: StatusCode },
    #[error("error resolving source context: cannot fetch the archive")]
    Fetch { source: net::Error },
    #[error("error resolving source context: cannot clone the repository")]
    Git(#[from] git::Error),
    #[error("expected checksum to match {wanted}, got {found}")]
    OtherCommit { wanted: String, found: String },
    #[error("error resolving source context: cannot use the directory")]
    Files(#[from] rootfs::Error),
    #[error("error resolving dockerfile path: cannot fetch the Dockerfile")]
    FetchDockerfile { source: net::Error },
    #[error("error resolving dockerfile path: request failed: {status}, for {url}")]
    DockerfileStatus { url: String, status: StatusCode },
    #[error("error resolving dockerfile path: cannot read {url}")]
    DockerfileContent { url: String, source: io::Error },
    #[error("error resolving dockerfile path: {url} has more than {limit} bytes")]
    DockerfileSize { url: String, limit: u64 },
    #[error(
        "error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile"
    )]
    NoDockerfile { tried: Vec<PathBuf> },
    #[error("cannot read `{}`", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` leads out of the context", .path.display())]
    Outside { path: PathBuf },
    #[error("`{}` is a named pipe, and nobody writes to it", .path.display())]
    NoWriter { path: PathBuf },
    #[error("`{}` has more than {limit} bytes", .path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("`{}` is UTF-16", .path.display())]
    Utf16 { path: PathBuf },
    #[error("cannot parse line {line} of `{}`", .path.display())]
    Ignore {
        path: PathBuf,
        line: usize,
        source: dockerignore::Error,
    },
}

/// What an archive is.
const NO_TAR: &str = "an archive is a whole tar, plain or compressed with gzip, zstd, bzip2 or xz; a directory is given by its path alone";

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
            Self::Directory { path, source } if source.kind() == io::ErrorKind::NotADirectory => {
                Some(format!("an archive is given as `tar://{}`", path.display()))
            }
            Self::Read { path, source } if source.kind() == io::ErrorKind::IsADirectory => {
                // The other files that are read are ignore files.
                let name = path.file_name().unwrap_or_default();
                let is_dockerfile = !name.as_bytes().ends_with(b".dockerignore");
                is_dockerfile.then(|| {
                    format!(
                        "`--dockerfile` names a file, such as `{}`; `--context` names a directory",
                        path.join("Dockerfile").display()
                    )
                })
            }
            Self::NoWriter { .. } => {
                Some("start what writes to it first, in the background".into())
            }
            Self::Utf16 { .. } => Some("save it as UTF-8".into()),
            Self::Ignore { .. } => Some(
                "`[` begins a set of characters, `\\` makes the next character an ordinary one, and `!` needs a pattern behind it".to_owned(),
            ),
            Self::Bucket { source, .. } => source.help(),
            Self::Git(error) => error.help(),
            Self::OtherCommit { .. } => {
                Some("the branch or tag points to another commit than the query says".into())
            }
            Self::Fetch { source } | Self::FetchDockerfile { source } => source.help(),
            Self::Archive {
                source: ArchiveError::Files(error),
                ..
            } => error.help().or_else(|| {
                let is_cut = matches!(error, rootfs::Error::Content { .. });
                is_cut.then(|| NO_TAR.to_owned())
            }),
            Self::Archive {
                source: ArchiveError::Layer(error),
                ..
            } => error.help().or_else(|| Some(NO_TAR.to_owned())),
            Self::Archive {
                source: ArchiveError::Empty,
                ..
            } => Some(NO_TAR.to_owned()),
            _ => None,
        }
    }
}
