//! The command line, in kaniko's spelling: arguments and environment in, [`Options`] out.
//!
//! `table` lists the flags, [`mod@env`] the variables; `args` parses by the rules of kaniko's parser, and [`options`]
//! combines both and checks the whole. This module alone knows how anything is spelled.

mod annotation;
mod args;
mod attestation;
mod cache_mount;
mod checks;
pub mod env;
pub mod features;
mod helper;
mod job;
mod login;
mod manual;
mod notices;
pub mod options;
mod prune;
mod push;
mod secret;
mod table;
mod text;
mod usage;
mod value;
mod values;
mod version;
mod warm;
mod yaml;

use crate::log::{self, go_quote};
use env::Environment;
use table::EXECUTOR;
use usage::Page;
use values::Values;

pub use cache_mount::{Carry, CarryArguments, CarryPlace, Direction};
pub use helper::Helper;
pub use job::JobArguments;
pub use login::{Login, Password, forget};
pub use options::{Options, Place};
pub use prune::{Prune, PruneArguments};
pub use push::{Push, PushArguments, What};
pub use text::texts;
pub use warm::{Warm, WarmArguments};

/// What the arguments ask for.
#[derive(Debug)]
pub enum Command {
    /// Print this on standard output and end.
    Print(String),
    Build(BuildArguments),
    Push(PushArguments),
    Warm(WarmArguments),
    Prune(PruneArguments),
    Carry(CarryArguments),
    /// Print a Kubernetes Job.
    Job(JobArguments),
    Login(Login),
    /// Forget the credentials for this registry.
    Logout(String),
}

/// A build that is asked for, before the environment is looked at.
#[derive(Debug)]
pub struct BuildArguments {
    values: Values,
    /// Lines to be printed on stderr as they are.
    pub notices: Vec<String>,
}

/// A mistake on the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unknown command {} for \"executor\"", go_quote(.0))]
    UnknownCommand(String),
    #[error("unknown flag: --{0}")]
    UnknownFlag(String),
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

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Destination { source: None, .. } => Some(
                "a destination is `repository[:tag]`; the digest follows from the image".into(),
            ),
            Self::UnknownCommand(word) if value::parse_bool(word).is_ok() => Some(format!(
                "a switch takes its value with `=`, as in `--cache={word}`"
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

/// A mistake, and what is printed below it.
#[derive(Debug)]
pub struct Mistake {
    pub error: Error,
    pub advice: Advice,
}

const PAGE: Page = Page {
    about: "Build a container image from a Dockerfile inside a container, and push it to a registry.",
    usage: &["executor [flags]", "executor [command]"],
    commands: &[
        ("cache", prune::PAGE.about),
        ("cache-mount", cache_mount::PAGE.about),
        ("completion", manual::COMPLETION.about),
        ("help", "Help about any command"),
        ("job", job::PAGE.about),
        ("index", push::INDEX.about),
        ("login", login::LOGIN.about),
        ("logout", login::LOGOUT.about),
        ("man", manual::MAN.about),
        ("push", push::PAGE.about),
        ("version", version::PAGE.about),
        ("warm", warm::PAGE.about),
    ],
    flags: EXECUTOR,
};

fn page(command: &str) -> Option<&'static Page> {
    match command {
        "completion" => Some(&manual::COMPLETION),
        "man" => Some(&manual::MAN),
        "cache" => Some(&prune::PAGE),
        "cache-mount" => Some(&cache_mount::PAGE),
        "job" => Some(&job::PAGE),
        "index" => Some(&push::INDEX),
        "login" => Some(&login::LOGIN),
        "logout" => Some(&login::LOGOUT),
        "push" => Some(&push::PAGE),
        "version" => Some(&version::PAGE),
        "warm" => Some(&warm::PAGE),
        _ => None,
    }
}

/// Reads the arguments that follow the program's name.
///
/// # Spec
/// Compat spec 1.1 and 2.
pub fn parse(args: &[String]) -> Result<Command, Mistake> {
    let Some(at) = args::find_command(EXECUTOR, args) else {
        return build(args).map_err(|error| mistake(error, &PAGE));
    };
    let name = &*args[at];
    let rest: Vec<String> = args[..at].iter().chain(&args[at + 1..]).cloned().collect();
    match (name, page(name)) {
        ("help", _) => {
            let about = rest.iter().find(|arg| !arg.starts_with('-'));
            let page = about.and_then(|name| page(name)).unwrap_or(&PAGE);
            Ok(Command::Print(page.help()))
        }
        (_, Some(page)) => subcommand(name, page, &rest).map_err(|error| mistake(error, page)),
        (_, None) => Err(mistake(Error::UnknownCommand(name.into()), &PAGE)),
    }
}

impl From<Error> for Mistake {
    /// Takes a mistake that the usage text would not help with.
    fn from(error: Error) -> Self {
        let advice = Advice::Nothing;
        Self { error, advice }
    }
}

fn mistake(error: Error, page: &Page) -> Mistake {
    let advice = error.advice(page);
    Mistake { error, advice }
}

fn build(args: &[String]) -> Result<Command, Error> {
    let parsed = args::parse(EXECUTOR, args)?;
    if parsed.help {
        return Ok(Command::Print(PAGE.help()));
    }
    match parsed.positional.into_iter().next() {
        Some(word) => Err(Error::UnknownCommand(word)),
        None => Ok(Command::Build(BuildArguments {
            values: parsed.values,
            notices: parsed.notices,
        })),
    }
}

fn subcommand(name: &str, page: &'static Page, args: &[String]) -> Result<Command, Error> {
    let parsed = args::parse(page.flags, args)?;
    if parsed.help {
        return Ok(Command::Print(page.help()));
    }
    match name {
        "completion" => Ok(Command::Print(manual::completion(&parsed.positional)?)),
        "man" => Ok(Command::Print(manual::page())),
        "cache" => Ok(Command::Prune(prune::prune(parsed)?)),
        "cache-mount" => Ok(Command::Carry(cache_mount::carry(parsed)?)),
        "index" => Ok(Command::Push(push::index(parsed)?)),
        "push" => Ok(Command::Push(push::push(parsed)?)),
        "warm" => Ok(Command::Warm(warm::warm(parsed)?)),
        "job" => Ok(Command::Job(job::job(parsed)?)),
        "login" => Ok(Command::Login(login::login(&parsed)?)),
        "logout" => Ok(Command::Logout(login::registry(&parsed)?)),
        _ => Ok(Command::Print(version::line())),
    }
}

impl BuildArguments {
    /// Returns how the log is to be written; to be started before [`BuildArguments::resolve`].
    pub fn log(&self) -> Result<log::Options, Mistake> {
        log_options(&self.values).map_err(|error| mistake(error.into(), &PAGE))
    }

    /// Combines flags and environment, and checks the whole.
    pub fn resolve(&self, env: &Environment, place: Place<'_>) -> Result<Options, Mistake> {
        let given = options::Given {
            values: &self.values,
            env,
            place,
        };
        Options::resolve(given).map_err(|error| mistake(error, &PAGE))
    }
}

fn log_options(values: &Values) -> Result<log::Options, log::Error> {
    Ok(log::Options {
        level: values.text("verbosity").parse()?,
        format: values.text("log-format").parse()?,
        timestamp: values.bool("log-timestamp"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(words: &str, want: Expect) {
        let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let text = match parse(&args) {
            Ok(Command::Print(text)) => text,
            Ok(other) => format!("{other:?}"),
            Err(Mistake { error, advice }) => match advice {
                Advice::Usage(_) => format!("{error} + usage"),
                Advice::Pointer(line) => format!("{error} + {line}"),
                Advice::Nothing => error.to_string(),
            },
        };
        want.assert_eq(&text);
    }

    #[test]
    fn commands() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("version",                     expect![[r#"
                Kaniko version :  v0.1.0
            "#]]),
            ("version --verbosity=debug",   expect!["unknown flag: --verbosity + usage"]),
            ("--cache true",                expect![[r#"unknown command "true" for "executor" + Run 'executor --help' for usage."#]]),
            ("frobnicate --x",              expect![[r#"unknown command "frobnicate" for "executor" + Run 'executor --help' for usage."#]]),
            ("--x frobnicate",              expect!["unknown flag: --x + usage"]),
            ("-- frobnicate",               expect![[r#"unknown command "frobnicate" for "executor" + Run 'executor --help' for usage."#]]),
            ("push image.tar",              expect!["at least one --destination is required + usage"]),
            ("push -d a/b",                 expect!["accepts 1 arg(s), received 0 + usage"]),
            ("push x -d a/b --no-push",     expect!["unknown flag: --no-push + usage"]),
            ("completion",                  expect!["accepts 1 arg(s), received 0 + usage"]),
            ("completion tcsh",             expect![[r#"no completion script for "tcsh"; there are those of bash, zsh and fish + usage"#]]),
            ("warm",                        expect!["you must select at least one image to cache or a dockerfilepath to parse + usage"]),
            ("warm -i a -i b -c /c -f -d D --customPlatform=linux/arm64 x", expect![[r#"unknown command "x" for "executor" + Run 'executor --help' for usage."#]]),
            ("warm -i a --insecure",        expect!["unknown flag: --insecure + usage"]),
            ("cache",                       expect!["say what to do with the cache: executor cache prune + usage"]),
            ("cache show",                  expect![[r#"unknown command "show" for "executor" + Run 'executor --help' for usage."#]]),
            ("cache prune --keep=1",        expect!["say what to prune with --cache-repo or --cache-dir + usage"]),
            ("cache prune --cache-dir=/c",  expect!["say what may be removed with --older-than, --keep or both + usage"]),
            ("cache prune --cache-dir=/c --older-than=30", expect![[r#"invalid argument "30" for "--older-than" flag: time: missing unit in duration "30" + usage"#]]),
            ("login",                       expect!["accepts 1 arg(s), received 0 + usage"]),
            ("logout host",                 expect![[r#"Logout("host")"#]]),
            ("--verbosity=x",               expect![[r#"Build(BuildArguments { values: {"verbosity": ["x"]}, notices: [] })"#]]),
            ("help logout",                 expect![[r#"
                Forget the credentials for a registry

                Usage:
                  executor logout <registry> [flags]

                Flags:
                  -h, --help   Help about the command
            "#]]),
        ];
        for (words, want) in cases {
            check(words, want);
        }
    }

    #[test]
    fn log_options() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",                    "Options { format: Color, level: Info, timestamp: false }"),
            ("-v debug --log-format=json --log-timestamp", "Options { format: Json, level: Debug, timestamp: true }"),
            ("-vloud",              "parsing log level: not a valid logrus Level: \"loud\""),
            ("--log-format=xml",    "not a valid log format: \"xml\". Please specify one of (text, color, json)"),
        ];
        for (words, want) in cases {
            let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let Ok(Command::Build(arguments)) = parse(&args) else {
                panic!("{words} is a build");
            };
            let got = arguments
                .log()
                .map_or_else(|m| m.error.to_string(), |o| format!("{o:?}"));
            assert_eq!(got, want);
        }
    }
}
