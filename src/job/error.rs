//! Why the job was not done, in kaniko's words first.

use std::fmt;
use std::path::PathBuf;

use crate::context::DockerfileText;
use crate::dockerfile::Span;
use crate::execute::mount::{AgentError, SecretError};
use crate::report::{Excerpt, Explain};
use crate::{attest, build, context, net, output, registry};

/// What stopped the job; the cause is part of the first line, because kaniko's users look for it there.
#[derive(Debug)]
pub enum Error {
    /// The context or the Dockerfile are not there.
    Context(context::Error),
    Net(net::Error),
    Secrets(SecretError),
    Agents(AgentError),
    Registry(Box<registry::Error>),
    Permission(Box<registry::Error>),
    Build {
        dockerfile: DockerfileText,
        cause: Box<build::Error>,
    },
    Findings(Findings),
    Output(output::Error),
    Attest(attest::Error),
    Report(output::Error),
    Push {
        cause: output::Error,
        /// The layout in which the image is kept.
        kept: Option<PathBuf>,
    },
    /// There is no image to push at the path given.
    Saved(output::saved::Error),
    Scratch(std::io::Error),
    /// An archive would go to a terminal.
    Terminal(super::places::TerminalError),
    /// The images make no index.
    Join(super::index::Error),
}

/// `--check` found something.
#[derive(Debug, thiserror::Error)]
pub enum Findings {
    #[error("Check complete, 1 warning has been found!")]
    One,
    #[error("Check complete, {0} warnings have been found!")]
    Several(usize),
    /// The Dockerfile says that they are errors.
    #[error("{0}")]
    Violation(String),
}

impl Error {
    /// Returns kaniko's phrase and the error behind it.
    fn parts(&self) -> (&'static str, &(dyn std::error::Error + 'static)) {
        match self {
            Self::Context(error) => ("", error),
            Self::Net(error) => ("error building image: ", error),
            Self::Secrets(error) => ("error building image: ", error),
            Self::Agents(error) => ("error building image: ", error),
            Self::Registry(error) => ("error building image: ", &**error),
            Self::Permission(error) => ("error checking push permissions: ", &**error),
            Self::Build { cause, .. } => ("error building image: ", &**cause),
            Self::Findings(findings) => ("", findings),
            Self::Output(error) => ("error writing image: ", error),
            Self::Attest(error) => ("error writing image: ", error),
            Self::Report(error) => ("error writing report: ", error),
            Self::Push { cause, .. } => ("error pushing image: ", cause),
            Self::Saved(error) => ("", error),
            Self::Join(error) => ("", error),
            Self::Scratch(error) => ("cannot make a temporary directory: ", error),
            Self::Terminal(error) => ("error writing image: ", error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phrase, error) = self.parts();
        write!(f, "{phrase}{error}")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.parts().1.source()
    }
}

impl Explain for Error {
    fn help(&self) -> Option<String> {
        match self {
            Self::Context(error) => error.help(),
            Self::Net(error) => error.help(),
            Self::Secrets(error) => error.help(),
            Self::Findings(_) | Self::Attest(_) => None,
            Self::Agents(error) => error.help(),
            Self::Registry(error) | Self::Permission(error) => error.help(),
            Self::Build { cause, .. } => cause.help(),
            Self::Output(error) | Self::Report(error) => error.help(),
            Self::Push { cause, kept } => {
                let keep = kept.as_ref().map(|path| {
                    let path = path.display();
                    format!("the image is kept: `executor push {path} --destination …` pushes it without a rebuild")
                });
                let parts: Vec<String> = cause.help().into_iter().chain(keep).collect();
                (!parts.is_empty()).then(|| parts.join("; "))
            }
            Self::Join(error) => error.help(),
            Self::Saved(error) => error.help(),
            Self::Scratch(_) | Self::Terminal(_) => None,
        }
    }

    fn excerpt(&self) -> Option<Excerpt<'_>> {
        let Self::Build { dockerfile, cause } = self else {
            return None;
        };
        let span: Span = cause.span()?;
        let file_name = dockerfile.path.file_name()?.to_str()?;
        Some(Excerpt {
            file_name,
            text: &dockerfile.text,
            span,
            word: Some(cause.word().unwrap_or_default()),
        })
    }

    fn exit_status(&self) -> u8 {
        match self {
            Self::Build { cause, .. } => cause.exit_status(),
            _ => 1,
        }
    }
}
