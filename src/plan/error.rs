//! What can be wrong with a Dockerfile's meaning.

use super::{git, mount};
use crate::dockerfile::quote::quoted;
use crate::dockerfile::{self, Span, expand, suggest};
use crate::image;

/// Why a Dockerfile cannot be planned, and where.
#[derive(Debug)]
pub struct Error {
    /// All physical lines of the instruction, or of the stage's `FROM` for a trigger; absent when options are at fault.
    pub span: Option<Span>,
    pub problem: Problem,
}

/// What was wrong. The texts are those that users of Dockerfiles search for, so they differ from the house's form.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("target stage {} could not be found{}", quoted(.name), did_you_mean(.suggestion.as_deref()))]
    Target {
        name: String,
        suggestion: Option<String>,
        /// What stages are called, in order.
        known: Vec<String>,
    },
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    #[error("failed to parse stage name {}: invalid reference format{}", quoted(.name), .detail)]
    Reference {
        name: String,
        /// As it stands in the instruction.
        typed: String,
        detail: String,
    },
    #[error("empty platform value from expression {0}")]
    BlankPlatform(String),
    #[error("failed to parse platform {text}")]
    Platform { text: String, source: image::Error },
    #[error("invalid stage index {0}")]
    StageIndex(String),
    #[error("circular dependency detected on stage: {stage}")]
    Cycle {
        stage: String,
        /// What closes the circle, as it stands in the instruction.
        reference: String,
    },
    #[error("cannot copy from stage {}, it needs to be defined before current stage {}", quoted(.from), quoted(.stage))]
    CopyFromLater { from: String, stage: String },
    #[error("cannot mount from stage {} to {}, stage needs to be defined before current command", quoted(.from), quoted(.target))]
    MountFromLater { from: String, target: String },
    #[error("cannot start stage {} from stage {}, it needs to be defined before", quoted(.stage), quoted(.from))]
    FromLater { from: String, stage: String },
    #[error("there is no stage {} for the context {}", quoted(.stage), quoted(.context))]
    NoContextStage { stage: String, context: String },
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    FromVariable,
    #[error(transparent)]
    Expand(#[from] expand::Error),
    #[error(transparent)]
    Mount(#[from] mount::Error),
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    OctalMode(String),
    #[error("invalid chmod parameter: '{0}': invalid syntax")]
    SymbolicMode(String),
    #[error("invalid user index for --chown={0}")]
    UserIndex(String),
    #[error("source can't be a URL for COPY")]
    CopyUrl(String),
    #[error("source can't be a git ref for COPY")]
    CopyGit(String),
    #[error("checksum can't be specified for multiple sources")]
    ChecksumOfSeveral,
    #[error("checksum requires HTTP(S) or Git sources")]
    ChecksumOfLocal,
    #[error("invalid checksum digest format")]
    ChecksumFormat,
    #[error("unsupported digest algorithm")]
    ChecksumAlgorithm,
    #[error("{0}")]
    Port(String),
    #[error("invalid signal: {0}")]
    Signal(String),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("the device {} is not available: RUN is given no devices of the machine", quoted(.0))]
    Device(String),
    #[error("RUN requires arguments")]
    EmptyRun,
    #[error("{0} has a NUL byte, which no argument, variable or path can have")]
    Nul(String),
    #[error("ONBUILD {trigger}")]
    Trigger {
        trigger: String,
        source: Box<dockerfile::Error>,
    },
    #[error("invalid SOURCE_DATE_EPOCH: {0}")]
    SourceDateEpoch(String),
    #[error("invalid SOURCE_DATE_EPOCH: the stage {} is not `FROM scratch` with nothing but ARG and the ADD of one remote source", quoted(.0))]
    SourceDateEpochOfStage(String),
    #[error("the config of `{image}` for {platform} is not known")]
    NoConfig { image: String, platform: String },
}

impl Problem {
    pub(super) fn trigger(text: &str, source: dockerfile::Error) -> Self {
        Self::Trigger {
            trigger: text.to_owned(),
            source: Box::new(source),
        }
    }

    pub(super) fn at(self, span: Span) -> Error {
        Error {
            span: Some(span),
            problem: self,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

impl Error {
    /// Returns the word that is at fault, as it stands in the instruction or nearly so, if it is a single one.
    pub fn word(&self) -> Option<String> {
        let text = match &self.problem {
            Problem::Reference { typed: text, .. }
            | Problem::BlankBase(text)
            | Problem::BlankPlatform(text)
            | Problem::Platform { text, .. }
            | Problem::OctalMode(text)
            | Problem::SymbolicMode(text)
            | Problem::Signal(text) => text,
            Problem::StageIndex(from) | Problem::CopyFromLater { from, .. } => {
                return Some(format!("--from={from}"));
            }
            Problem::MountFromLater { from, .. } => return Some(format!("from={from}")),
            Problem::Cycle {
                reference: text, ..
            }
            | Problem::CopyUrl(text)
            | Problem::CopyGit(text)
            | Problem::SourceDateEpoch(text)
            | Problem::SourceDateEpochOfStage(text)
            | Problem::Device(text)
            | Problem::FromLater { from: text, .. } => text,
            Problem::EmptyRun => "[]",
            Problem::FromVariable => "--from=",
            Problem::Port(message) => return Some(port(message).to_owned()),
            Problem::UserIndex(owner) => return Some(format!("--chown={owner}")),
            Problem::Expand(error) if error.word.contains('\n') => &error.part,
            Problem::Expand(error) => &error.word,
            Problem::Git(error) => error.word(),
            Problem::Mount(error) => return mount_word(error),
            Problem::ChecksumOfSeveral
            | Problem::ChecksumOfLocal
            | Problem::ChecksumFormat
            | Problem::ChecksumAlgorithm => "--checksum",
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        let text = match &self.problem {
            Problem::Target { known, .. } => {
                return Some(format!("there are the stages {}", known.join(", ")));
            }
            Problem::StageIndex(_) => {
                "stages are counted from 0, and a name is safer than a number"
            }
            Problem::BlankBase(_) => {
                "only an ARG that stands before the first FROM is visible in FROM; give it a default or pass --build-arg"
            }
            Problem::BlankPlatform(_) => {
                "only the automatic platform args, such as $BUILDPLATFORM, and an ARG that stands before the first FROM are visible here"
            }
            Problem::Reference { name, detail, .. } if !detail.is_empty() => {
                let lower = name.to_lowercase();
                return Some(format!(
                    "write `{lower}`; stages are called in lower case, too"
                ));
            }
            Problem::Reference { .. } => "an image is called [REGISTRY/]REPOSITORY[:TAG][@DIGEST]",
            Problem::Platform { .. } => {
                "a platform is os/architecture[/variant], such as linux/arm64"
            }
            Problem::Cycle { .. } => "a stage cannot need itself, nor a stage that needs it",
            Problem::UserIndex(_) => {
                "names are looked up in the stage's /etc/passwd, which a scratch stage and --link do not have; use numeric ids"
            }
            Problem::FromVariable => {
                "write `FROM $IMAGE AS name` with a global ARG, then `--from=name`"
            }
            Problem::CopyFromLater { .. }
            | Problem::MountFromLater { .. }
            | Problem::FromLater { .. } => "move the stage that is copied from further up",
            Problem::NoContextStage { .. } => {
                "`--build-context NAME=target:STAGE` takes the name that follows AS in a FROM"
            }
            Problem::CopyUrl(_) | Problem::CopyGit(_) => "use ADD",
            Problem::Nul(_) => "take it out; a command can make one, as `printf '\\0'` does",
            Problem::Mount(error) => return error.help(),
            Problem::Git(error) => return Some(error.help()),
            Problem::Trigger { .. } => "the trigger comes from the ONBUILD of this stage's base",
            Problem::Expand(error) => return Some(expansion(&error.problem)),
            Problem::OctalMode(_) | Problem::SymbolicMode(_) => {
                "write an octal number, such as 0644, or changes as `chmod` takes them, such as u=rwX,go=rX"
            }
            Problem::ChecksumOfSeveral => "write an ADD for each source",
            Problem::ChecksumOfLocal => "files of the build context need no checksum",
            Problem::ChecksumFormat | Problem::ChecksumAlgorithm => {
                "write `--checksum=sha256:` and 64 hexadecimal digits; for a repository, the commit's id"
            }
            Problem::Port(_) => {
                "write PORT, FROM-TO, PORT/tcp, PORT/udp or PORT/sctp, with ports from 0 to 65535"
            }
            Problem::Signal(_) => "write a signal's name, such as SIGTERM, or its number",
            Problem::EmptyVolume => "a path that is only an undefined variable is empty",
            Problem::Device(_) => "devices need a builder with access to them",
            Problem::EmptyRun => "name the program: `RUN [\"PROGRAM\", \"ARGUMENT\"]`",
            Problem::SourceDateEpoch(_) => {
                "write seconds since 1970, `context`, or the name of a stage or a named context"
            }
            Problem::SourceDateEpochOfStage(_) => "write seconds since 1970 instead",
            Problem::NoConfig { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// Returns what to do about a word that cannot be expanded.
fn expansion(problem: &expand::Problem) -> String {
    match problem {
        expand::Problem::OpenQuote(_) => {
            "close the quote, or write the escape character before it if it belongs to the text; COPY, ADD, VOLUME and EXPOSE \
             split at blanks even between quotes, so names with blanks need the JSON form"
                .to_owned()
        }
        expand::Problem::Required { name, .. } => {
            format!("give `{name}` a value, by ARG, ENV or --build-arg")
        }
        expand::Problem::Modifier(_) => {
            "there are `:-`, `-`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/` and `//`; a shell can do more in a RUN".to_owned()
        }
        expand::Problem::BadSubstitution => "write `${NAME}`".to_owned(),
        expand::Problem::MissingBrace => {
            "close the brace; ARG, ENV and LABEL end a word at a blank unless it is quoted".to_owned()
        }
        expand::Problem::MissingSlash => {
            "write `${NAME/PATTERN/REPLACEMENT}`; the replacement may be empty".to_owned()
        }
        expand::Problem::Pattern { .. } => "patterns know `*` and `?`; `[` stands for itself".to_owned(),
        expand::Problem::TooDeep => "use a variable for the inner part".to_owned(),
        expand::Problem::TooLarge => "a file or a command can hold as much".to_owned(),
    }
}

/// Returns the port that a message is about.
fn port(message: &str) -> &str {
    let quoted = message.split('"').nth(1);
    quoted.unwrap_or_else(|| message.rsplit(": ").next().unwrap_or_default())
}

/// Returns the option that is at fault.
fn mount_word(error: &mount::Error) -> Option<String> {
    let text = match error {
        mount::Error::Type(kind) => return Some(format!("type={kind}")),
        mount::Error::Sharing(sharing) => return Some(format!("sharing={sharing}")),
        // these keys have short forms
        mount::Error::Value {
            key: "readonly" | "readwrite",
            value,
        } => value,
        mount::Error::Value { key, value } => return Some(format!("{key}={value}")),
        mount::Error::SecretWithoutId | mount::Error::SecretWithTwoIds => "type=secret",
        mount::Error::KeyForType { key, .. } => *key,
        mount::Error::NotAllowed { key, .. } | mount::Error::Unsupported { key, .. } => {
            return Some(format!("{key}="));
        }
        mount::Error::Key { field: text, .. } | mount::Error::Bare(text) => text,
        mount::Error::Target(_) => "--mount",
    };
    Some(text.to_owned())
}

/// Returns ` (did you mean X?)`, or nothing.
pub(super) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or(String::new(), |s| format!(" (did you mean {s}?)"))
}

/// Like [`did_you_mean`] for the nearest of `candidates`.
pub(super) fn hint(typed: &str, candidates: &[&str]) -> String {
    did_you_mean(suggest(typed, candidates.iter().copied()))
}
