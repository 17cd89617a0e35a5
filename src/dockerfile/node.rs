//! An instruction taken apart into keyword, flags, arguments and heredocs, before its own rules apply.
//!
//! What is wrong here is wrong wherever the instruction stands, even in an `ONBUILD` trigger, and is found in the whole
//! file before any instruction is looked at (language spec 1.8).

use super::heredoc::{self, Introducer};
use super::instruction::{Heredoc, KeyValue};
use super::keyword::Keyword;
use super::lines::{Lines, LogicalLine};
use super::{Error, Problem, Span, flags, json_form, words};

/// One instruction.
#[derive(Debug)]
pub(super) struct Node {
    pub span: Span,
    /// The logical line.
    pub text: String,
    /// As typed.
    pub keyword: String,
    pub flags: Vec<String>,
    pub arguments: Arguments,
    pub heredocs: Vec<Heredoc>,
    pub comments: Vec<String>,
    pub empty_continuation: bool,
}

/// An instruction's arguments, split as its kind wants them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// All in one, trimmed, perhaps empty.
    Text(String),
    Words(Vec<String>),
    Json(Vec<String>),
    Pairs {
        pairs: Vec<KeyValue>,
        /// Written without `=`.
        legacy: bool,
    },
    /// The first word of `HEALTHCHECK`, and what follows it.
    Healthcheck(String, Box<Arguments>),
    /// The keyword of an `ONBUILD` trigger, as typed.
    Trigger(String),
}

/// Takes the whole text apart.
pub(super) fn read(text: &[u8], escape: char, directive_lines: usize) -> Result<Vec<Node>, Error> {
    let mut lines = Lines::new(text);
    let mut nodes = Vec::new();
    while let Some(line) = lines.next_logical(escape, directive_lines)? {
        nodes.push(Node::read(line, &mut lines, escape)?);
    }
    Ok(nodes)
}

impl Node {
    fn read(line: LogicalLine, lines: &mut Lines<'_>, escape: char) -> Result<Self, Error> {
        let first_line = line.span.first_line;
        let parts = Parts::split(&line.text, escape).map_err(|problem| problem.at(line.span))?;
        let mut heredocs = Vec::new();
        if parts.takes_heredocs {
            for introducer in heredoc::introducers(&line.text) {
                heredocs.push(heredoc::read_body(introducer, lines, first_line)?);
            }
        }
        Ok(Self {
            span: Span {
                first_line,
                last_line: lines.number(),
            },
            keyword: parts.keyword,
            flags: parts.flags,
            arguments: parts.arguments,
            heredocs,
            text: line.text,
            comments: line.comments,
            empty_continuation: line.empty_continuation,
        })
    }

    /// Returns the last body given to the name in an argument such as `<<EOF`, if that was found to be a heredoc (HD-16).
    pub fn heredoc(&self, argument: &str) -> Option<&Heredoc> {
        let name = Introducer::parse(argument)?.name;
        self.heredocs.iter().rfind(|heredoc| heredoc.name == name)
    }
}

struct Parts {
    keyword: String,
    flags: Vec<String>,
    arguments: Arguments,
    takes_heredocs: bool,
}

impl Parts {
    fn split(line: &str, escape: char) -> Result<Self, Problem> {
        let (typed, rest) = words::split_first(line.trim());
        let (flags, rest) = flags::split(rest.unwrap_or_default(), escape);
        let keyword = Keyword::find(typed);
        let mut takes_heredocs = keyword.is_some_and(Keyword::takes_heredocs);
        let arguments = match keyword {
            Some(Keyword::Onbuild) => {
                let (trigger, trigger_takes_heredocs) = trigger(rest, escape)?;
                takes_heredocs = trigger_takes_heredocs;
                Arguments::Trigger(trigger)
            }
            Some(keyword) => Arguments::split(keyword, rest, escape)?,
            None => Arguments::Text(rest.to_owned()),
        };
        Ok(Self {
            takes_heredocs: takes_heredocs && !matches!(arguments, Arguments::Json(_)),
            keyword: typed.to_owned(),
            flags,
            arguments,
        })
    }
}

/// Looks for mistakes in a trigger; returns its keyword and whether it may have heredocs.
fn trigger(text: &str, escape: char) -> Result<(String, bool), Problem> {
    // A trigger that is itself an ONBUILD is refused later, so this goes no deeper.
    let (typed, _) = words::split_first(text);
    if Keyword::find(typed) == Some(Keyword::Onbuild) {
        return Ok((typed.to_owned(), false));
    }
    let parts = Parts::split(text, escape)?;
    Ok((parts.keyword, parts.takes_heredocs))
}

impl Arguments {
    fn split(keyword: Keyword, text: &str, escape: char) -> Result<Self, Problem> {
        Ok(match keyword {
            Keyword::Cmd | Keyword::Entrypoint | Keyword::Run | Keyword::Shell => {
                json_or_text(text)?
            }
            Keyword::Add | Keyword::Copy | Keyword::Volume => match json_form::parse(text)? {
                Some(words) => Self::Json(words),
                None => Self::Words(words::split_blanks(text)),
            },
            Keyword::Expose | Keyword::From => Self::Words(words::split_blanks(text)),
            Keyword::Arg => Self::Words(words::split_quoted(text, escape)),
            Keyword::Env | Keyword::Label => pairs(keyword, text, escape)?,
            Keyword::Healthcheck => {
                let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                Self::Healthcheck(kind.to_owned(), Box::new(json_or_text(rest.trim_start())?))
            }
            Keyword::Maintainer
            | Keyword::Onbuild
            | Keyword::Stopsignal
            | Keyword::User
            | Keyword::Workdir => Self::Text(text.to_owned()),
        })
    }
}

fn json_or_text(text: &str) -> Result<Arguments, Problem> {
    Ok(match json_form::parse(text)? {
        Some(words) => Arguments::Json(words),
        None => Arguments::Text(text.to_owned()),
    })
}

/// Reads `name=value` pairs, or the legacy form `name value` (SPL-3).
fn pairs(keyword: Keyword, text: &str, escape: char) -> Result<Arguments, Problem> {
    let words = words::split_quoted(text, escape);
    if words.first().is_some_and(|word| !word.contains('=')) {
        let (key, Some(value)) = words::split_first(text) else {
            return Err(Problem::TwoArguments(keyword.as_str()));
        };
        return Ok(Arguments::Pairs {
            pairs: vec![KeyValue {
                key: key.to_owned(),
                value: value.to_owned(),
            }],
            legacy: true,
        });
    }
    let pairs = words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => Ok(KeyValue {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            None => Err(Problem::NoEqualsSign(word)),
        })
        .collect::<Result<_, _>>()?;
    Ok(Arguments::Pairs {
        pairs,
        legacy: false,
    })
}
