//! Heredocs: which words of a line introduce one, and the bodies that follow it (HD-1 to HD-8).

use super::instruction::Heredoc;
use super::lines::Lines;
use super::{Error, Problem, Span};

/// A word such as `<<-"EOF"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Introducer {
    pub name: String,
    pub expand: bool,
    pub strip_tabs: bool,
}

impl Introducer {
    /// Reads a text that is nothing but one introducer: digits, `<<`, `-`, blanks and a name.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix("<<")?;
        let (strip_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('<') {
            return None;
        }
        let [word] = shell_words(rest)?[..] else {
            return None;
        };
        let (name, quoted) = unquote(word);
        (!name.is_empty()).then_some(Self {
            name,
            expand: !quoted,
            strip_tabs,
        })
    }
}

/// Returns the heredocs a logical line introduces, in order; none if its quotes are unbalanced.
pub(super) fn introducers(line: &str) -> Vec<Introducer> {
    if !line.contains("<<") {
        return Vec::new();
    }
    let words = shell_words(line).unwrap_or_default();
    let mut found = Vec::new();
    let mut index = 0;
    while index < words.len() {
        // Blanks may separate the operator from its name.
        let detached = is_operator(words[index])
            .then(|| words.get(index + 1))
            .flatten()
            .and_then(|name| Introducer::parse(&format!("{} {name}", words[index])));
        if let Some(introducer) = detached {
            found.push(introducer);
            index += 1;
        } else {
            found.extend(Introducer::parse(words[index]));
        }
        index += 1;
    }
    found
}

fn is_operator(word: &str) -> bool {
    matches!(
        word.trim_start_matches(|c: char| c.is_ascii_digit()),
        "<<" | "<<-"
    )
}

/// Reads the body that an introducer announces, up to and including its terminator.
///
/// # Errors
/// [`Problem::UnterminatedHeredoc`] if the file ends first; `first_line` is the instruction's.
pub(super) fn read_body(
    introducer: Introducer,
    lines: &mut Lines<'_>,
    first_line: usize,
) -> Result<Heredoc, Error> {
    let mut raw = Vec::new();
    let mut nearly = None;
    while let Some(line) = lines.next_line()? {
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n'));
        let mut terminator = &line[..end.map_or(0, |at| at + 1)];
        if introducer.strip_tabs {
            terminator = without_tabs(terminator);
        }
        if terminator == introducer.name.as_bytes() {
            let body = match introducer.strip_tabs {
                true => raw
                    .split_inclusive(|b| *b == b'\n')
                    .flat_map(without_tabs)
                    .copied()
                    .collect(),
                false => raw.clone(),
            };
            return Ok(Heredoc {
                name: introducer.name,
                body,
                raw_body: String::from_utf8_lossy(&raw).into_owned(),
                expand: introducer.expand,
                strip_tabs: introducer.strip_tabs,
            });
        }
        if terminator.trim_ascii() == introducer.name.as_bytes() {
            nearly.get_or_insert(lines.number());
        }
        raw.extend_from_slice(line);
    }
    let name = introducer.name;
    let problem = Problem::UnterminatedHeredoc { name, nearly };
    Err(problem.at(Span {
        first_line,
        last_line: lines.number(),
    }))
}

fn without_tabs(line: &[u8]) -> &[u8] {
    let tabs = line.iter().take_while(|b| **b == b'\t').count();
    &line[tabs..]
}

/// Splits as a shell would, quotes and escapes left in place; `None` if a quote or brace stays open.
fn shell_words(text: &str) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut braces = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && braces == 0 && c.is_whitespace() {
            words.extend(start.take().map(|start| &text[start..at]));
            continue;
        }
        start.get_or_insert(at);
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                chars.next();
            }
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '$') => braces += usize::from(chars.next_if(|(_, c)| *c == '{').is_some()),
            (None, '}') => braces = braces.saturating_sub(1),
            (None, _) => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    (quote.is_none() && braces == 0).then_some(words)
}

/// Removes quotes and escapes from a word; says whether there were quotes.
fn unquote(word: &str) -> (String, bool) {
    let mut out = String::new();
    let mut quoted = false;
    let mut quote = None;
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                quoted = true;
            }
            (None, '\\') => out.extend(chars.next()),
            (Some('"'), '\\') => {
                out.push(
                    chars
                        .next_if(|c| matches!(c, '"' | '$' | '\\'))
                        .unwrap_or(c),
                );
            }
            _ => out.push(c),
        }
    }
    (out, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str]); 31] = [
            ("RUN <<EOF",                        &["EOF"]),
            ("RUN << EOF",                       &["EOF"]),
            ("RUN 3<<EOF",                       &["EOF"]),
            ("RUN 3<< EOF x",                    &["EOF"]),
            ("RUN cat <<EOF > /f",               &["EOF"]),
            ("RUN cat<<EOF",                     &[]),
            ("RUN cat <<<x",                     &[]),
            ("RUN cat <<< x",                    &[]),
            ("RUN echo \"<<EOF\"",               &[]),
            ("RUN echo '<<EOF'",                 &[]),
            ("RUN << -EOF",                      &["-EOF"]),
            ("RUN <<-EOF",                       &["EOF -"]),
            ("RUN <<- EOF",                      &["EOF -"]),
            ("RUN <<\"\"",                       &[]),
            ("RUN <<",                           &[]),
            ("RUN echo it's <<EOF",              &[]),
            ("RUN echo \"x <<EOF",               &[]),
            ("RUN echo it\\'s <<EOF",            &["EOF"]),
            ("RUN <<$EOF",                       &["$EOF"]),
            ("RUN <<\"A B\"",                    &["A B literal"]),
            ("RUN <<'A'",                        &["A literal"]),
            ("RUN <<E\"O\"F",                    &["EOF literal"]),
            ("RUN <<\\EOF",                      &["EOF"]),
            ("RUN <<A\\ B",                      &["A B"]),
            ("RUN <<\"a\\\"b\\c\"",              &["a\"b\\c literal"]),
            ("RUN <<A cmd <<B",                  &["A", "B"]),
            ("RUN <<A <<-B <<'C'",               &["A", "B -", "C literal"]),
            ("RUN echo ${X:-a <<b} <<EOF",       &["EOF"]),
            ("RUN echo ${X <<EOF",               &[]),
            ("COPY <<\"A B\" /x",                &["A B literal"]),
            ("RUN << <<EOF",                     &["EOF"]),
        ];
        for (line, want) in cases {
            let got: Vec<String> = introducers(line)
                .into_iter()
                .map(|i| {
                    let literal = if i.expand { "" } else { " literal" };
                    let strip = if i.strip_tabs { " -" } else { "" };
                    format!("{}{literal}{strip}", i.name)
                })
                .collect();
            assert_eq!(got, want, "{line}");
        }
    }

    #[test]
    fn bodies() {
        #[rustfmt::skip]
        let cases = [
            // after the line          name     body               raw
            ("a\nEOF\nb",              "<<EOF",  Some(("a\n",       "a\n"))),
            ("EOF",                    "<<EOF",  Some(("",          ""))),
            ("a\r\nEOF\r\n",           "<<EOF",  Some(("a\r\n",     "a\r\n"))),
            (" EOF\nEOF \nEOF\n",      "<<EOF",  Some((" EOF\nEOF \n", " EOF\nEOF \n"))),
            ("\t\ta\n\t b\n\tEOF\n",   "<<-EOF", Some(("a\n b\n",   "\t\ta\n\t b\n"))),
            ("\ta\n\tEOF\nEOF\n",      "<<EOF",  Some(("\ta\n\tEOF\n", "\ta\n\tEOF\n"))),
            ("# c\n\nFROM x\\\nEOF",   "<<EOF",  Some(("# c\n\nFROM x\\\n", "# c\n\nFROM x\\\n"))),
            ("a\n",                    "<<EOF",  None),
            ("",                       "<<EOF",  None),
        ];
        for (text, introducer, want) in cases {
            let introducer = Introducer::parse(introducer).unwrap();
            let got = read_body(introducer, &mut Lines::new(text.as_bytes()), 1);
            match want {
                Some((body, raw)) => {
                    let heredoc = got.unwrap();
                    assert_eq!(heredoc.body, body.as_bytes(), "{text:?}");
                    assert_eq!(heredoc.raw_body, raw, "{text:?}");
                }
                None => {
                    let (name, nearly) = ("EOF".to_owned(), None);
                    let want = Problem::UnterminatedHeredoc { name, nearly };
                    assert_eq!(got.unwrap_err().problem, want, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn body_keeps_bytes() {
        let introducer = Introducer::parse("<<E").unwrap();
        let heredoc = read_body(introducer, &mut Lines::new(b"\xff\nE\n"), 1).unwrap();
        assert_eq!(heredoc.body, b"\xff\n");
    }
}
