//! The lines of the Dockerfile that an error belongs to, with the word at fault marked.

use std::fmt::Write as _;

use crate::dockerfile::Span;
use crate::log;

/// Longest instruction that is shown whole.
const MAX_LINES: usize = 12;
/// How many characters of a line are shown.
const MAX_WIDTH: usize = 240;

/// Lines of a Dockerfile.
#[derive(Debug, Clone)]
pub struct Excerpt<'a> {
    pub file_name: &'a str,
    /// The whole file.
    pub text: &'a str,
    pub span: Span,
    /// What of these lines is at fault, as it stands there; where it does not, the first word is. `None` if nothing is.
    pub word: Option<String>,
}

impl Excerpt<'_> {
    /// Returns the lines with their neighbours, those of the instruction marked.
    pub fn render(&self) -> String {
        let Span {
            first_line,
            last_line,
        } = self.span;
        let shown_end = last_line.min(first_line + MAX_LINES - 1);
        let width = (shown_end + 1).to_string().len();
        let fault = self.fault(shown_end);
        let place = match &fault {
            Some(fault) => format!("{}:{}", fault.line, fault.before.chars().count() + 1),
            None => first_line.to_string(),
        };
        let mut text = format!(
            "{:width$}  --> {}:{place}\n",
            "",
            self.file_name,
            width = width + 1
        );
        for (number, line) in (1..).zip(self.text.lines()) {
            if number + 1 < first_line || number > last_line + 1 {
                continue;
            }
            if number > shown_end && number <= last_line {
                if number == last_line {
                    let _ = writeln!(text, "   > {:>width$} |", "…");
                }
                continue;
            }
            let mark = if (first_line..=last_line).contains(&number) {
                '>'
            } else {
                ' '
            };
            let fault = fault.as_ref().filter(|fault| fault.line == number);
            let start = fault.map_or(0, Fault::shown_from);
            let line = shown(line, start);
            let line = log::harmless(&line);
            let row = format!("   {mark} {number:>width$} | {line}");
            let _ = writeln!(text, "{}", row.trim_end());
            if let Some(fault) = fault {
                let _ = writeln!(text, "     {:>width$} | {}", "", fault.carets());
            }
        }
        text
    }

    /// Finds the word at fault: as it is, else in another case, else the instruction's keyword.
    fn fault(&self, shown_end: usize) -> Option<Fault<'_>> {
        let word = self.word.as_deref()?;
        let found = (!word.is_empty()).then(|| self.find(word, shown_end));
        found.flatten().or_else(|| self.keyword())
    }

    fn keyword(&self) -> Option<Fault<'_>> {
        let line = self
            .text
            .lines()
            .nth(self.span.first_line.checked_sub(1)?)?;
        let start = line.find(|c: char| !c.is_whitespace())?;
        let word = line[start..].split_whitespace().next()?;
        Some(Fault {
            line: self.span.first_line,
            before: &line[..start],
            length: word.chars().count(),
        })
    }

    fn find(&self, word: &str, shown_end: usize) -> Option<Fault<'_>> {
        let shown = self.span.first_line..=shown_end;
        let lines = (1..).zip(self.text.lines());
        let lines = lines.filter(|(number, line)| {
            let is_comment = line.trim_start().starts_with('#');
            shown.contains(number) && (!is_comment || *number == self.span.first_line)
        });
        let lines: Vec<_> = lines
            .map(|(number, line)| (number, line, line.to_ascii_lowercase()))
            .collect();
        let folded = word.to_ascii_lowercase();
        // As it is or in another case, and rather alone than inside a longer word.
        let ways: [(&str, bool, bool); 3] = [
            (word, true, true),
            (word, true, false),
            (&folded, false, true),
        ];
        let found = ways.iter().find_map(|(word, exact, alone)| {
            lines.iter().find_map(|(number, line, lower)| {
                let text = if *exact { *line } else { lower };
                let mut places = text.match_indices(word);
                let at = places.find(|(at, _)| !alone || is_alone(text, *at, word.len()));
                at.map(|(at, _)| (*number, *line, at))
            })
        });
        let (line, text, at) = found?;
        Some(Fault {
            line,
            before: &text[..at],
            length: word.chars().count(),
        })
    }
}

/// Tells whether no letter or digit touches a part of a text that begins or ends with one.
fn is_alone(text: &str, at: usize, length: usize) -> bool {
    let (before, rest) = text.split_at(at);
    let (word, after) = rest.split_at(length);
    let joined = |a: Option<char>, b: Option<char>| {
        a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
    };
    !joined(before.chars().next_back(), word.chars().next())
        && !joined(word.chars().next_back(), after.chars().next())
}

/// Where the word at fault stands.
struct Fault<'a> {
    line: usize,
    before: &'a str,
    /// In characters.
    length: usize,
}

impl Fault<'_> {
    /// Returns what stands below the line: carets below the word, tabs where the line has tabs.
    fn carets(&self) -> String {
        let blank = |character| if character == '\t' { '\t' } else { ' ' };
        let before = self.before.chars().skip(self.shown_from());
        let blanks: String = before.map(blank).collect();
        let room = MAX_WIDTH - blanks.chars().count();
        blanks + &"^".repeat(self.length.min(room))
    }

    /// Returns with which character of the line to begin, so that the word is seen.
    fn shown_from(&self) -> usize {
        let before = self.before.chars().count();
        match before + self.length > MAX_WIDTH {
            true => before.saturating_sub(MAX_WIDTH / 2),
            false => 0,
        }
    }
}

/// Cuts a line to what is shown of it, from a character on.
fn shown(line: &str, start: usize) -> String {
    let mut rest = line.chars().skip(start);
    let mut text: String = rest.by_ref().take(MAX_WIDTH).collect();
    if start > 0 {
        text = text.chars().skip(1).collect();
        text.insert(0, '…');
    }
    if rest.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn excerpt(text: &str, first_line: usize, last_line: usize) -> Excerpt<'_> {
        Excerpt {
            file_name: "Dockerfile",
            text,
            span: Span {
                first_line,
                last_line,
            },
            word: None,
        }
    }

    fn check(text: &str, first_line: usize, last_line: usize, want: Expect) {
        want.assert_eq(&format!(
            "error\n{}",
            excerpt(text, first_line, last_line).render()
        ));
    }

    #[test]
    fn long_lines_are_cut_around_the_word() {
        let text = format!("{} wrong {}\nFROM b\n", "a".repeat(1000), "b".repeat(1000));
        let rows = |word: Option<&str>| -> Vec<String> {
            let excerpt = Excerpt {
                word: word.map(str::to_owned),
                ..excerpt(&text, 1, 1)
            };
            excerpt
                .render()
                .lines()
                .skip(1)
                .map(str::to_owned)
                .collect()
        };
        let (a, b) = ("a".repeat(240), "b".repeat(114));
        assert_eq!(
            rows(None),
            [format!("   > 1 | {a}…"), "     2 | FROM b".into()]
        );
        let want = [
            format!("   > 1 | …{} wrong {b}…", &a[..118]),
            format!("       | {:120}^^^^^", ""),
            "     2 | FROM b".into(),
        ];
        assert_eq!(rows(Some("wrong")), want);
        let long = "b".repeat(1000);
        let carets = &rows(Some(&long))[1];
        assert_eq!(carets.matches('^').count(), 120, "{carets}");
    }

    #[test]
    fn the_word_at_fault() {
        let text = "FROM a\n# --mode\nRUN \t--mode=é\\\n  # --x\n  --x b\nCMD c\n";
        let check = |word: &str, want: Expect| {
            let word = Some(word.to_owned());
            let excerpt = Excerpt {
                word,
                ..excerpt(text, 3, 5)
            };
            want.assert_eq(&format!("error\n{}", excerpt.render()));
        };
        check(
            "--x",
            expect![[r#"
                error
                    --> Dockerfile:5:3
                     2 | # --mode
                   > 3 | RUN 	--mode=é\
                   > 4 |   # --x
                   > 5 |   --x b
                       |   ^^^
                     6 | CMD c
            "#]],
        );
        check(
            "--MODE=é",
            expect![[r#"
                error
                    --> Dockerfile:3:6
                     2 | # --mode
                   > 3 | RUN 	--mode=é\
                       |     	^^^^^^^^
                   > 4 |   # --x
                   > 5 |   --x b
                     6 | CMD c
            "#]],
        );
        check(
            "CMD",
            expect![[r#"
                error
                    --> Dockerfile:3:1
                     2 | # --mode
                   > 3 | RUN 	--mode=é\
                       | ^^^
                   > 4 |   # --x
                   > 5 |   --x b
                     6 | CMD c
            "#]],
        );
    }

    #[test]
    fn excerpts() {
        check(
            "FROM a\n",
            1,
            1,
            expect![[r#"
                error
                    --> Dockerfile:1
                   > 1 | FROM a
            "#]],
        );
        check(
            "FROM a\n\x1b[2JRUN b \\\n  c\nCMD d\nCMD e\n",
            2,
            3,
            expect![[r#"
                error
                    --> Dockerfile:2
                     1 | FROM a
                   > 2 | �[2JRUN b \
                   > 3 |   c
                     4 | CMD d
            "#]],
        );
        let long: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        check(
            &long,
            9,
            25,
            expect![[r#"
                error
                     --> Dockerfile:9
                      8 | line 8
                   >  9 | line 9
                   > 10 | line 10
                   > 11 | line 11
                   > 12 | line 12
                   > 13 | line 13
                   > 14 | line 14
                   > 15 | line 15
                   > 16 | line 16
                   > 17 | line 17
                   > 18 | line 18
                   > 19 | line 19
                   > 20 | line 20
                   >  … |
                     26 | line 26
            "#]],
        );
    }
}
