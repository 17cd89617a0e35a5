//! Flags between an instruction's keyword and its arguments (INS-2 to INS-5).

use std::collections::BTreeMap;

use super::{Problem, suggest};

/// Splits the flag words off an instruction's text; quotes and escapes in them are removed.
pub(super) fn split(text: &str, escape: char) -> (Vec<String>, &str) {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, end) = flag_word(rest, escape);
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        words.push(word);
    }
    (words, rest.trim())
}

/// Reads one word; returns it and where it ends.
fn flag_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    Boolean,
    /// A text each time it is given.
    Texts,
}

/// The flags of one instruction, by name.
#[derive(Debug)]
pub(super) struct Flags(BTreeMap<&'static str, Vec<String>>);

impl Flags {
    /// Checks flag words against the flags an instruction knows.
    pub fn parse(words: &[String], known: &[(&'static str, Takes)]) -> Result<Self, Problem> {
        let mut given = BTreeMap::<_, Vec<String>>::new();
        for word in words {
            let text = word.strip_prefix("--").unwrap_or(word);
            let (typed, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let Some((name, takes)) = known.iter().copied().find(|(name, _)| *name == typed) else {
                let known: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                return Err(Problem::UnknownFlag {
                    flag: typed.to_owned(),
                    suggestion: suggest(typed, known.iter().copied()).map(str::to_owned),
                    known,
                });
            };
            let values = given.entry(name).or_default();
            if !values.is_empty() && takes != Takes::Texts {
                return Err(Problem::DuplicateFlag(name));
            }
            values.push(match (takes, value) {
                (Takes::Boolean, None) => "true".to_owned(),
                (Takes::Boolean, Some("")) | (_, None) => {
                    return Err(Problem::MissingFlagValue(name));
                }
                (Takes::Boolean, Some(value)) => boolean(name, value)?,
                (_, Some(value)) => value.to_owned(),
            });
        }
        Ok(Self(given))
    }

    /// Returns the value of a flag that was given.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)?.pop()
    }

    /// Returns the value of a flag that was given and is not empty.
    pub fn filled(&mut self, name: &str) -> Option<String> {
        self.text(name).filter(|value| !value.is_empty())
    }

    pub fn texts(&mut self, name: &str) -> Vec<String> {
        self.0.remove(name).unwrap_or_default()
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }
}

fn boolean(flag: &'static str, value: &str) -> Result<String, Problem> {
    match value.to_lowercase() {
        folded if folded == "true" || folded == "false" => Ok(folded),
        _ => Err(Problem::NotBoolean {
            flag,
            value: value.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting() {
        #[rustfmt::skip]
        let cases: [(&str, char, &[&str], &str); 14] = [
            ("a b",                                  '\\', &[],                              "a b"),
            ("--x=1 --y a --z",                      '\\', &["--x=1", "--y"],                "a --z"),
            ("-- --x",                               '\\', &[],                              "--x"),
            ("--x -- --y",                           '\\', &["--x"],                         "--y"),
            ("--mount=\"type=cache,target=/a b\" c", '\\', &["--mount=type=cache,target=/a b"], "c"),
            ("--m='a b' c",                          '\\', &["--m=a b"],                     "c"),
            ("--m=a\\ b c",                          '\\', &["--m=a b"],                     "c"),
            ("--m=a` b c",                           '`',  &["--m=a b"],                     "c"),
            ("--m=a\\ b c",                          '`',  &["--m=a\\"],                     "b c"),
            ("\"--x\" a",                            '\\', &[],                              "\"--x\" a"),
            ("--x",                                  '\\', &["--x"],                         ""),
            ("--x=\"a",                              '\\', &["--x=a"],                       ""),
            ("-x a",                                 '\\', &[],                              "-x a"),
            ("--x=\"\\\"\" a",                       '\\', &["--x=\""],                      "a"),
        ];
        for (text, escape, words, rest) in cases {
            let want = (words.iter().map(|w| w.to_string()).collect(), rest);
            assert_eq!(split(text, escape), want, "{text}");
        }
    }

    #[test]
    fn values() {
        use Takes::{Boolean, Text, Texts};
        let known = [
            ("from", Text),
            ("chown", Text),
            ("link", Boolean),
            ("exclude", Texts),
        ];
        #[rustfmt::skip]
        let cases = [
            ("--from=a --chown=b --link",     "from=a chown=b link=true"),
            ("--link=FALSE",                  "link=false"),
            ("--link=true --exclude=a --exclude=b", "link=true exclude=a exclude=b"),
            ("--from=a=b",                    "from=a=b"),
            ("--from=",                       "from="),
            ("--frm=a",                       "unknown flag: --frm (did you mean from?)"),
            ("--FROM=a",                      "unknown flag: --FROM (did you mean from?)"),
            ("--quiet",                       "unknown flag: --quiet"),
            ("--chown=a --chown=a",           "duplicate flag specified: --chown"),
            ("--link --link",                 "duplicate flag specified: --link"),
            ("--chown",                       "missing a value on flag: --chown"),
            ("--exclude",                     "missing a value on flag: --exclude"),
            ("--link=",                       "missing a value on flag: --link"),
            ("--link=maybe",                  "expecting boolean value for flag --link, not: maybe"),
        ];
        for (text, want) in cases {
            let (words, _) = split(text, '\\');
            let got = match Flags::parse(&words, &known) {
                Ok(flags) => known
                    .iter()
                    .flat_map(|(name, _)| {
                        flags
                            .0
                            .get(name)
                            .into_iter()
                            .flatten()
                            .map(move |v| format!("{name}={v}"))
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(problem) => problem.to_string(),
            };
            assert_eq!(got, want, "{text}");
        }
    }
}
