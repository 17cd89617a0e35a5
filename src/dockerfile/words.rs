//! Ways to split an instruction's arguments before anything is expanded (SPL-1 to SPL-4).

/// What separates a keyword or unquoted words; less than Unicode's white space.
const BLANKS: [char; 5] = ['\t', '\x0b', '\x0c', '\r', ' '];

/// Splits at blanks only; quotes protect nothing.
pub(super) fn split_blanks(text: &str) -> Vec<String> {
    text.split(BLANKS)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Splits off the first word; the rest starts after the blanks, if there are any.
pub(super) fn split_first(text: &str) -> (&str, Option<&str>) {
    match text.find(BLANKS) {
        Some(at) => (&text[..at], Some(text[at..].trim_start_matches(BLANKS))),
        None => (text, None),
    }
}

/// Splits at white space outside quotes and escapes, which stay in the words.
pub(super) fn split_quoted(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // An escape that ends the text escapes nothing and is dropped.
            let Some(next) = chars.next() else { break };
            word.push(c);
            word.push(next);
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str]); 4] = [
            ("",              &[]),
            ("a  b\tc",       &["a", "b", "c"]),
            ("\"a b\" c\\ d", &["\"a", "b\"", "c\\", "d"]),
            ("a\u{a0}b",      &["a\u{a0}b"]),
        ];
        for (text, want) in cases {
            assert_eq!(split_blanks(text), want, "{text:?}");
        }
    }

    #[test]
    fn first() {
        assert_eq!(split_first("A b  c"), ("A", Some("b  c")));
        assert_eq!(split_first("A"), ("A", None));
        assert_eq!(split_first("A \t b"), ("A", Some("b")));
    }

    #[test]
    fn quoted() {
        #[rustfmt::skip]
        let cases: [(&str, char, &[&str]); 12] = [
            ("A=1 B=\"x y\" C=x\\ y", '\\', &["A=1", "B=\"x y\"", "C=x\\ y"]),
            ("A='a b' c",             '\\', &["A='a b'", "c"]),
            ("A='a\\' b",             '\\', &["A='a\\'", "b"]),
            ("A=\"a\\\" b\" c",       '\\', &["A=\"a\\\" b\"", "c"]),
            ("A=\"a` b\" c",          '`',  &["A=\"a` b\"", "c"]),
            ("A=a` b c",              '`',  &["A=a` b", "c"]),
            ("A=a\\ b",               '`',  &["A=a\\", "b"]),
            ("A=\"open x",            '\\', &["A=\"open x"]),
            ("A=x\\",                 '\\', &["A=x"]),
            ("\"\" ''",               '\\', &["\"\"", "''"]),
            ("a\u{a0}b",              '\\', &["a", "b"]),
            ("",                      '\\', &[]),
        ];
        for (text, escape, want) in cases {
            assert_eq!(split_quoted(text, escape), want, "{text:?}");
        }
    }
}
