//! What can go wrong when files are copied into a root.

use std::io;

use crate::context::{self, dockerignore};
use crate::dockerfile::quote::quoted;
use crate::image::Digest;
use crate::layer::{self, LayerPath};
use crate::net;
use crate::rootfs::{self, users};

/// Why COPY, ADD or WORKDIR failed. Where the language's users search for a text, it is that text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to calculate checksum of ref {tree}: {}: not found", quoted(&.path.to_string()))]
    NotFound {
        tree: String,
        path: LayerPath,
        /// It is there, but the ignore file hides it.
        ignored: bool,
        /// A name beside it that looks alike.
        similar: Option<String>,
    },
    #[error("syntax error in pattern: {}", quoted(.0))]
    Pattern(String),
    #[error("invalid pattern of --exclude or --parents")]
    Select(#[from] dockerignore::Error),
    #[error("cannot replace to directory {0} with file")]
    ReplaceDirectory(LayerPath),
    #[error("cannot copy to non-directory: {0}")]
    NonDirectory(LayerPath),
    #[error("{0}: not a directory")]
    NotADirectory(LayerPath),
    #[error("cannot fetch the repository {url}")]
    Repository {
        url: String,
        source: Box<context::GitError>,
    },
    #[error("expected checksum to match {wanted}, got {found}")]
    OtherCommit { wanted: String, found: String },
    #[error("there is no directory `{path}` in {url}")]
    NoSubDirectory { url: String, path: String },
    #[error("the source is not a URL")]
    Url,
    #[error("invalid response status {status}: {url}")]
    Status { status: u16, url: String },
    #[error(transparent)]
    Download(net::Error),
    #[error("cannot fetch {url}")]
    Fetch { url: String, source: io::Error },
    #[error("digest mismatch {got}: {wanted}")]
    DigestMismatch { got: Digest, wanted: String },
    #[error("cannot find the owner")]
    Owner(#[from] users::Error),
    #[error("cannot unpack the archive `{path}`")]
    Archive {
        path: LayerPath,
        source: layer::Error,
    },
    #[error(transparent)]
    Files(rootfs::Error),
}

impl From<rootfs::Error> for Error {
    fn from(error: rootfs::Error) -> Self {
        match error {
            rootfs::Error::NotADirectory { path } => Self::NotADirectory(path),
            other => Self::Files(other),
        }
    }
}

impl Error {
    /// Returns the word of the instruction that is at fault, if it is a single one.
    pub fn word(&self) -> Option<String> {
        match self {
            Self::NotFound { path, .. } => {
                Some(path.to_string().trim_start_matches('/').to_owned())
            }
            Self::Pattern(word) => Some(word.clone()),
            Self::Select(dockerignore::Error::Syntax { pattern }) => Some(pattern.clone()),
            Self::NotADirectory(path) | Self::NonDirectory(path) => Some(path.to_string()),
            Self::Status { url, .. }
            | Self::Fetch { url, .. }
            | Self::Repository { url, .. }
            | Self::NoSubDirectory { url, .. } => Some(url.clone()),
            Self::Download(error) => error.url().map(str::to_owned),
            Self::DigestMismatch { .. } | Self::OtherCommit { .. } => Some("--checksum".to_owned()),
            Self::Owner(_) => Some("--chown".to_owned()),
            Self::Archive { path, .. } => Some(path.to_string().trim_start_matches('/').to_owned()),
            _ => None,
        }
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotFound { ignored: true, .. } => {
                Some("it exists, but the ignore file excludes it".to_owned())
            }
            Self::NotFound {
                similar: Some(name),
                ..
            } => Some(format!("there is {}", quoted(name))),
            Self::NotFound { tree, .. } => Some(match &**tree {
                "build context" => "sources are looked for in the build context, which `--context` names".to_owned(),
                tree => format!("sources are looked for in the files of `{tree}`"),
            }),
            Self::Pattern(_) | Self::Select(_) => {
                Some("in a pattern, `[` begins a set of characters; `[[]` stands for the character itself".to_owned())
            }
            Self::ReplaceDirectory(_) => {
                Some("name another destination; a file never takes a directory's place".to_owned())
            }
            Self::NonDirectory(path) | Self::NotADirectory(path) => Some(format!(
                "{path} is a file; name another destination, or remove the file before"
            )),
            Self::Status { status: 401 | 403, .. } => Some(
                "a server that wants to know who asks needs `--secret id=HTTP_AUTH_TOKEN_<host>,…`".to_owned(),
            ),
            Self::Status { .. } | Self::Fetch { .. } => {
                Some("the address is asked for as it stands here, after variables are expanded".to_owned())
            }
            Self::OtherCommit { .. } => {
                Some("the branch or tag points to another commit than --checksum says".to_owned())
            }
            Self::NoSubDirectory { .. } => {
                Some("the directory follows the commit: `#REF:DIRECTORY`".to_owned())
            }
            Self::Repository { source, .. } if source.is_refusal() => Some(
                "a private repository needs `--secret id=GIT_AUTH_TOKEN,…` or `--secret id=GIT_AUTH_HEADER,…`".to_owned(),
            ),
            Self::Repository { source, .. } => source.help(),
            Self::DigestMismatch { .. } => {
                Some("the server has something else than --checksum says".to_owned())
            }
            Self::Download(error) => error.help(),
            Self::Owner(error) => error.help(),
            Self::Files(error) => error.help(),
            _ => None,
        }
    }
}
