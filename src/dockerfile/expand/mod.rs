//! Variable expansion: quotes, escapes, `$NAME` and `${NAME…}` (language spec 2.1, 2.2; HD-14).
//!
//! ```
//! use executor::dockerfile::expand::expand;
//! let lookup = |name: &str| (name == "V").then(|| "value".to_owned());
//! let expanded = expand("'$V'-${V%ue}-$U", '\\', &lookup)?;
//! assert_eq!(expanded.text, "$V-val-");
//! assert_eq!(expanded.undefined, ["U"]);
//! # Ok::<(), executor::dockerfile::expand::Error>(())
//! ```

mod output;
mod pattern;
mod variable;

use std::iter::Peekable;
use std::str::Chars;

use super::quote;
use output::Output;

/// Returns a variable's value; `None` if it is not set.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A word after expansion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    pub text: String,
    /// The text split at white space that was neither quoted nor escaped, as `EXPOSE` wants it.
    pub words: Vec<String>,
    /// Every name that was looked at, once, in order.
    pub used: Vec<String>,
    /// The names that were not set and for which nothing else was provided, once, in order.
    pub undefined: Vec<String>,
}

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {problem}", quote::quoted(.word))]
pub struct Error {
    pub word: String,
    pub problem: Problem,
}

/// What was wrong with the word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("unexpected end of statement while looking for matching {0}")]
    OpenQuote(&'static str),
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    #[error("syntax error: missing '}}'")]
    MissingBrace,
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    #[error("invalid pattern {}: {reason}", quote::quoted(.pattern))]
    Pattern {
        pattern: String,
        reason: &'static str,
    },
    #[error("substitutions are nested too deeply")]
    TooDeep,
}

/// Expands a word; quotes and escapes are removed.
///
/// # Errors
/// An open quote, a malformed substitution, or a variable that `${NAME:?message}` requires.
pub fn expand(word: &str, escape: char, lookup: &Lookup<'_>) -> Result<Expanded, Error> {
    Expander::new(word, escape, Quotes::Removed, lookup).run(word)
}

/// Expands a heredoc's body, in which quotes are ordinary characters and the escape is always `\` (HD-14).
///
/// # Errors
/// As for [`expand`].
pub fn expand_heredoc(body: &str, lookup: &Lookup<'_>) -> Result<Expanded, Error> {
    Expander::new(body, '\\', Quotes::Ordinary, lookup).run(body)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Removed,
    Ordinary,
}

/// Whether escapes are removed, or kept for a pattern that is read later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Removed,
    Kept,
}

/// How deep substitutions may be nested.
const DEEPEST: usize = 100;

struct Expander<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    quotes: Quotes,
    lookup: &'a Lookup<'a>,
    depth: usize,
    used: Vec<String>,
    undefined: Vec<String>,
}

impl<'a> Expander<'a> {
    fn new(word: &'a str, escape: char, quotes: Quotes, lookup: &'a Lookup<'a>) -> Self {
        Self {
            chars: word.chars().peekable(),
            escape,
            quotes,
            lookup,
            depth: 0,
            used: Vec::new(),
            undefined: Vec::new(),
        }
    }

    fn run(mut self, word: &str) -> Result<Expanded, Error> {
        match self.until(None, Escapes::Removed) {
            Ok(output) => {
                let (text, words) = output.finish();
                Ok(Expanded {
                    text,
                    words,
                    used: self.used,
                    undefined: self.undefined,
                })
            }
            Err(problem) => Err(Error {
                word: word.to_owned(),
                problem,
            }),
        }
    }

    /// Expands up to a character, which is consumed, or to the end.
    ///
    /// # Errors
    /// [`Problem::MissingBrace`] if the character does not come.
    fn until(&mut self, stop: Option<char>, escapes: Escapes) -> Result<Output, Problem> {
        let mut out = Output::default();
        while let Some(c) = self.chars.next() {
            match c {
                c if stop == Some(c) => return Ok(out),
                '\'' | '"' if self.quotes == Quotes::Removed => {
                    let quoted = match c {
                        '"' => self.double_quoted(escapes),
                        _ => self.single_quoted(),
                    };
                    match (quoted, stop) {
                        (Err(Problem::OpenQuote(_)), Some(_)) => return Err(Problem::MissingBrace),
                        (quoted, _) => out.push_hard_str(&quoted?),
                    }
                }
                '$' => out.push_soft_str(&self.variable()?),
                c if c == self.escape => {
                    let Some(next) = self.chars.next() else { break };
                    if escapes == Escapes::Kept {
                        out.push_hard(c);
                    }
                    out.push_hard(next);
                }
                c => out.push_soft(c),
            }
        }
        match stop {
            Some(_) => Err(Problem::MissingBrace),
            None => Ok(out),
        }
    }

    /// Reads what follows a single quote, raw (EXP-2).
    fn single_quoted(&mut self) -> Result<String, Problem> {
        let mut out = String::new();
        for c in self.chars.by_ref() {
            if c == '\'' {
                return Ok(out);
            }
            out.push(c);
        }
        Err(Problem::OpenQuote("single-quote"))
    }

    /// Expands what follows a double quote (EXP-3).
    fn double_quoted(&mut self, escapes: Escapes) -> Result<String, Problem> {
        let mut out = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                '"' => return Ok(out),
                '$' => out.push_str(&self.variable()?),
                c if c == self.escape => {
                    let escape = self.escape;
                    let escaped = |c: &char| matches!(c, '"' | '$') || *c == escape;
                    match self.chars.next_if(escaped) {
                        Some(next) => {
                            if escapes == Escapes::Kept {
                                out.push(c);
                            }
                            out.push(next);
                        }
                        None => out.push(c),
                    }
                }
                c => out.push(c),
            }
        }
        Err(Problem::OpenQuote("double-quote"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "V" => "value",
            "E" => "",
            "W" => "foobarbaz",
            "P" => "/a/b/a.tar.gz",
            "Q" => "a*b?c",
            "S" => "one  two",
            "ü" => "umlaut",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn result(word: &str, escape: char) -> String {
        match expand(word, escape, &lookup) {
            Ok(expanded) => expanded.text,
            Err(error) => format!("error {}", error.problem),
        }
    }

    #[test]
    fn words() {
        const OPEN: &str = "error unexpected end of statement while looking for matching";
        #[rustfmt::skip]
        let cases = [
            ("$V",              "value"),
            ("${V}",            "value"),
            ("x$V.y",           "xvalue.y"),
            ("$V_x",            ""),
            ("${V}_x",          "value_x"),
            (r"\$V",            "$V"),
            (r"\\$V",           r"\value"),
            ("'$V'",            "$V"),
            ("\"$V\"",          "value"),
            (r#""a\b\"\$V\\""#, r#"a\b"$V\"#),
            (r"'a\b'",          r"a\b"),
            ("\"it's\"",        "it's"),
            (r#"a"b"'c'd"#,     "abcd"),
            ("$",               "$"),
            ("a$ b",            "a$ b"),
            ("$$V",             "V"),
            ("$1x",             "x"),
            ("$12x",            "x"),
            ("$@$*$#$?$-$!$0.", "."),
            ("$(id)",           "$(id)"),
            ("`id`",            "`id`"),
            ("~/x",             "~/x"),
            (r"abc\",           "abc"),
            (r"a\ b\c",         "a bc"),
            ("$ü.",             "umlaut."),
            ("$.",              "$."),
            ("",                ""),
            ("\"\"''",          ""),
        ];
        for (word, want) in cases {
            assert_eq!(result(word, '\\'), want, "{word}");
        }
        for (word, quote) in [
            ("\"abc", "double-quote"),
            ("a'b", "single-quote"),
            ("\"a'", "double-quote"),
        ] {
            assert_eq!(result(word, '\\'), format!("{OPEN} {quote}"), "{word}");
        }
    }

    #[test]
    fn backtick_escape() {
        #[rustfmt::skip]
        let cases = [
            ("`$V",         "$V"),
            (r"C:\$V",      r"C:\value"),
            ("\"`$V`a\\\"", "$V`a\\"),
            ("``",          "`"),
        ];
        for (word, want) in cases {
            assert_eq!(result(word, '`'), want, "{word}");
        }
    }

    #[test]
    fn modifiers() {
        #[rustfmt::skip]
        let cases = [
            ("${V:-d}",        "value"),
            ("${E:-d}",        "d"),
            ("${U:-d}",        "d"),
            ("${V-d}",         "value"),
            ("${E-d}",         ""),
            ("${U-d}",         "d"),
            ("${V:+x}",        "x"),
            ("${E:+x}",        ""),
            ("${U:+x}",        ""),
            ("${V+x}",         "x"),
            ("${E+x}",         "x"),
            ("${U+x}",         ""),
            ("${V:?no}",       "value"),
            ("${E:?no value}", "error E: no value"),
            ("${U:?no value}", "error U: no value"),
            ("${E?no}",        ""),
            ("${U?no}",        "error U: no"),
            ("${U:?}",         "error U: is not allowed to be unset"),
            ("${U?}",          "error U: is not allowed to be unset"),
            ("${E:?}",         "error E: is not allowed to be empty"),
            ("${U:-${V}}",     "value"),
            ("${U:-a${U:-b}c}d", "abcd"),
            ("${U:-\"a b\"}",  "a b"),
            (r"${U:-a\}b}",    "a}b"),
            ("\"${U:-'$V'}\"", "$V"),
            ("${W#f*b}",       "arbaz"),
            ("${W##f*b}",      "az"),
            ("${W%b*}",        "foobar"),
            ("${W%%b*}",       "foo"),
            ("${W#fo?}",       "barbaz"),
            ("${W#[f]oo}",     "foobarbaz"),
            ("${P##*/}",       "a.tar.gz"),
            ("${P%/*}",        "/a/b"),
            ("${W/ba/X}",      "fooXrbaz"),
            ("${W//ba/X}",     "fooXrXz"),
            ("${W//ba/}",      "foorz"),
            ("${W//b?/X}",     "fooXrXz"),
            (r"${P//\//_}",    "_a_b_a.tar.gz"),
            (r"${Q/\*/-}",     "a-b?c"),
            (r"${Q/\?/-}",     "a*b-c"),
            ("${W/o/$V}",      "fvalueobarbaz"),
            ("${W/#foo/X}",    "foobarbaz"),
            ("${W/o*a/-}",     "f-z"),
            ("${U/a/b}",       ""),
            ("${W#$U}",        "foobarbaz"),
            (r"${W/o/b\/c}",   r"fb\/cobarbaz"),
        ];
        for (word, want) in cases {
            assert_eq!(result(word, '\\'), want, "{word}");
        }
    }

    #[test]
    fn malformed() {
        #[rustfmt::skip]
        let cases = [
            ("${V:=d}",   "unsupported modifier (:=) in substitution"),
            ("${V=d}",    "unsupported modifier (=) in substitution"),
            ("${V^}",     "unsupported modifier (^) in substitution"),
            ("${V,,}",    "unsupported modifier (,) in substitution"),
            ("${V@Q}",    "unsupported modifier (@) in substitution"),
            ("${V:0:2}",  "unsupported modifier (:0) in substitution"),
            ("${V:#a}",   "unsupported modifier (:#) in substitution"),
            ("${#V}",     "unsupported modifier (V) in substitution"),
            ("${!V}",     "unsupported modifier (V) in substitution"),
            ("${V",       "unsupported modifier () in substitution"),
            ("${V:",      "unsupported modifier (:) in substitution"),
            ("${}",       "syntax error: bad substitution"),
            ("${:x}",     "syntax error: bad substitution"),
            ("${{x}",     "syntax error: bad substitution"),
            ("${",        "syntax error: missing '}'"),
            ("${V-abc",   "syntax error: missing '}'"),
            ("${V-'abc}", "syntax error: missing '}'"),
            ("${W/ba}",   "syntax error: missing '/' in ${}"),
            ("${W/ba/x",  "syntax error: missing '}'"),
            (r"${W#\a}",  r#"invalid pattern "\\a": only `*`, `?`, `\`, `}` and `/` can be escaped"#),
        ];
        for (word, want) in cases {
            let error = expand(word, '\\', &lookup).unwrap_err();
            assert_eq!(error.problem.to_string(), want, "{word}");
        }
        assert_eq!(
            expand("${U:?}", '\\', &lookup).unwrap_err().to_string(),
            r#"failed to process "${U:?}": U: is not allowed to be unset"#
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{}x{}", "${U:-".repeat(100_000), "}".repeat(100_000));
        let error = expand(&deep, '\\', &lookup).unwrap_err();
        assert_eq!(error.problem, Problem::TooDeep);
        let fine = format!("{}x{}", "${U:-".repeat(50), "}".repeat(50));
        assert_eq!(result(&fine, '\\'), "x");
    }

    #[test]
    fn names() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str], &[&str]); 8] = [
            ("$V$U$V",        &["V", "U"],  &["U"]),
            ("${U:-x}",       &["U"],       &[]),
            ("${U:-$X}",      &["X", "U"],  &["X"]),
            ("${U+x}",        &["U"],       &[]),
            ("${U#x}",        &["U"],       &["U"]),
            ("${U/x/$Y}",     &["Y", "U"],  &["Y", "U"]),
            ("'$U'\\$U",      &[],          &[]),
            ("\"$E\"",        &["E"],       &[]),
        ];
        for (word, used, undefined) in cases {
            let got = expand(word, '\\', &lookup).unwrap();
            assert_eq!(got.used, used, "{word}");
            assert_eq!(got.undefined, undefined, "{word}");
        }
    }

    #[test]
    fn splitting() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str]); 7] = [
            ("$S",          &["one", "two"]),
            ("a$S.b",       &["aone", "two.b"]),
            ("\"$S\"",      &["one  two"]),
            ("a b\\ c",     &["a", "b c"]),
            ("",            &[]),
            ("''",          &[""]),
            ("$U",          &[]),
        ];
        for (word, want) in cases {
            assert_eq!(expand(word, '\\', &lookup).unwrap().words, want, "{word}");
        }
    }

    #[test]
    fn heredocs() {
        #[rustfmt::skip]
        let cases = [
            ("v=$V \\$V \"q\" 'q'\n",   "v=value $V \"q\" 'q'\n"),
            ("'$V'\n",                  "'value'\n"),
            ("\\\\ \\a \\\nx\n",        "\\ a \nx\n"),
            ("${U:-'d'}\n",             "'d'\n"),
            ("it's $U.\n",              "it's .\n"),
        ];
        for (body, want) in cases {
            assert_eq!(expand_heredoc(body, &lookup).unwrap().text, want, "{body}");
        }
    }
}
