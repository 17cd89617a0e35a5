//! Hints for what was probably meant.

/// Returns the candidate nearest to what was typed, if no more than two edits away and not equal to it.
///
/// Case is ignored in the comparison.
///
/// ```
/// use executor::dockerfile::suggest;
/// assert_eq!(suggest("chwon", ["chown", "chmod"]), Some("chown"));
/// assert_eq!(suggest("banana", ["chown", "chmod"]), None);
/// ```
pub fn suggest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const MOST_EDITS: usize = 2;
    let folded = typed.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != typed)
        .map(|candidate| (distance(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= MOST_EDITS)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Returns the suggestion in the case of what was typed, when that is all upper or all lower case.
pub(super) fn in_case_of(typed: &str, suggestion: &str) -> String {
    let upper = typed.chars().any(char::is_uppercase);
    let lower = typed.chars().any(char::is_lowercase);
    match (upper, lower) {
        (true, false) => suggestion.to_uppercase(),
        (false, true) => suggestion.to_lowercase(),
        _ => suggestion.to_owned(),
    }
}

/// Levenshtein's distance, giving up early on texts whose lengths already differ too much to matter.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, in_case_of, suggest};

    #[test]
    fn distances() {
        #[rustfmt::skip]
        let cases = [
            ("",       "",        0),
            ("foo",    "from",    2),
            ("from",   "form",    2),
            ("kitten", "sitting", 3),
            ("run",    "",        usize::MAX),
        ];
        for (a, b, want) in cases {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn suggestions() {
        let words = ["FROM", "RUN", "COPY"];
        #[rustfmt::skip]
        let cases = [
            ("FOO",   Some("FROM")),
            ("frmo",  Some("FROM")),
            ("Copi",  Some("COPY")),
            ("RUN",   None),
            ("xyzzy", None),
        ];
        for (typed, want) in cases {
            assert_eq!(suggest(typed, words), want, "{typed}");
        }
    }

    #[test]
    fn cases() {
        #[rustfmt::skip]
        let cases = [
            ("FOO", "FROM", "FROM"),
            ("foo", "FROM", "from"),
            ("Foo", "FROM", "FROM"),
        ];
        for (typed, suggestion, want) in cases {
            assert_eq!(in_case_of(typed, suggestion), want);
        }
    }
}
