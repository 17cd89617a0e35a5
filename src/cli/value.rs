//! Values of flags: what each kind accepts, with Go's rules and messages.

use super::{annotation, attestation, secret};
use crate::dockerfile::{self, duration};
use crate::log::go_quote;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text; the last one wins.
    Text,
    /// Given without value it is true; a value needs `=`.
    Bool,
    Int,
    Duration,
    /// A duration that is not negative.
    Limit,
    /// A duration that is not negative, also in days (`30d`) or weeks.
    Age,
    /// A number of bytes, with a unit; nothing means no limit.
    Size,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Repeatable, one value per use.
    List,
    /// Repeatable, and each use may name several, separated by commas.
    Commas,
    /// Repeatable `key=value`; for the same key the last one wins.
    KeyValue,
    /// Repeatable `key=value[;key=value…]`; the values of a key add up.
    KeyValues,
    GitOption,
    Secret,
    /// Repeatable `[level:]key=value`.
    Annotation,
    /// Given without value it is true; a value needs `=`.
    Sbom,
    /// The same.
    Provenance,
    /// Repeatable `type=kind[,option=value…]`.
    Attest,
}

impl Kind {
    /// Tells whether the flag means something without a value, which therefore is never the next argument.
    pub fn is_switch(self) -> bool {
        matches!(self, Self::Bool | Self::Sbom | Self::Provenance)
    }

    /// Tells whether each use of the flag adds to the uses before it; of others the last one counts.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::List
            | Self::Commas
            | Self::KeyValue
            | Self::KeyValues
            | Self::GitOption
            | Self::Secret
            | Self::Annotation
            | Self::Attest => true,
            Self::Text
            | Self::Bool
            | Self::Int
            | Self::Duration
            | Self::Limit
            | Self::Age
            | Self::Size
            | Self::Choice(_)
            | Self::Sbom
            | Self::Provenance => false,
        }
    }

    /// Says why `text` is no such value.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Text | Self::List | Self::Commas => Ok(()),
            Self::Bool => parse_bool(text).map(drop),
            Self::Int => parse_int(text).map(drop),
            Self::Duration => parse_duration(text).map(drop),
            Self::Limit => parse_duration(text).and_then(not_negative),
            Self::Age => parse_age(text).and_then(not_negative),
            Self::Size => parse_size(text).map(drop),
            Self::Choice(words) if words.contains(&text) => Ok(()),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| go_quote(word)).collect();
                let (last, others) = words.split_last().expect("a choice is not empty");
                Err(format!("must be {} or {last}", others.join(", ")))
            }
            Self::KeyValue => parse_pair(text).map(drop),
            Self::KeyValues => parse_pairs(text).map(drop),
            Self::GitOption => check_git_option(text),
            Self::Secret => secret::parse(text)
                .map(drop)
                .map_err(|error| error.to_string()),
            Self::Annotation => annotation::parse(text).map(drop),
            Self::Sbom => attestation::sbom(text).map(drop),
            Self::Provenance => attestation::provenance(text).map(drop),
            Self::Attest => attestation::attest(text).map(drop),
        }
    }

    /// Returns the word for the value in a help text.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "",
            Self::Int => "int",
            Self::Duration | Self::Limit | Self::Age => "duration",
            Self::Size => "size",
            Self::Text | Self::Choice(_) => "string",
            Self::List | Self::Commas | Self::Secret | Self::Attest => "strings",
            Self::KeyValue | Self::KeyValues | Self::GitOption | Self::Annotation => "key=value",
            Self::Sbom | Self::Provenance => "[=string]",
        }
    }
}

pub fn parse_bool(text: &str) -> Result<bool, String> {
    dockerfile::boolean(text).ok_or_else(|| {
        let text = go_quote(text);
        format!("strconv.ParseBool: parsing {text}: invalid syntax")
    })
}

/// Parses a decimal number, or one with a base prefix, possibly with underscores after it.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let error = |what| {
        let text = go_quote(text);
        format!("strconv.ParseInt: parsing {text}: {what}")
    };
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    let after_prefix = digits.strip_prefix('_').filter(|_| radix != 10);
    let parts: Vec<&str> = after_prefix.unwrap_or(digits).split('_').collect();
    let digits = parts.concat();
    if parts.contains(&"") || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(error("invalid syntax"));
    }
    let magnitude = i128::from_str_radix(&digits, radix);
    let number = magnitude.map(|n| if negative { -n } else { n });
    let number = number.ok().and_then(|n| i64::try_from(n).ok());
    number.ok_or_else(|| error("value out of range"))
}

/// Parses `6h`, `336h0m0s`, `1.5m`; the result is in nanoseconds, the error in Go's words.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let quoted = go_quote(text);
    duration::parse(text).map_err(|error| match error {
        duration::Error::Invalid | duration::Error::TooLong => {
            format!("time: invalid duration {quoted}")
        }
        duration::Error::NoUnit => format!("time: missing unit in duration {quoted}"),
        duration::Error::UnknownUnit(unit) => {
            let unit = go_quote(&unit);
            format!("time: unknown unit {unit} in duration {quoted}")
        }
    })
}

fn not_negative(length: i64) -> Result<(), String> {
    match length {
        0.. => Ok(()),
        _ => Err("it is negative".to_owned()),
    }
}

/// Parses a duration or a number of days (`30d`) or weeks (`2w`); the result is in nanoseconds.
pub fn parse_age(text: &str) -> Result<i64, String> {
    const DAY: i64 = 24 * 3600 * 1_000_000_000;
    for (unit, length) in [('d', DAY), ('w', 7 * DAY)] {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<u32>) {
            let age = i64::from(number).checked_mul(length);
            return age.ok_or_else(|| format!("the duration {} is too long", go_quote(text)));
        }
    }
    parse_duration(text)
}

/// Parses `500MB`, `10G`, `2.5GiB`: units of 1000, or with an `i` of 1024; nothing at all is no size.
pub fn parse_size(text: &str) -> Result<Option<u64>, String> {
    let invalid = || {
        format!(
            "invalid size {}, expected such as 500MB or 10GiB",
            go_quote(text)
        )
    };
    if text.is_empty() {
        return Ok(None);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.strip_suffix(['B', 'b']).unwrap_or(unit);
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) if !letter.is_empty() => (letter, 1024.0_f64),
        _ => (unit, 1000.0),
    };
    let power = match letter {
        "" => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(invalid()),
    };
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let bytes = number * base.powi(power);
    match bytes < 1e18 {
        true => Ok(Some(bytes as u64)),
        false => Err(invalid()),
    }
}

pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.into(), value.into())),
        None => Err(format!(
            "invalid argument value. expect key=value, got {text}"
        )),
    }
}

/// Parses pairs separated by semicolons; nothing at all is no pair.
pub fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    match text {
        "" => Ok(Vec::new()),
        text => text.split(';').map(parse_pair).collect(),
    }
}

fn check_git_option(text: &str) -> Result<(), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(format!(
            "invalid git flag, must be in the key=value format: {text}"
        ));
    };
    match key {
        "single-branch" | "recurse-submodules" | "insecure-skip-tls" => parse_bool(value).map(drop),
        "depth" => parse_int(value).map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(parse_bool(text), Ok(true));
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(parse_bool(text), Ok(false));
        }
        for text in ["", "yes", "tRUE"] {
            let want = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            assert_eq!(parse_bool(text), Err(want));
        }
    }

    #[test]
    fn numbers() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("0",        Ok(0)),
            ("-1",       Ok(-1)),
            ("+7",       Ok(7)),
            ("0x1F",     Ok(31)),
            ("010",      Ok(8)),
            ("0o10",     Ok(8)),
            ("0b11",     Ok(3)),
            ("0x_ff",    Ok(255)),
            ("1_000",    Ok(1000)),
            ("_1",       Err("strconv.ParseInt: parsing \"_1\": invalid syntax")),
            ("9223372036854775807", Ok(i64::MAX)),
            ("9223372036854775808", Err("strconv.ParseInt: parsing \"9223372036854775808\": value out of range")),
            ("",         Err("strconv.ParseInt: parsing \"\": invalid syntax")),
            ("08",       Err("strconv.ParseInt: parsing \"08\": invalid syntax")),
            ("1.5",      Err("strconv.ParseInt: parsing \"1.5\": invalid syntax")),
            ("x",        Err("strconv.ParseInt: parsing \"x\": invalid syntax")),
        ];
        for (text, want) in cases {
            assert_eq!(parse_int(text), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn durations() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("6",   Err("time: missing unit in duration \"6\"")),
            ("6d",  Err("time: unknown unit \"d\" in duration \"6d\"")),
            ("h",   Err("time: invalid duration \"h\"")),
            ("99999999999999999999h", Err("time: invalid duration \"99999999999999999999h\"")),
            ("1ms", Ok(1_000_000)),
        ];
        for (text, want) in cases {
            assert_eq!(parse_duration(text), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn ages() {
        const HOUR: i64 = 3600 * 1_000_000_000;
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("30d",  Ok(720 * HOUR)),
            ("2w",   Ok(336 * HOUR)),
            ("12h",  Ok(12 * HOUR)),
            ("0d",   Ok(0)),
            ("1.5d", Err(())),
            ("d",    Err(())),
            ("-1d",  Err(())),
            ("4294967295w", Err(())),
        ];
        for (text, want) in cases {
            assert_eq!(parse_age(text).map_err(drop), want, "{text}");
        }
    }

    #[test]
    fn sizes() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",        Ok(None)),
            ("0",       Ok(Some(0))),
            ("1234",    Ok(Some(1234))),
            ("500MB",   Ok(Some(500_000_000))),
            ("10G",     Ok(Some(10_000_000_000))),
            ("2.5GiB",  Ok(Some(5 << 29))),
            ("1Ki",     Ok(Some(1024))),
            ("B",       Err(())),
            ("i",       Err(())),
            ("1iB",     Err(())),
            ("-1",      Err(())),
            ("1.2.3M",  Err(())),
            ("9999999T", Err(())),
            ("1 GB",    Err(())),
        ];
        for (text, want) in cases {
            assert_eq!(parse_size(text).map_err(drop), want, "{text}");
        }
    }

    #[test]
    fn what_kinds_refuse() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (Kind::KeyValue,  "a=b=c",  ""),
            (Kind::KeyValue,  "a",      "invalid argument value. expect key=value, got a"),
            (Kind::KeyValues, "",       ""),
            (Kind::KeyValues, "a=b;c=d/e", ""),
            (Kind::KeyValues, "a=b;c",  "invalid argument value. expect key=value, got c"),
            (Kind::Choice(&["gzip", "zstd"]), "xz", "must be \"gzip\" or \"zstd\""),
            (Kind::Choice(&["gzip", "zstd"]), "zstd", ""),
            (Kind::GitOption, "depth=1", ""),
            (Kind::GitOption, "new=1",  ""),
            (Kind::GitOption, "branch", "invalid git flag, must be in the key=value format: branch"),
            (Kind::GitOption, "depth=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            (Kind::GitOption, "single-branch=", "strconv.ParseBool: parsing \"\": invalid syntax"),
            (Kind::Secret,    "src=x",  "secret requires id=ID"),
            (Kind::Duration,  "-1h",    ""),
            (Kind::Limit,     "-1h",    "it is negative"),
            (Kind::Limit,     "0s",     ""),
            (Kind::Age,       "-1h",    "it is negative"),
        ];
        for (kind, text, want) in cases {
            let got = kind.check(text).err().unwrap_or_default();
            assert_eq!(got, want, "{kind:?} {text}");
        }
    }
}
