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
mod error;
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

use crate::log;
use env::Environment;
use error::mistake;
use table::EXECUTOR;
use usage::Page;
use values::Values;

pub use cache_mount::{Carry, CarryArguments, CarryPlace, Direction};
pub use error::{Advice, Error, Mistake};
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
            ("index create a -d b --registry-mirror=m", expect!["unknown flag: --registry-mirror + usage"]),
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
