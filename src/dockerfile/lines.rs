//! Physical lines, and the logical lines that continuation makes of them (LEX-1 to LEX-5, COM-1 to COM-4, CON-1 to CON-6).

use super::{Error, Problem, Span};

const LONGEST_LINE: usize = 65_535;

/// The file's physical lines in order, each with its line end.
#[derive(Debug, Clone)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// Number of the line returned last; 0 before the first.
    number: usize,
}

/// An instruction with its continuations joined.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogicalLine {
    pub span: Span,
    /// Without the white space it began with.
    pub text: String,
    /// The comments before it, without `#` and the white space around them.
    pub comments: Vec<String>,
    /// A blank line stands inside.
    pub empty_continuation: bool,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        let rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        Self { rest, number: 0 }
    }

    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns the next line with its line end, or `None` at the end of the file.
    pub fn next_line(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let newline = self.rest.iter().position(|b| *b == b'\n');
        if newline.unwrap_or(self.rest.len()) > LONGEST_LINE {
            return Err(Problem::LineTooLong.at(Span::line(self.number)));
        }
        let (line, rest) = self
            .rest
            .split_at(newline.map_or(self.rest.len(), |at| at + 1));
        self.rest = rest;
        Ok(Some(line))
    }

    /// Returns the next instruction, skipping blank lines and comments.
    ///
    /// `directive_lines` says how many lines at the top are directives, which are no comments of the first instruction.
    pub fn next_logical(
        &mut self,
        escape: char,
        directive_lines: usize,
    ) -> Result<Option<LogicalLine>, Error> {
        let mut comments = Vec::new();
        while let Some(line) = self.next_line()? {
            let line = decode(line);
            let line = line.trim_start();
            if let Some(comment) = line.strip_prefix('#') {
                match comment.trim() {
                    _ if self.number <= directive_lines => {}
                    "" => comments.clear(),
                    comment => comments.push(comment.to_owned()),
                }
                continue;
            }
            if line.is_empty() {
                continue;
            }
            return self.join(line, escape, comments).map(Some);
        }
        Ok(None)
    }

    fn join(
        &mut self,
        first: &str,
        escape: char,
        comments: Vec<String>,
    ) -> Result<LogicalLine, Error> {
        let first_line = self.number;
        let mut empty_continuation = false;
        let (start, mut continues) = without_continuation(first, escape);
        let mut text = start.to_owned();
        while continues {
            let Some(line) = self.next_line()? else { break };
            let line = decode(line);
            match line.trim_start() {
                "" => empty_continuation = true,
                comment if comment.starts_with('#') => {}
                _ => {
                    let (part, more) = without_continuation(&line, escape);
                    text.push_str(part);
                    continues = more;
                }
            }
        }
        Ok(LogicalLine {
            span: Span {
                first_line,
                last_line: self.number,
            },
            text,
            comments,
            empty_continuation,
        })
    }
}

/// Returns the line as text without its line end.
fn decode(line: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(line).into_owned();
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    text
}

/// Removes a continuation from the line's end; says whether there was one.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, escape: char, want: &[&str]) {
        let mut lines = Lines::new(text.as_bytes());
        let mut got = Vec::new();
        while let Some(line) = lines.next_logical(escape, 0).unwrap() {
            got.push(format!(
                "{}-{} {}{}{}",
                line.span.first_line,
                line.span.last_line,
                line.text,
                if line.empty_continuation {
                    " <empty>"
                } else {
                    ""
                },
                line.comments
                    .iter()
                    .map(|c| format!(" #{c}"))
                    .collect::<String>(),
            ));
        }
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn joining() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str]); 23] = [
            ("",                                   &[]),
            ("\n \n# c\n",                         &[]),
            ("a",                                  &["1-1 a"]),
            ("  a\r\n\tb  \r\r\n",                 &["1-1 a", "2-2 b  "]),
            ("a\\",                                &["1-1 a"]),
            ("a\\\nb",                             &["1-2 ab"]),
            ("a\\ \t\r\nb",                        &["1-2 ab"]),
            ("a\\\\\nb",                           &["1-1 a\\\\", "2-2 b"]),
            ("a\\\\\\\nb",                         &["1-1 a\\\\\\", "2-2 b"]),
            ("one \\\n  two",                      &["1-2 one   two"]),
            ("one \\\n# note\n  two \\\n\n  three",&["1-5 one   two   three <empty>"]),
            ("a\\\n\\\nb",                         &["1-3 ab"]),
            ("\\\nb",                              &["1-2 b"]),
            ("a\\\n  # c \\\nb\nc",                &["1-3 ab", "4-4 c"]),
            ("a\\\n# c",                           &["1-2 a"]),
            ("# c \\\na",                          &["2-2 a #c \\"]),
            ("a # b",                              &["1-1 a # b"]),
            ("# x\n#y\n\na\nb",                    &["4-4 a #x #y", "5-5 b"]),
            ("# x\n#\n# y\na",                     &["4-4 a #y"]),
            ("\u{feff}a\n\u{feff}b",               &["1-1 a", "2-2 \u{feff}b"]),
            ("a`\nb",                              &["1-1 a`", "2-2 b"]),
            ("a\\\n\n\n",                          &["1-3 a <empty>"]),
            ("a\\ \\\nb",                          &["1-2 a\\ b"]),
        ];
        for (text, want) in cases {
            check(text, '\\', want);
        }
        check("a`\nb\\\nc", '`', &["1-2 ab\\", "3-3 c"]);
    }

    #[test]
    fn longest_line() {
        let mut text = vec![b'a'; LONGEST_LINE];
        text.extend(b"\nb");
        assert!(Lines::new(&text).next_line().is_ok());
        text.insert(0, b'a');
        let error = Lines::new(&text).next_line().unwrap_err();
        assert_eq!(error.problem, Problem::LineTooLong);
        assert_eq!(error.span, Some(Span::line(1)));
    }

    #[test]
    fn invalid_bytes_become_replacement_characters() {
        let line = Lines::new(b"RUN \xff\n")
            .next_logical('\\', 0)
            .unwrap()
            .unwrap();
        assert_eq!(line.text, "RUN \u{fffd}");
    }
}
