//! Wildcards in the sources of COPY and ADD: one path component at a time, as Go's `path.Match` has it.
//!
//! # Spec
//! Language spec SRC-2, SRC-5.

/// Tells whether a component is a pattern; a backslash alone does not make one.
pub(super) fn is_pattern(component: &[u8]) -> bool {
    let mut bytes = component.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Tells whether `name` matches `pattern`; `None` if that is malformed.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> Option<bool> {
    let tokens = parse(pattern)?;
    Some(matches_tokens(&tokens, name))
}

/// Tells whether a pattern can be understood.
pub(super) fn is_valid(pattern: &[u8]) -> bool {
    parse(pattern).is_some()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any run of characters.
    Any,
    One(Class),
}

/// Characters of which one matches.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn contains(&self, c: char) -> bool {
        self.negated
            != self
                .ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&c))
    }
}

fn parse(pattern: &[u8]) -> Option<Vec<Token>> {
    let pattern = text(pattern);
    let mut chars = pattern.into_iter().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One(Class {
                negated: true,
                ranges: Vec::new(),
            }),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    let c = chars.next()?;
                    if c == ']' && !ranges.is_empty() {
                        break;
                    }
                    let low = class_char(c, &mut chars)?;
                    let high = match chars.next_if_eq(&'-') {
                        Some(_) => {
                            let c = chars.next()?;
                            class_char(c, &mut chars)?
                        }
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::One(Class { negated, ranges })
            }
            '\\' => literal(chars.next()?),
            c => literal(c),
        });
    }
    Some(tokens)
}

fn literal(c: char) -> Token {
    Token::One(Class {
        negated: false,
        ranges: vec![(c, c)],
    })
}

/// Reads one end of a range; `-` and `]` must be escaped.
fn class_char(c: char, rest: &mut impl Iterator<Item = char>) -> Option<char> {
    match c {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

fn matches_tokens(tokens: &[Token], name: &[u8]) -> bool {
    let name = text(name);
    // Positions to return to when what follows the last `*` does not fit: one character more goes to it.
    let (mut token, mut at) = (0, 0);
    let mut retry = None;
    loop {
        match (tokens.get(token), name.get(at)) {
            (Some(Token::Any), _) => {
                retry = Some((token, at));
                token += 1;
            }
            (Some(Token::One(class)), Some(c)) if class.contains(*c) => {
                token += 1;
                at += 1;
            }
            (None, None) => return true,
            _ => match retry {
                Some((star, taken)) if taken < name.len() => {
                    retry = Some((star, taken + 1));
                    token = star + 1;
                    at = taken + 1;
                }
                _ => return false,
            },
        }
    }
}

/// Decodes UTF-8; a byte that is none stands for itself, in a range where no character is.
fn text(bytes: &[u8]) -> Vec<char> {
    bytes
        .utf8_chunks()
        .flat_map(|chunk| {
            let invalid = chunk.invalid().iter();
            let stand_in = |byte: &u8| char::from_u32(0x10_ff00 + u32::from(*byte));
            chunk.valid().chars().chain(invalid.filter_map(stand_in))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("*",       ".env",    Some(true)),
            ("*",       "",        Some(true)),
            ("**",      "a.go",    Some(true)),
            ("*.go",    "a.go",    Some(true)),
            ("*.go",    "a.gox",   Some(false)),
            ("a*b*c",   "aXbbYc",  Some(true)),
            ("a*b*c",   "acb",     Some(false)),
            ("?",       "é",       Some(true)),
            ("?",       "",        Some(false)),
            ("[a-c]x",  "bx",      Some(true)),
            ("[^a-c]x", "bx",      Some(false)),
            ("[^a-c]x", "dx",      Some(true)),
            ("[[]x",    "[x",      Some(true)),
            ("[\\]]",   "]",       Some(true)),
            ("\\*x*",   "*xyz",    Some(true)),
            ("[!a]",    "!",       Some(true)),
            ("[]a]",    "a",       None),
            ("[",       "a",       None),
            ("[a-",     "a",       None),
            ("a\\",     "a",       None),
            ("[-]",     "-",       None),
        ];
        for (pattern, name, want) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                want,
                "{pattern} {name}"
            );
        }
        assert_eq!(matches(b"?", b"\xff"), Some(true));
    }

    #[test]
    fn what_is_a_pattern() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a*",   true),
            ("a?",   true),
            ("[a]",  true),
            ("a\\*", false),
            ("a]",   false),
            ("\\",   false),
        ];
        for (text, want) in cases {
            assert_eq!(is_pattern(text.as_bytes()), want, "{text}");
        }
    }
}
