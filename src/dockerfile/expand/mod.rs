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

#[cfg(test)]
mod tests;

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
    /// The line of a word with several in which expansion stopped, from the substitution on.
    pub part: String,
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
    #[error("its variables make more than {LARGEST} bytes of it")]
    TooLarge,
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

/// Returns the last substitution that begins before `end`, or what is left of its line.
fn part_at_fault(word: &str, end: usize) -> &str {
    let start = word[..end].rfind("${").unwrap_or(0);
    let line = word[start..].lines().next().unwrap_or_default();
    line.find('}').map_or(line, |brace| &line[..=brace])
}

/// Whether escapes are removed, or kept for a pattern that is read later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Removed,
    Kept,
}

/// How deep substitutions may be nested.
const DEEPEST: usize = 100;

/// How many bytes variables may bring into a text. A few that name each other would soon be larger than any memory, and none that is
/// a tenth of this can be given to a program.
const LARGEST: usize = 1 << 20;

struct Expander<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    quotes: Quotes,
    lookup: &'a Lookup<'a>,
    depth: usize,
    /// Bytes that variables have brought so far.
    brought: usize,
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
            brought: 0,
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
            Err(problem) => {
                let rest: String = self.chars.collect();
                let part = part_at_fault(word, word.len() - rest.len());
                Err(Error {
                    word: word.to_owned(),
                    part: part.to_owned(),
                    problem,
                })
            }
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
