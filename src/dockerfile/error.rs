//! What can be wrong with a Dockerfile's text.

use super::{Span, quote};

/// Why a Dockerfile was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// All physical lines of the instruction; absent when the file as a whole is at fault.
    pub span: Option<Span>,
    pub problem: Problem,
}

/// What was wrong. The texts are those that users of Dockerfiles search for, so they differ from the house's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("the Dockerfile cannot be empty")]
    Empty,
    #[error("file with no instructions")]
    NoInstructions,
    #[error("dockerfile contains no stages to build")]
    NoStages,
    #[error("no build stage in current context")]
    BeforeFirstStage,
    #[error("dockerfile line greater than max allowed size of 65535")]
    LineTooLong,
    #[error("only one {0} parser directive can be used")]
    DuplicateDirective(&'static str),
    #[error("invalid escape token '{0}' does not match ` or \\")]
    InvalidEscape(String),
    #[error("invalid check option {}", quote::quoted(.0))]
    InvalidCheck(String),
    #[error("unterminated heredoc")]
    UnterminatedHeredoc {
        name: String,
        /// The number of a line that would end it but for blanks.
        nearly: Option<usize>,
    },
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings(String),
    #[error("Syntax error - can't find = in {}. Must be of the form: name=value", quote::quoted(.0))]
    NoEqualsSign(String),
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error("unknown instruction: {keyword}{}", did_you_mean(.suggestion.as_deref()))]
    UnknownInstruction {
        keyword: String,
        suggestion: Option<String>,
    },
    #[error("unknown flag: --{flag}{}", did_you_mean(.suggestion.as_deref()))]
    UnknownFlag {
        flag: String,
        suggestion: Option<String>,
        known: Vec<&'static str>,
    },
    #[error("duplicate flag specified: --{0}")]
    DuplicateFlag(&'static str),
    #[error("missing a value on flag: --{0}")]
    MissingFlagValue(&'static str),
    #[error("expecting boolean value for flag --{flag}, not: {value}")]
    NotBoolean { flag: &'static str, value: String },
    #[error("{0} requires at least one argument")]
    AtLeastOneArgument(&'static str),
    #[error("{0} requires exactly one argument")]
    ExactlyOneArgument(&'static str),
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error(
        "{0} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination(&'static str),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("invalid name for build stage: {}, name can't start with a number or contain symbols", quote::quoted(.0))]
    StageName(String),
    #[error("{0} requires the arguments to be in JSON form")]
    NotJson(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    #[error("{keyword} cannot use heredoc {}, because a blank stands inside its word", quote::quoted(.name))]
    HeredocWord { keyword: &'static str, name: String },
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("invalid network mode {}", quote::quoted(.0))]
    Network(String),
    #[error("security {} is not valid", quote::quoted(.0))]
    Security(String),
    #[error("--device is only available with a labs frontend")]
    DeviceNeedsLabs,
    #[error("failed to parse csv mounts: {reason} in {}", quote::quoted(.text))]
    MountFields { text: String, reason: &'static str },
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    MountFromVariable,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthcheckCommand,
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", quote::quoted(.0))]
    HealthcheckType(String),
    #[error("Interval {} cannot be less than 1ms", quote::quoted(.0))]
    HealthcheckInterval(&'static str),
    #[error("invalid value {} for flag --{flag}: {reason}", quote::quoted(.value))]
    HealthcheckFlag {
        flag: &'static str,
        value: String,
        reason: String,
    },
    #[error("--retries cannot be negative ({0})")]
    NegativeRetries(i64),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnbuildOnbuild,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnbuildTrigger(&'static str),
    #[error("an ONBUILD trigger must be one instruction")]
    TriggerCount,
}

impl Problem {
    /// Whether it was found in an instruction's arguments or flags, which the message then says with the line.
    fn in_arguments(&self) -> bool {
        !matches!(
            self,
            Self::Empty
                | Self::NoInstructions
                | Self::NoStages
                | Self::BeforeFirstStage
                | Self::LineTooLong
                | Self::DuplicateDirective(_)
                | Self::InvalidEscape(_)
                | Self::InvalidCheck(_)
                | Self::UnterminatedHeredoc { .. }
                | Self::NotStrings(_)
                | Self::NoEqualsSign(_)
                | Self::TwoArguments(_)
                | Self::TriggerCount
        )
    }

    pub(super) fn at(self, span: Span) -> Error {
        Error {
            span: Some(span),
            problem: self,
        }
    }

    pub(super) fn in_file(self) -> Error {
        Error {
            span: None,
            problem: self,
        }
    }
}

impl std::error::Error for Error {}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Some(span), true) = (self.span, self.problem.in_arguments()) {
            write!(f, "dockerfile parse error on line {}: ", span.first_line)?;
        }
        self.problem.fmt(f)
    }
}

impl Error {
    /// Returns the word that is at fault, as it stands in the instruction or nearly so, if it is a single one.
    pub fn word(&self) -> Option<String> {
        let text = match &self.problem {
            Problem::UnknownInstruction { keyword, .. } => keyword,
            Problem::UnknownFlag { flag, .. } => return Some(format!("--{flag}")),
            Problem::DuplicateFlag(flag)
            | Problem::MissingFlagValue(flag)
            | Problem::HealthcheckInterval(flag) => return Some(format!("--{flag}")),
            Problem::NotBoolean { flag, value } | Problem::HealthcheckFlag { flag, value, .. } => {
                return Some(format!("--{flag}={value}"));
            }
            Problem::NegativeRetries(number) => return Some(format!("--retries={number}")),
            Problem::Network(mode) => return Some(format!("--network={mode}")),
            Problem::Security(mode) => return Some(format!("--security={mode}")),
            Problem::DeviceNeedsLabs => "--device",
            Problem::MountFromVariable => "from=",
            Problem::BlankName(_) => "=",
            Problem::HealthcheckNone => "NONE",
            Problem::HealthcheckCommand => "CMD",
            Problem::InvalidCheck(text) if text.is_empty() => "check",
            Problem::DuplicateDirective(key) => key,
            Problem::InvalidEscape(text)
            | Problem::InvalidCheck(text)
            | Problem::NoEqualsSign(text)
            | Problem::NotStrings(text)
            | Problem::StageName(text)
            | Problem::HealthcheckType(text)
            | Problem::MountFields { text, .. }
            | Problem::UnterminatedHeredoc { name: text, .. }
            | Problem::HeredocWord { name: text, .. } => text,
            Problem::OnbuildTrigger(keyword) => keyword,
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// Returns ` (did you mean X?)`, or nothing.
pub(super) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or(String::new(), |s| format!(" (did you mean {s}?)"))
}
