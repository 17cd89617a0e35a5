//! Why the job was not done, in kaniko's words first.

use std::fmt;

use crate::context::DockerfileText;
use crate::dockerfile::Span;
use crate::report::{Excerpt, Explain};
use crate::{build, context, net, output, registry};

/// What stopped the job; the cause is part of the first line, because kaniko's users look for it there.
#[derive(Debug)]
pub enum Error {
    /// The context or the Dockerfile are not there.
    Context(context::Error),
    Net(net::Error),
    Credentials(registry::credentials::Error),
    Registry(Box<registry::Error>),
    Permission(Box<registry::Error>),
    Build {
        dockerfile: DockerfileText,
        cause: Box<build::Error>,
    },
    Output(output::Error),
    Push(output::Error),
}

impl Error {
    /// Returns kaniko's phrase and the error behind it.
    fn parts(&self) -> (&'static str, &(dyn std::error::Error + 'static)) {
        match self {
            Self::Context(error) => ("", error),
            Self::Net(error) => ("error building image: ", error),
            Self::Credentials(error) => ("error building image: ", error),
            Self::Registry(error) => ("error building image: ", &**error),
            Self::Permission(error) => ("error checking push permissions: ", &**error),
            Self::Build { cause, .. } => ("error building image: ", &**cause),
            Self::Output(error) => ("error writing image: ", error),
            Self::Push(error) => ("error pushing image: ", error),
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
            Self::Credentials(error) => error.help(),
            Self::Registry(error) | Self::Permission(error) => error.help(),
            Self::Build { cause, .. } => cause.help(),
            Self::Output(error) => error.help(),
            Self::Push(error) => error.help(),
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
        })
    }

    fn exit_status(&self) -> u8 {
        match self {
            Self::Build { cause, .. } => cause.exit_status(),
            _ => 1,
        }
    }
}
