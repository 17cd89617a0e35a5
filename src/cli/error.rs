//! Mistakes on the command line, and what is printed below them.

use super::usage::Page;
use super::value;
use crate::log::{self, go_quote};

/// A mistake on the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unknown command {} for \"executor\"", go_quote(.0))]
    UnknownCommand(String),
    #[error("unknown argument {}: an image to warm is named by --image", go_quote(.0))]
    UnknownArgument(String),
    #[error("unknown flag: --{name}")]
    UnknownFlag {
        name: String,
        /// The flag that is probably meant.
        meant: Option<&'static str>,
    },
    #[error("unknown shorthand flag: '{short}' in -{group}")]
    UnknownShort { short: char, group: String },
    #[error("bad flag syntax: {0}")]
    FlagSyntax(String),
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    #[error("invalid argument {} for {} flag: {reason}", go_quote(.value), go_quote(.flag))]
    Invalid {
        value: String,
        flag: String,
        reason: String,
    },
    #[error("invalid argument {value}{}: it is not UTF-8", .flag.as_ref().map(|flag| format!(" for {} flag", go_quote(flag))).unwrap_or_default())]
    NotText {
        /// Quoted.
        value: String,
        flag: Option<String>,
    },
    #[error("the value of the environment variable {0} is not UTF-8")]
    VariableNotText(String),
    #[error("no completion script for {}; there are those of bash, zsh and fish", go_quote(.0))]
    Shell(String),
    #[error("accepts 1 arg(s), received {0}")]
    ArgumentCount(usize),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("{0}")]
    Combination(&'static str),
    #[error(transparent)]
    Context(Box<crate::context::Error>),
    #[error("invalid value {} for KANIKO_NO_PUSH environment variable", go_quote(.0))]
    NoPushVariable(String),
    #[error(transparent)]
    Map(Box<crate::registry::Error>),
    #[error("the manifest would show the credentials in --{flag} to whoever may read it")]
    Exposed { flag: &'static str },
    #[error("cannot read standard input")]
    Stdin(#[source] std::io::Error),
    #[error(transparent)]
    Net(#[from] crate::net::Error),
    #[error(transparent)]
    Credentials(#[from] crate::registry::credentials::Error),
    #[error("invalid value for {name} environment variable: {reason}")]
    Variable { name: &'static str, reason: String },
    #[error("Invalid platform")]
    Platform(#[source] crate::image::Error),
    #[error("an --annotation is for {0}, which is not built")]
    AnnotationPlatform(Box<crate::image::Platform>),
    #[error("labels must be of the form key=value, got {0}")]
    Label(String),
    #[error("invalid argument {} for \"--report\" flag: it must end in .json or .html", go_quote(.0))]
    Report(String),
    #[error("invalid value {} for --output: {reason}", go_quote(.text))]
    Output { text: String, reason: String },
    #[error("duplicate secret id {}", go_quote(.0))]
    DuplicateSecret(String),
    #[error("invalid value {} for --ssh: it is ID, ID=SOCKET or ID=KEY,KEY", go_quote(.0))]
    Ssh(String),
    #[error("invalid entitlement {} for --allow: it is security.insecure or network.host", go_quote(.0))]
    Allow(String),
    #[error("invalid --build-context")]
    NamedContext(#[source] crate::plan::NamedContextError),
    #[error("{0} is not a valid snapshot mode")]
    SnapshotMode(String),
    #[error("invalid --jobs: {0} stages cannot be built at a time")]
    Jobs(i64),
    #[error(
        "failed to load client certificate/key '{registry}={files}', expected format: my.registry.url=/path/to/client/cert,/path/to/client/key"
    )]
    ClientCertificate { registry: String, files: String },
    #[error("cannot push to `{text}`")]
    Destination {
        text: String,
        source: Option<crate::image::Error>,
    },
    #[error("invalid image `{text}`")]
    Source {
        text: String,
        source: crate::image::Error,
    },
    #[error("invalid --cache-repo `{text}`{}", match .source {
        Some(_) => "",
        None => ": it must have neither tag nor digest, which are the cache's own",
    })]
    CacheRepo {
        text: String,
        source: Option<crate::image::Error>,
    },
}

/// What is printed below an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// The command's flags.
    Usage(String),
    /// Only how to see them.
    Pointer(&'static str),
    Nothing,
}

/// A mistake, and what is printed below it.
#[derive(Debug)]
pub struct Mistake {
    pub error: Error,
    pub advice: Advice,
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownFlag { meant, .. } => meant.map(|meant| format!("is `--{meant}` meant?")),
            Self::Destination { text, .. } if text.contains("://") => Some(
                "an image's name begins with the host, without `https://` and the like".to_owned(),
            ),
            Self::Destination { source: None, .. } => Some(
                "a destination is `repository[:tag]`; the digest follows from the image".into(),
            ),
            Self::UnknownCommand(word) if value::parse_bool(word).is_ok() => Some(format!(
                "a switch takes its value with `=`, as in `--cache={word}`"
            )),
            Self::UnknownArgument(word) if value::parse_bool(word).is_ok() => Some(format!(
                "a switch takes its value with `=`, as in `--force={word}`"
            )),
            Self::Exposed { flag } => Some(format!(
                "for a git repository leave them out and name a Secret with the keys GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD, by \
                 --env-secret{}",
                match *flag {
                    "context" =>
                        "; or put the whole value into a Secret as its key `context`, and give --context-secret NAME besides",
                    _ => "",
                }
            )),
            Self::NamedContext(error) => error.help(),
            Self::Map(error) => error.help(),
            Self::Context(error) => error.help(),
            Self::Net(error) => error.help(),
            Self::Credentials(error) => error.help(),
            _ => None,
        }
    }

    /// Tells whether the message is a log line of level fatal instead of an error with usage.
    pub fn is_fatal_line(&self) -> bool {
        matches!(self, Self::NoPushVariable(_) | Self::Platform(_))
    }

    /// Returns what is printed below the message.
    fn advice(&self, page: &Page) -> Advice {
        match self {
            Self::UnknownCommand(_) => Advice::Pointer("Run 'executor --help' for usage."),
            _ => Advice::Usage(page.usage()),
        }
    }
}

impl From<Error> for Mistake {
    /// Takes a mistake that the usage text would not help with.
    fn from(error: Error) -> Self {
        let advice = Advice::Nothing;
        Self { error, advice }
    }
}

pub(super) fn mistake(error: Error, page: &Page) -> Mistake {
    let advice = error.advice(page);
    Mistake { error, advice }
}
