//! Why the credentials for a registry are not known.

use std::path::PathBuf;
use std::time::Duration;

use crate::cloud;

/// Why the credentials for a registry are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{}`", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write `{}`", .path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{origin}` is not a Docker config file")]
    Config { origin: String, source: Malformed },
    #[error(
        "the entry `{key}` of `{origin}` has an invalid `auth`: expected base64 of `user:password`"
    )]
    Auth { origin: String, key: String },
    #[error("credential helper `{program}` is not installed")]
    NoProgram { program: String },
    #[error("cannot run credential helper `{program}`")]
    Run {
        program: String,
        source: std::io::Error,
    },
    #[error("credential helper `{program}` did not answer within {} seconds", .limit.as_secs())]
    Timeout { program: String, limit: Duration },
    #[error("credential helper `{program}` failed ({status}): {message}")]
    Failed {
        program: String,
        status: String,
        message: String,
    },
    #[error("credential helper `{program}` answered something else than a credential")]
    Answer { program: String },
    #[error("cannot log in to {registry}")]
    Cloud {
        registry: String,
        source: Box<cloud::Error>,
    },
    #[error("neither DOCKER_CONFIG nor HOME says where the Docker config file is")]
    NoHome,
}

/// What is wrong with a config file, without what stands there: that may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line} column {column}")]
pub struct Malformed {
    what: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        Self {
            what: match error.classify() {
                Category::Data => "something else than expected",
                Category::Eof => "it ends",
                Category::Syntax | Category::Io => "it is no JSON",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoProgram { .. } => Some(
                "install it in a directory of PATH, or remove it from `credsStore` and `credHelpers` of the Docker config file".to_owned(),
            ),
            Self::Cloud { source, .. } => source.help(),
            Self::NoHome => Some("set DOCKER_CONFIG to the directory of `config.json`".to_owned()),
            Self::Config { .. } | Self::Auth { .. } => Some(
                "repair it; `executor login REGISTRY` writes such a file".to_owned(),
            ),
            _ => None,
        }
    }
}
