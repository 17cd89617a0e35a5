//! From arguments to values, by the rules of Go's pflag: GNU long options, values with `=` or as the next argument, booleans
//! only with `=`, grouped short forms.

use super::Error;
use super::table::{Flag, State};
use super::values::Values;
use crate::dockerfile::suggest;

/// What the arguments say.
#[derive(Debug)]
pub struct Parsed {
    pub values: Values,
    pub positional: Vec<String>,
    /// `--help` or `-h` was met; what follows it was not looked at.
    pub help: bool,
    /// Notices about spellings that should no longer be used, to be printed on stderr.
    pub notices: Vec<String>,
}

/// Finds the first argument that is neither a flag nor a flag's value, which is a subcommand. Returns its position.
pub fn find_command(table: &[&[Flag]], args: &[String]) -> Option<usize> {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        if arg == "--" {
            return None;
        }
        let takes_next = match (arg.strip_prefix("--"), arg.strip_prefix('-')) {
            (Some(long), _) => !arg.contains('=') && !is_bool(by_name(table, long), long),
            (None, Some(short)) => {
                let short: Vec<char> = short.chars().collect();
                matches!(&*short, [one] if *one != 'h' && !is_bool(by_short(table, *one), ""))
            }
            (None, None) if !arg.is_empty() => return Some(at),
            (None, None) => false,
        };
        at += if takes_next { 2 } else { 1 };
    }
    None
}

fn is_bool(flag: Option<&Flag>, name: &str) -> bool {
    name == "help" || flag.is_some_and(|flag| flag.kind.is_switch())
}

fn by_name<'a>(table: &[&'a [Flag]], name: &str) -> Option<&'a Flag> {
    table.iter().copied().flatten().find(|f| f.name == name)
}

fn by_short<'a>(table: &[&'a [Flag]], short: char) -> Option<&'a Flag> {
    let mut flags = table.iter().copied().flatten();
    flags.find(|f| f.short == Some(short))
}

/// Parses the arguments of one command, from left to right; the first mistake ends it.
pub fn parse(table: &'static [&'static [Flag]], args: &[String]) -> Result<Parsed, Error> {
    let mut parsed = Parsed {
        values: Values::new(table),
        positional: Vec::new(),
        help: false,
        notices: Vec::new(),
    };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            parsed.positional.extend(rest.cloned());
            break;
        }
        if let Some(long) = arg.strip_prefix("--") {
            parse_long(table, arg, long, &mut rest, &mut parsed)?;
        } else if let Some(group) = arg.strip_prefix('-').filter(|group| !group.is_empty()) {
            parse_short(table, group, &mut rest, &mut parsed)?;
        } else {
            parsed.positional.push(arg.clone());
        }
        if parsed.help {
            break;
        }
    }
    // An empty argument is what an unset variable in quotes leaves behind.
    parsed.positional.retain(|arg| !arg.is_empty());
    Ok(parsed)
}

fn parse_long(
    table: &[&[Flag]],
    arg: &str,
    long: &str,
    rest: &mut std::slice::Iter<'_, String>,
    parsed: &mut Parsed,
) -> Result<(), Error> {
    if long.starts_with(['-', '=']) {
        return Err(Error::FlagSyntax(arg.into()));
    }
    let (name, value) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (long, None),
    };
    let Some(flag) = by_name(table, name) else {
        if name == "help" {
            parsed.help = true;
            return Ok(());
        }
        let names = table.iter().flat_map(|part| part.iter());
        let listed = |flag: &&Flag| matches!(flag.state, State::Works | State::Holds(_));
        let names = names.filter(listed).map(|flag| flag.name);
        let (name, meant) = (name.to_owned(), suggest(name, names));
        return Err(Error::UnknownFlag { name, meant });
    };
    let value = match value {
        Some(value) => value,
        None if flag.kind.is_switch() => "true",
        None => rest
            .next()
            .ok_or_else(|| Error::NoValue(format!("--{name}")))?,
    };
    set(flag, value, parsed)
}

fn parse_short(
    table: &[&[Flag]],
    group: &str,
    rest: &mut std::slice::Iter<'_, String>,
    parsed: &mut Parsed,
) -> Result<(), Error> {
    let mut left = group;
    while let Some(short) = left.chars().next() {
        let after = &left[short.len_utf8()..];
        let Some(flag) = by_short(table, short) else {
            if short == 'h' {
                parsed.help = true;
                return Ok(());
            }
            return Err(Error::UnknownShort {
                short,
                group: left.into(),
            });
        };
        if let Some(value) = after.strip_prefix('=').filter(|value| !value.is_empty()) {
            return set(flag, value, parsed);
        }
        if flag.kind.is_switch() {
            set(flag, "true", parsed)?;
            left = after;
            continue;
        }
        let value = match after {
            "" => rest
                .next()
                .ok_or_else(|| Error::NoValue(format!("'{short}' in -{left}")))?,
            value => value,
        };
        return set(flag, value, parsed);
    }
    Ok(())
}

fn set(flag: &Flag, value: &str, parsed: &mut Parsed) -> Result<(), Error> {
    flag.kind.check(value).map_err(|reason| Error::Invalid {
        value: value.into(),
        flag: match flag.short {
            Some(short) => format!("-{short}, --{}", flag.name),
            None => format!("--{}", flag.name),
        },
        reason,
    })?;
    parsed.values.add(flag, value);
    if let State::Deprecated(_, notice) = flag.state {
        let name = flag.name;
        let notice = format!("Flag --{name} has been deprecated, {notice}");
        parsed.notices.push(notice);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::table::EXECUTOR;
    use super::*;

    /// Parses words and prints what was given, or the error.
    fn check(words: &str) -> String {
        let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        match parse(EXECUTOR, &args) {
            Err(error) => error.to_string(),
            Ok(parsed) => {
                let given = parsed.values.given();
                let given = given.map(|(name, value)| format!("{name}={value}"));
                let mut parts: Vec<String> = given.collect();
                parts.extend(parsed.positional.iter().map(|arg| format!("+{arg}")));
                parts.extend(parsed.help.then(|| "help".into()));
                parts.extend(parsed.notices);
                parts.join(" ")
            }
        }
    }

    #[test]
    fn what_is_probably_meant() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("--destnation=a/b", Some("is `--destination` meant?")),
            ("--build-args=a",   Some("is `--build-arg` meant?")),
            ("--nonsense",       None),
        ];
        for (arg, want) in cases {
            let error = parse(EXECUTOR, &[arg.to_owned()]).unwrap_err();
            assert_eq!(error.help().as_deref(), want, "{arg}");
        }
    }

    #[test]
    fn spellings() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("--context a --context=b",        "context=b"),
            ("-c a",                           "context=a"),
            ("-ca",                            "context=a"),
            ("-c=a",                           "context=a"),
            ("-c -f",                          "context=-f"),
            ("--context --force",              "context=--force"),
            ("--context=",                     "context="),
            ("-d a -d b,c --destination=d",    "destination=a destination=b,c destination=d"),
            ("--target=a,B --target c",        "target=a target=B target=c"),
            ("--cache",                        "cache=true"),
            ("--cache=F",                      "cache=F"),
            ("--cache true",                   "cache=true +true"),
            ("--tarPath x --tar-path y",       "tar-path=y"),
            ("--tar-path y --tarPath=x",       "tar-path=x"),
            ("--whitelist-var-run=false",      "ignore-var-run=false Flag --whitelist-var-run has been deprecated, Please use ignore-var-run instead."),
            ("--build-arg A=b=c --build-arg D", "build-arg=A=b=c build-arg=D"),
            ("-- --cache",                     "+--cache"),
            (" - a",                           "+- +a"),
            ("--force --help --nonsense",      "force=true help"),
            ("-h",                             "help"),
        ];
        for (words, want) in cases {
            assert_eq!(check(words), want, "{words}");
        }
    }

    #[test]
    fn mistakes() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("--x",                      "unknown flag: --x"),
            ("--x=1 --y",                "unknown flag: --x"),
            ("---x",                     "bad flag syntax: ---x"),
            ("--=x",                     "bad flag syntax: --=x"),
            ("-x",                       "unknown shorthand flag: 'x' in -x"),
            ("-c",                       "flag needs an argument: 'c' in -c"),
            ("--context",                "flag needs an argument: --context"),
            ("--cache=maybe",            "invalid argument \"maybe\" for \"--cache\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"),
            ("--push-retry=x",           "invalid argument \"x\" for \"--push-retry\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("--cache-ttl=6",            "invalid argument \"6\" for \"--cache-ttl\" flag: time: missing unit in duration \"6\""),
            ("--annotation a",           "invalid argument \"a\" for \"--annotation\" flag: invalid argument value. expect key=value, got a"),
            ("--compression=xz",         "invalid argument \"xz\" for \"--compression\" flag: must be \"gzip\" or \"zstd\""),
            ("--isolation=vm",           "invalid argument \"vm\" for \"--isolation\" flag: must be \"auto\", \"namespaces\", \"in-place\" or \"chroot\""),
        ];
        for (words, want) in cases {
            assert_eq!(check(words), want, "{words}");
        }
    }

    #[test]
    fn where_the_subcommand_stands() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("version",                  Some(0)),
            ("--cache true",             Some(1)),
            ("--cache=true -c x login",  Some(3)),
            ("-c version",               None),
            ("--unknown version",        None),
            ("-- version",               None),
            ("-h version",               Some(1)),
            (" --force",                 None),
        ];
        for (words, want) in cases {
            let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
            assert_eq!(find_command(EXECUTOR, &args), want, "{words}");
        }
    }
}
