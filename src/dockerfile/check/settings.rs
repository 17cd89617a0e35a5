//! Which checks apply (DIR-9, DIR-10).

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Problem, Span, boolean};
use super::Rule;

/// What `check` directives ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    skip: Names,
    experimental: Names,
    /// Whether findings fail the build; see [`super::violation`].
    pub error: bool,
    /// Rules to skip for the instruction that starts at a line.
    lines: BTreeMap<usize, Names>,
}

/// Names of rules, perhaps unknown ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Names {
    all: bool,
    names: BTreeSet<String>,
}

impl Settings {
    /// Reads the directive's value: options separated by `;`.
    pub(in super::super) fn parse(value: &str) -> Result<Self, Problem> {
        let mut settings = Self::default();
        for option in value.split(';') {
            let invalid = || Problem::InvalidCheck(option.to_owned());
            let (key, value) = option.split_once('=').ok_or_else(invalid)?;
            match key.trim() {
                "skip" => settings.skip.add(value),
                "experimental" => settings.experimental.add(value),
                "error" => settings.error = boolean(value.trim()).ok_or_else(invalid)?,
                _ => return Err(invalid()),
            }
        }
        Ok(settings)
    }

    /// Adds what the comments above an instruction say; anything but a valid `check=skip=…` there is a mere comment.
    pub(in super::super) fn add_comment(&mut self, instruction: Span, value: &str) {
        if let Ok(settings) = Self::parse(value) {
            let line = self.lines.entry(instruction.first_line).or_default();
            line.all |= settings.skip.all;
            line.names.extend(settings.skip.names);
        }
    }

    /// Whether a rule applies to an instruction.
    pub fn allows(&self, rule: Rule, instruction: Span) -> bool {
        let here = self.lines.get(&instruction.first_line);
        !self.skip.contains(rule)
            && !here.is_some_and(|names| names.contains(rule))
            && (!rule.is_experimental() || self.experimental.contains(rule))
    }
}

impl Names {
    fn add(&mut self, list: &str) {
        match list.trim() {
            "all" => self.all = true,
            list => self
                .names
                .extend(list.split(',').map(|name| name.trim().to_owned())),
        }
    }

    fn contains(&self, rule: Rule) -> bool {
        self.all || self.names.contains(&rule.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        #[rustfmt::skip]
        let cases = [
            // value                                      casing  description error
            ("skip=StageNameCasing",                      Some((false, false, false))),
            ("skip=FromAsCasing,StageNameCasing",         Some((false, false, false))),
            ("skip=FromAsCasing",                         Some((true,  false, false))),
            ("skip=all",                                  Some((false, false, false))),
            ("error=true",                                Some((true,  false, true))),
            ("skip=A;error=1",                            Some((true,  false, true))),
            ("experimental=all",                          Some((true,  true,  false))),
            ("experimental=InvalidDefinitionDescription", Some((true,  true,  false))),
            ("error=maybe",                               None),
            ("skip=A;",                                   None),
            ("skip",                                      None),
            ("foo=bar",                                   None),
        ];
        for (value, want) in cases {
            let got = Settings::parse(value).ok().map(|s| {
                (
                    s.allows(Rule::StageNameCasing, Span::line(1)),
                    s.allows(Rule::InvalidDefinitionDescription, Span::line(1)),
                    s.error,
                )
            });
            assert_eq!(got, want, "{value}");
        }
    }

    #[test]
    fn comments_count_for_one_instruction() {
        let mut settings = Settings::default();
        settings.add_comment(Span::line(3), "skip=StageNameCasing");
        settings.add_comment(Span::line(4), "is it?");
        assert!(!settings.allows(Rule::StageNameCasing, Span::line(3)));
        assert!(settings.allows(Rule::FromAsCasing, Span::line(3)));
        assert!(settings.allows(Rule::StageNameCasing, Span::line(4)));
    }
}
