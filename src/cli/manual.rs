//! `executor completion` and `executor man`: the tables of flags and commands as clap describes them, and what it makes of them.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::env::{Effect, VARIABLES};
use super::table::Flag;
use super::usage::Page;
use super::value::Kind;
use super::{Error, PAGE, page as page_of};

pub const COMPLETION: Page = Page {
    about: "Print a completion script for bash, zsh or fish",
    usage: &["executor completion <shell> [flags]"],
    commands: &[],
    flags: &[],
};

pub const MAN: Page = Page {
    about: "Print the manual page",
    usage: &["executor man [flags]"],
    commands: &[],
    flags: &[],
};

/// What values of flags and of arguments name, for shells that complete them.
#[rustfmt::skip] // a table keeps its columns
const HINTS: &[(&str, ValueHint)] = &[
    ("cache-dir",        ValueHint::DirPath),
    ("context",          ValueHint::AnyPath),
    ("digest-file",      ValueHint::FilePath),
    ("dockerfile",       ValueHint::FilePath),
    ("image-name-tag-with-digest-file", ValueHint::FilePath),
    ("image-name-with-digest-file", ValueHint::FilePath),
    ("kaniko-dir",       ValueHint::DirPath),
    ("oci-layout-path",  ValueHint::DirPath),
    ("path",             ValueHint::AnyPath),
    ("report",           ValueHint::FilePath),
    ("tar-path",         ValueHint::FilePath),
];

/// Flags and arguments that take one of a few words, although any text is accepted before it is judged.
const WORDS: &[(&str, &[&str])] = &[
    ("log-format", &["color", "text", "json"]),
    ("shell", &["bash", "zsh", "fish"]),
    ("snapshot-mode", &["full", "redo", "time"]),
    (
        "verbosity",
        &["trace", "debug", "info", "warn", "error", "fatal", "panic"],
    ),
];

/// Returns the completion script for a shell.
pub fn completion(shells: &[String]) -> Result<String, Error> {
    let [shell] = shells else {
        return Err(Error::ArgumentCount(shells.len()));
    };
    let generator = match &**shell {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => return Err(Error::Shell(shell.clone())),
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut command(), "executor", &mut script);
    let script = String::from_utf8(script).expect("names and texts are UTF-8");
    Ok(match generator {
        Shell::Fish => script.replacen(FISH_GIVES_UP, FISH_TRIES_AGAIN, 1),
        _ => script,
    })
}

/// Where the script for fish finds no subcommand because the last flag's value is still to be typed.
const FISH_GIVES_UP: &str = "    or return\n";
/// The same with an empty value in its place.
const FISH_TRIES_AGAIN: &str =
    "    or argparse -s (__fish_executor_global_optspecs) -- $cmd '' 2>/dev/null\n    or return\n";

/// Returns the manual page, in the language of `man`.
pub fn page() -> String {
    let mut text = Vec::new();
    let man = Man::new(command()).manual("User Commands");
    let rendered = man
        .render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .and_then(|()| commands().to_writer(&mut text))
        .and_then(|()| environment().to_writer(&mut text))
        .and_then(|()| exit_status().to_writer(&mut text));
    rendered.expect("memory takes every text");
    String::from_utf8(text).expect("names and texts are UTF-8")
}

fn commands() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for (name, about) in PAGE.commands {
        roff.control("TP", []);
        let usage = page_of(name).map_or("executor help [command]", |page| page.usage[0]);
        roff.text([bold(usage.strip_suffix(" [flags]").unwrap_or(usage))]);
        roff.text([roman(format!("{about}."))]);
        for flag in page_of(name).into_iter().flat_map(|page| page.flags) {
            // those of a build are described above
            let own = flag.iter().filter(|flag| !is_of_build(flag));
            for flag in own.filter(|flag| flag.is_listed()) {
                roff.control("br", []);
                let short = flag.short.map(|short| format!("-{short}, "));
                let spelling = format!("{}--{}", short.unwrap_or_default(), flag.name);
                roff.text([bold(spelling), roman(format!(": {}", flag.help))]);
            }
        }
    }
    roff
}

fn environment() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for variable in VARIABLES {
        let note = match variable.effect {
            Effect::Works => String::new(),
            Effect::Idle(reason) => format!(" (no effect: {reason})"),
        };
        roff.control("TP", []);
        roff.text([bold(variable.name)]);
        roff.text([roman(format!("{}{note}.", variable.meaning))]);
    }
    roff
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    #[rustfmt::skip] // a table keeps its columns
    let rows = [
        ("0",         "The image was built and is where it was to go, or there was nothing to build."),
        ("1",         "Whatever else failed."),
        ("2",         "The executor found a mistake of its own; or a RUN failed with that status."),
        ("129, 130, 131, 143", "Stopped by SIGHUP, SIGINT, SIGQUIT or SIGTERM; everything was put back."),
        ("255",       "A RUN was killed by a signal."),
        ("any other", "That of the RUN that failed."),
    ];
    for (status, meaning) in rows {
        roff.control("TP", []);
        roff.text([bold(status)]);
        roff.text([roman(meaning)]);
    }
    roff
}

/// Returns the whole command line as clap describes it.
fn command() -> Command {
    let subcommands = PAGE
        .commands
        .iter()
        .map(|(name, about)| match page_of(name) {
            Some(page) => describe(name, page),
            None => Command::new(*name).about(*about).arg(command_name()),
        });
    describe("executor", &PAGE)
        .version(concat!("v", env!("CARGO_PKG_VERSION")))
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .subcommands(subcommands)
}

/// The argument of `executor help`.
fn command_name() -> Arg {
    let names = PAGE.commands.iter().map(|(name, _)| *name);
    Arg::new("command").value_parser(PossibleValuesParser::new(names))
}

fn describe(name: &'static str, page: &'static Page) -> Command {
    let flags = page.flags.iter().copied().flatten();
    let mut flags: Vec<&Flag> = flags.filter(|flag| flag.is_listed()).collect();
    flags.sort_by_key(|flag| flag.name);
    Command::new(name)
        .about(page.about)
        .args(flags.into_iter().map(flag))
        .args(arguments(page).map(|name| with_values(Arg::new(name).required(true), name)))
}

fn flag(flag: &'static Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    let arg = match flag.kind {
        Kind::Bool => return arg.action(ArgAction::SetTrue),
        kind if kind.is_repeatable() => arg.action(ArgAction::Append),
        Kind::Sbom | Kind::Provenance => {
            let arg = arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true);
            return arg.value_name("string");
        }
        _ => arg.action(ArgAction::Set),
    };
    let arg = match flag.kind {
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)),
        _ => with_values(arg, flag.name),
    };
    let arg = arg.value_name(flag.kind.word());
    match flag.default {
        "" => arg,
        default => arg.default_value(default),
    }
}

/// Adds what is known of the values, by the name of a flag or an argument.
fn with_values(arg: Arg, name: &str) -> Arg {
    let arg = match WORDS.iter().find(|(known, _)| *known == name) {
        Some((_, words)) => arg.value_parser(PossibleValuesParser::new(*words)),
        None => arg,
    };
    match HINTS.iter().find(|(known, _)| *known == name) {
        Some((_, hint)) => arg.value_hint(*hint),
        None => arg.value_hint(ValueHint::Other),
    }
}

/// Returns the names of a command's arguments, which its usage line has in angle brackets.
fn arguments(page: &'static Page) -> impl Iterator<Item = &'static str> {
    let words = page.usage[0].split(' ');
    words.filter_map(|word| word.strip_prefix('<')?.strip_suffix('>'))
}

fn is_of_build(flag: &Flag) -> bool {
    let mut flags = PAGE.flags.iter().copied().flatten();
    flags.any(|other| other.name == flag.name && other.help == flag.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clap_is_told_makes_sense() {
        command().debug_assert();
        let known = |name: &str| {
            command().get_arguments().any(|arg| arg.get_id() == name)
                || ["path", "shell", "report"].contains(&name)
        };
        for (name, _) in HINTS {
            assert!(known(name), "{name}");
        }
        for (name, _) in WORDS {
            assert!(known(name), "{name}");
        }
    }

    #[test]
    fn every_listed_flag_and_variable_is_in_the_manual() {
        let page = page();
        let plain = page.replace("\\-", "-");
        for flag in PAGE
            .flags
            .iter()
            .copied()
            .flatten()
            .filter(|f| f.is_listed())
        {
            assert!(plain.contains(&format!("--{}", flag.name)), "{}", flag.name);
        }
        for variable in VARIABLES {
            assert!(plain.contains(variable.name), "{}", variable.name);
        }
    }
}
