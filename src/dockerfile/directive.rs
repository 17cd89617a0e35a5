//! Parser directives: comments at the top that steer the parser (DIR-1 to DIR-8).

use super::lines::Lines;
use super::{Error, Problem, Span};

/// What the directives say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directives {
    pub escape: char,
    pub syntax: Option<String>,
    /// The value and its line.
    pub check: Option<(String, Span)>,
    /// How many lines the directives take.
    pub lines: usize,
}

/// The frontend a Dockerfile asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    /// As written.
    pub reference: String,
    /// Whether it names the language implemented here; any other frontend deserves a warning.
    pub builtin: bool,
    /// Whether syntax of the labs channel is allowed.
    pub labs: bool,
}

impl Syntax {
    /// Judges a reference by its last path component and its tag (DIR-8).
    ///
    /// ```
    /// use executor::dockerfile::Syntax;
    /// assert!(Syntax::new("mirror.example/docker/dockerfile:1-labs").labs);
    /// assert!(!Syntax::new("example/own-frontend").builtin);
    /// ```
    pub fn new(reference: &str) -> Self {
        let name = reference.split('@').next().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or_default();
        let (last, tag) = last.split_once(':').unwrap_or((last, ""));
        let builtin = matches!(last, "dockerfile" | "dockerfile-upstream");
        Self {
            reference: reference.to_owned(),
            builtin,
            labs: builtin && tag.contains("labs"),
        }
    }

    /// Returns what to warn about if another frontend was asked for.
    pub fn warning(&self) -> Option<String> {
        let reference = &self.reference;
        (!self.builtin).then(|| {
            format!("syntax `{reference}` is not supported; the built-in frontend is used")
        })
    }
}

struct Directive {
    key: &'static str,
    value: String,
    line: usize,
}

/// Reads the directives of a file.
pub(super) fn read(text: &[u8]) -> Result<Directives, Error> {
    // `escape` tolerates white space before `#`, the others tolerate a `#!` line before them (DIR-4, DIR-5).
    let indented = block(text, "#", Tolerates::Indent)?;
    let after_shebang = block(text, "#", Tolerates::Shebang)?;
    let mut directives = Directives {
        escape: '\\',
        syntax: None,
        check: None,
        lines: indented
            .iter()
            .chain(&after_shebang)
            .map(|d| d.line)
            .max()
            .unwrap_or(0),
    };
    if let Some(directive) = indented.into_iter().find(|d| d.key == "escape") {
        directives.escape = match directive.value.as_str() {
            "\\" => '\\',
            "`" => '`',
            _ => {
                return Err(Problem::InvalidEscape(directive.value).at(Span::line(directive.line)));
            }
        };
    }
    for directive in after_shebang {
        let value = directive
            .value
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        match directive.key {
            "syntax" => directives.syntax = Some(value),
            "check" => directives.check = Some((value, Span::line(directive.line))),
            _ => {}
        }
    }
    if directives.syntax.is_none() {
        directives.syntax = foreign_syntax(text)?;
    }
    Ok(directives)
}

/// Finds `syntax` in the other notations that are recognised (DIR-6).
fn foreign_syntax(text: &[u8]) -> Result<Option<String>, Error> {
    let slashes = block(text, "//", Tolerates::Shebang)?
        .into_iter()
        .find(|d| d.key == "syntax")
        .map(|d| d.value);
    let value = slashes.or_else(|| {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(text).ok()?;
        Some(object.get("syntax")?.as_str()?.to_owned())
    });
    Ok(value.and_then(|v| Some(v.split(' ').next()?.to_owned())))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tolerates {
    Indent,
    Shebang,
}

/// Reads directives until the first line that is none (DIR-1).
///
/// # Errors
/// [`Problem::DuplicateDirective`] for a key given twice (DIR-2).
fn block(text: &[u8], mark: &str, tolerates: Tolerates) -> Result<Vec<Directive>, Error> {
    let mut lines = Lines::new(text);
    let mut found: Vec<Directive> = Vec::new();
    while let Some(line) = lines.next_line()? {
        let line = String::from_utf8_lossy(line);
        let line = match tolerates {
            Tolerates::Indent => line.trim_start(),
            Tolerates::Shebang if lines.number() == 1 && line.starts_with("#!") => continue,
            Tolerates::Shebang => &line,
        };
        let Some((key, value)) = line.strip_prefix(mark).and_then(directive) else {
            break;
        };
        if found.iter().any(|d| d.key == key) {
            return Err(Problem::DuplicateDirective(key).at(Span::line(lines.number())));
        }
        found.push(Directive {
            key,
            value: value.to_owned(),
            line: lines.number(),
        });
    }
    Ok(found)
}

/// Reads `key = value` with a known key and a value that is not empty.
pub(super) fn directive(comment: &str) -> Option<(&'static str, &str)> {
    let (key, value) = comment.split_once('=')?;
    let key = ["syntax", "escape", "check"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(key.trim()))?;
    let value = value.trim();
    (!value.is_empty()).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape() {
        #[rustfmt::skip]
        let cases = [
            ("# escape=`",                                    Ok('`')),
            ("#Escape = ` ",                                  Ok('`')),
            ("# syntax=docker/dockerfile:1\n# escape=`",      Ok('`')),
            ("# hello\n# escape=`",                           Ok('\\')),
            ("\n# escape=`",                                  Ok('\\')),
            ("# foo=bar\n# escape=`",                         Ok('\\')),
            ("FROM x\n# escape=`",                            Ok('\\')),
            ("# syntax=\n# escape=`",                         Ok('\\')),
            ("#!/bin/x\n# escape=`",                          Ok('\\')),
            ("  # escape=`",                                  Ok('`')),
            ("\u{feff}# escape=`\r\n",                        Ok('`')),
            ("# escape=\\",                                   Ok('\\')),
            ("# escape=x",         Err("invalid escape token 'x' does not match ` or \\")),
            ("# escape=``",        Err("invalid escape token '``' does not match ` or \\")),
            ("# escape=\\\n# escape=\\", Err("only one escape parser directive can be used")),
            ("# syntax=a\n# SYNTAX=b",   Err("only one syntax parser directive can be used")),
            ("# check=skip=A\n# syntax=x\n# check=skip=B", Err("only one check parser directive can be used")),
        ];
        for (text, want) in cases {
            let got = read(text.as_bytes())
                .map(|d| d.escape)
                .map_err(|e| e.to_string());
            assert_eq!(got, want.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn syntax_and_check() {
        #[rustfmt::skip]
        let cases = [
            // text                                    syntax           check
            ("# syntax=docker/dockerfile:1 x",         Some("docker/dockerfile:1"), None),
            ("# Syntax = Ab",                          Some("Ab"),      None),
            (" # syntax=a\n# check=skip=all",          None,            None),
            ("#!/bin/x\n# syntax=a\n# check=error=true", Some("a"),     Some("error=true")),
            ("# escape=`\n# check=skip=A; error=true", None,            Some("skip=A;")),
            ("//syntax=a b",                           Some("a"),       None),
            ("{\"syntax\": \"a\", \"x\": 1}",          Some("a"),       None),
            ("# c\n# syntax=a",                        None,            None),
        ];
        for (text, syntax, check) in cases {
            let got = read(text.as_bytes()).unwrap();
            assert_eq!(got.syntax.as_deref(), syntax, "{text:?}");
            assert_eq!(
                got.check.as_ref().map(|(v, _)| v.as_str()),
                check,
                "{text:?}"
            );
        }
    }

    #[test]
    fn frontends() {
        #[rustfmt::skip]
        let cases = [
            // reference                                  builtin labs
            ("docker/dockerfile:1",                       true,   false),
            ("docker/dockerfile:1-labs",                  true,   true),
            ("docker.io/docker/dockerfile-upstream:master-labs", true, true),
            ("localhost:5000/m/dockerfile",               true,   false),
            ("docker/dockerfile:1.7@sha256:00",           true,   false),
            ("dockerfile",                                true,   false),
            ("example/own:labs",                          false,  false),
            ("example/dockerfile-x:1",                    false,  false),
        ];
        for (reference, builtin, labs) in cases {
            let syntax = Syntax::new(reference);
            assert_eq!(
                (syntax.builtin, syntax.labs),
                (builtin, labs),
                "{reference}"
            );
        }
    }
}
