//! Patterns of `#`, `%` and `/`: `*` for any run of characters, `?` for one (MOD-2 to MOD-5).

use super::{LARGEST, Problem};

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    Any,
    Run,
}

#[derive(Debug)]
pub(super) struct Pattern(Vec<Part>);

impl Pattern {
    /// Reads a pattern; its escape is `\` whatever the Dockerfile's.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = |reason| Problem::Pattern {
            pattern: text.to_owned(),
            reason,
        };
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Run,
                '?' => Part::Any,
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Part::Char(c),
                    Some(_) => {
                        return Err(invalid("only `*`, `?`, `\\`, `}` and `/` can be escaped"));
                    }
                    None => return Err(invalid("nothing follows the escape")),
                },
                c => Part::Char(c),
            });
        }
        // Runs in a row mean no more than one.
        parts.dedup_by(|a, b| *a == Part::Run && *b == Part::Run);
        Ok(Self(parts))
    }

    pub fn without_prefix(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let length = match_length(&self.0, &chars, longest).unwrap_or(0);
        chars[length..].iter().collect()
    }

    pub fn without_suffix(&self, value: &str, longest: bool) -> String {
        let reversed: Vec<char> = value.chars().rev().collect();
        let parts: Vec<Part> = self.0.iter().rev().copied().collect();
        let length = match_length(&parts, &reversed, longest).unwrap_or(0);
        reversed[length..].iter().rev().collect()
    }

    /// Replaces the first or every match, each as long as possible.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] before the text is.
    pub fn replace(&self, value: &str, replacement: &str, every: bool) -> Result<String, Problem> {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        let mut after_match = false;
        while at <= chars.len() {
            if out.len() > LARGEST {
                return Err(Problem::TooLarge);
            }
            match match_length(&self.0, &chars[at..], true) {
                // An empty match right after a match is none.
                Some(length) if length > 0 || !after_match => {
                    match every {
                        true => push_template(&mut out, replacement, &chars[at..at + length]),
                        false => out.push_str(replacement),
                    }
                    at += length;
                    if !every {
                        out.extend(&chars[at..]);
                        return Ok(out);
                    }
                    after_match = length > 0;
                    if length == 0 {
                        out.extend(chars.get(at));
                        at += 1;
                    }
                }
                _ => {
                    out.extend(chars.get(at));
                    at += 1;
                    after_match = false;
                }
            }
        }
        Ok(out)
    }
}

/// Appends a replacement in which `$1`, `$name` and `${name}` refer to groups of the match, of which there is none but `0` (MOD-5).
fn push_template(out: &mut String, template: &str, found: &[char]) {
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('$') {
        out.push_str(text);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').unwrap_or(("", after)),
            None => {
                let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        match name {
            "" => out.push('$'),
            "0" => out.extend(found),
            name if is_name(name) => {}
            _ => out.push('$'),
        }
        rest = after;
    }
    out.push_str(rest);
}

/// Returns how many characters at the start match, the fewest or the most.
///
/// All ways to match are followed at once: `active[i]` says that the parts before `i` match what was read so far.
fn match_length(parts: &[Part], chars: &[char], longest: bool) -> Option<usize> {
    let mut active = vec![false; parts.len() + 1];
    active[0] = true;
    let mut found = None;
    for read in 0..=chars.len() {
        for (i, part) in parts.iter().enumerate() {
            if *part == Part::Run && active[i] {
                active[i + 1] = true;
            }
        }
        if active[parts.len()] {
            found = Some(read);
            if !longest {
                return found;
            }
        }
        let Some(c) = chars.get(read) else { break };
        let mut any = false;
        for i in (0..=parts.len()).rev() {
            let stays = active[i] && parts.get(i) == Some(&Part::Run);
            let advances = i > 0
                && active[i - 1]
                && match parts[i - 1] {
                    Part::Char(want) => want == *c,
                    Part::Any => true,
                    Part::Run => false,
                };
            active[i] = stays || advances;
            any |= active[i];
        }
        if !any {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        #[rustfmt::skip]
        let cases = [
            // pattern  text     shortest  longest
            ("a",       "ab",    Some(1),  Some(1)),
            ("b",       "ab",    None,     None),
            ("*",       "ab",    Some(0),  Some(2)),
            ("**",      "ab",    Some(0),  Some(2)),
            ("*b",      "abab",  Some(2),  Some(4)),
            ("a*b",     "abxb",  Some(2),  Some(4)),
            ("??",      "abc",   Some(2),  Some(2)),
            ("???",     "ab",    None,     None),
            ("",        "ab",    Some(0),  Some(0)),
            ("*a*b*",   "xayb",  Some(4),  Some(4)),
            (r"\*",     "*",     Some(1),  Some(1)),
            ("[a]",     "a",     None,     None),
        ];
        for (pattern, text, shortest, longest) in cases {
            let pattern = Pattern::parse(pattern).unwrap();
            let chars: Vec<char> = text.chars().collect();
            assert_eq!(
                match_length(&pattern.0, &chars, false),
                shortest,
                "{pattern:?}"
            );
            assert_eq!(
                match_length(&pattern.0, &chars, true),
                longest,
                "{pattern:?}"
            );
        }
    }

    #[test]
    fn replacing() {
        #[rustfmt::skip]
        let cases = [
            ("a",  "banana", "bXnana",      "bXnXnX"),
            ("",   "ab",     "Xab",         "XaXbX"),
            ("*",  "ab",     "X",           "X"),
            ("n*", "banana", "baX",         "baX"),
            ("x",  "ab",     "ab",          "ab"),
            ("?",  "äß",     "Xß",          "XX"),
        ];
        for (pattern, value, first, every) in cases {
            let pattern = Pattern::parse(pattern).unwrap();
            let replaced = |every| pattern.replace(value, "X", every).unwrap();
            assert_eq!(replaced(false), first, "{pattern:?}");
            assert_eq!(replaced(true), every, "{pattern:?}");
        }
    }
}
