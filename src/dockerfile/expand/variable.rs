//! What follows a `$` (EXP-5 to EXP-7, MOD-1 to MOD-6).

use super::pattern::Pattern;
use super::{DEEPEST, Escapes, Expander, LARGEST, Problem};

impl Expander<'_> {
    /// Returns the value of the variable or substitution after `$`.
    pub(super) fn variable(&mut self) -> Result<String, Problem> {
        let value = self.any_variable()?;
        self.brought += value.len();
        match self.brought > LARGEST {
            true => Err(Problem::TooLarge),
            false => Ok(value),
        }
    }

    fn any_variable(&mut self) -> Result<String, Problem> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(match name.as_str() {
                "" => "$".to_owned(),
                name => self.value(name).unwrap_or_default(),
            });
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Problem::TooDeep);
        }
        let value = self.substitution()?;
        self.depth -= 1;
        Ok(value)
    }

    fn substitution(&mut self) -> Result<String, Problem> {
        match self.chars.peek() {
            None => return Err(Problem::MissingBrace),
            Some('{' | '}' | ':') => return Err(Problem::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.chars.next() {
            Some('}') => Ok(self.value(&name).unwrap_or_default()),
            Some('/') => self.replaced(&name),
            Some(':') => match self.chars.next() {
                Some(c @ ('-' | '+' | '?')) => self.conditional(&name, c, true),
                other => Err(Problem::Modifier(format!(":{}", text(other)))),
            },
            Some(c @ ('-' | '+' | '?')) => self.conditional(&name, c, false),
            Some(c @ ('#' | '%')) => self.trimmed(&name, c),
            other => Err(Problem::Modifier(text(other))),
        }
    }

    /// `${N-word}` and its kin; with a colon, an empty value counts as unset.
    fn conditional(&mut self, name: &str, kind: char, colon: bool) -> Result<String, Problem> {
        let word = self.until(Some('}'), Escapes::Removed)?.into_text();
        let value = self.peek_value(name);
        let counts = value.as_ref().is_some_and(|v| !(colon && v.is_empty()));
        match kind {
            '+' if counts => Ok(word),
            '+' => Ok(String::new()),
            '-' if !counts => Ok(word),
            '?' if !counts => Err(Problem::Required {
                name: name.to_owned(),
                message: match (word.as_str(), value) {
                    ("", None) => "is not allowed to be unset".to_owned(),
                    ("", Some(_)) => "is not allowed to be empty".to_owned(),
                    _ => word,
                },
            }),
            _ => Ok(value.unwrap_or_default()),
        }
    }

    /// `${N#pattern}`, `${N##pattern}`, `${N%pattern}`, `${N%%pattern}`.
    fn trimmed(&mut self, name: &str, kind: char) -> Result<String, Problem> {
        let longest = self.chars.next_if_eq(&kind).is_some();
        let pattern = self.until(Some('}'), Escapes::Kept)?.into_text();
        let pattern = Pattern::parse(&pattern)?;
        let value = self.value(name).unwrap_or_default();
        Ok(match kind {
            '#' => pattern.without_prefix(&value, longest),
            _ => pattern.without_suffix(&value, longest),
        })
    }

    /// `${N/pattern/replacement}` and `${N//pattern/replacement}`.
    fn replaced(&mut self, name: &str) -> Result<String, Problem> {
        let every = self.chars.next_if_eq(&'/').is_some();
        let pattern = match self.until(Some('/'), Escapes::Kept) {
            Err(Problem::MissingBrace) => return Err(Problem::MissingSlash),
            pattern => pattern?.into_text(),
        };
        let replacement = self.until(Some('}'), Escapes::Kept)?.into_text();
        let pattern = Pattern::parse(&pattern)?;
        let value = self.value(name).unwrap_or_default();
        pattern.replace(&value, &replacement, every)
    }

    /// Reads a name, which may be missing.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let special = |c: &char| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!');
        if let Some(c) = self.chars.next_if(special) {
            name.push(c);
            return name;
        }
        let letter = |c: &char| c.is_alphabetic() || *c == '_';
        let belongs = match self.chars.next_if(letter) {
            Some(first) => {
                name.push(first);
                |c: &char| c.is_alphanumeric() || *c == '_'
            }
            None => |c: &char| c.is_ascii_digit(),
        };
        while let Some(c) = self.chars.next_if(belongs) {
            name.push(c);
        }
        name
    }

    /// Looks a variable up and notes if it is not set.
    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.peek_value(name);
        if value.is_none() {
            note(&mut self.undefined, name);
        }
        value
    }

    fn peek_value(&mut self, name: &str) -> Option<String> {
        note(&mut self.used, name);
        match name.chars().next() {
            Some(c) if c.is_alphabetic() || c == '_' => (self.lookup)(name),
            _ => None,
        }
    }
}

fn note(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

fn text(c: Option<char>) -> String {
    c.map(String::from).unwrap_or_default()
}
