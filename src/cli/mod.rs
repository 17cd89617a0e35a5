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
use args::Parsed;
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
    commands: &LISTED,
    flags: EXECUTOR,
};

/// What the program does besides building, if its first argument names it.
struct Subcommand {
    name: &'static str,
    page: &'static Page,
    read: fn(Parsed) -> Result<Command, Error>,
}

#[rustfmt::skip] // a table keeps its columns
const SUBCOMMANDS: [Subcommand; 11] = [
    Subcommand { name: "cache",       page: &prune::PAGE,        read: |parsed| Ok(Command::Prune(prune::prune(parsed)?)) },
    Subcommand { name: "cache-mount", page: &cache_mount::PAGE,  read: |parsed| Ok(Command::Carry(cache_mount::carry(parsed)?)) },
    Subcommand { name: "completion",  page: &manual::COMPLETION, read: |parsed| Ok(Command::Print(manual::completion(&parsed.positional)?)) },
    Subcommand { name: "job",         page: &job::PAGE,          read: |parsed| Ok(Command::Job(job::job(parsed)?)) },
    Subcommand { name: "index",       page: &push::INDEX,        read: |parsed| Ok(Command::Push(push::index(parsed)?)) },
    Subcommand { name: "login",       page: &login::LOGIN,       read: |parsed| Ok(Command::Login(login::login(&parsed)?)) },
    Subcommand { name: "logout",      page: &login::LOGOUT,      read: |parsed| Ok(Command::Logout(login::registry(&parsed)?)) },
    Subcommand { name: "man",         page: &manual::MAN,        read: |_| Ok(Command::Print(manual::page())) },
    Subcommand { name: "push",        page: &push::PAGE,         read: |parsed| Ok(Command::Push(push::push(parsed)?)) },
    Subcommand { name: "version",     page: &version::PAGE,      read: |_| Ok(Command::Print(version::line())) },
    Subcommand { name: "warm",        page: &warm::PAGE,         read: |parsed| Ok(Command::Warm(warm::warm(parsed)?)) },
];

const HELP: &str = "help";

/// The commands as the help lists them: with itself, which takes the name of another one in place of flags.
const LISTED: [(&str, &str); SUBCOMMANDS.len() + 1] = {
    const PLACE: usize = 3;
    let mut listed = [(HELP, "Help about any command"); SUBCOMMANDS.len() + 1];
    let mut at = 0;
    while at < SUBCOMMANDS.len() {
        let place = if at < PLACE { at } else { at + 1 };
        listed[place] = (SUBCOMMANDS[at].name, SUBCOMMANDS[at].page.about);
        at += 1;
    }
    listed
};

fn find(name: &str) -> Option<&'static Subcommand> {
    const ALL: &[Subcommand] = &SUBCOMMANDS;
    ALL.iter().find(|subcommand| subcommand.name == name)
}

fn page(name: &str) -> Option<&'static Page> {
    Some(find(name)?.page)
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
    if name == HELP {
        let page = rest.iter().find_map(|arg| page(arg)).unwrap_or(&PAGE);
        return Ok(Command::Print(page.help()));
    }
    match find(name) {
        Some(known) => subcommand(known, &rest).map_err(|error| mistake(error, known.page)),
        None => Err(mistake(Error::UnknownCommand(name.into()), &PAGE)),
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

fn subcommand(named: &Subcommand, args: &[String]) -> Result<Command, Error> {
    let parsed = args::parse(named.page.flags, args)?;
    match parsed.help {
        true => Ok(Command::Print(named.page.help())),
        false => (named.read)(parsed),
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
            ("warm -i a -i b -c /c -f -d D --customPlatform=linux/arm64 x", expect![[r#"unknown argument "x": an image to warm is named by --image + usage"#]]),
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
