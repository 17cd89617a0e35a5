//! What a key was made of, so that two of them can be told apart in words.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Key;

/// A key and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    pub key: Key,
    pub parts: Parts,
}

/// Names of parts, each with a short hash of what it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts(pub(super) Vec<(String, String)>);

/// The part that stands for everything below a step.
pub(super) const BELOW: &str = "what is below it";

/// How many differences are named.
const NAMED: usize = 3;

impl Parts {
    /// Puts the parts of several steps together, but for what links them.
    pub(super) fn of_steps(steps: Vec<Self>) -> Self {
        let parts = steps.into_iter().enumerate().flat_map(|(index, step)| {
            let parts = step.0.into_iter();
            let own = parts.filter(move |(name, _)| index == 0 || name != BELOW);
            own.map(move |(name, hash)| match name == BELOW {
                true => (name, hash),
                false => (format!("{name} in step {}", index + 1), hash),
            })
        });
        Self(parts.collect())
    }

    /// Says what is not as it was at another time.
    pub fn changes_since(&self, earlier: &Self) -> Changes {
        let of = |parts: &Self| -> BTreeMap<String, Vec<String>> {
            let mut by_name = BTreeMap::<_, Vec<_>>::new();
            for (name, hash) in &parts.0 {
                by_name.entry(name.clone()).or_default().push(hash.clone());
            }
            by_name
        };
        let (now, then) = (of(self), of(earlier));
        let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
        let mut changes = Changes::default();
        for name in names {
            let what = match (now.get(name), then.get(name)) {
                (Some(now), Some(then)) if now == then => continue,
                (Some(_), Some(_)) if name == BELOW => {
                    changes.below = true;
                    continue;
                }
                (Some(_), Some(_)) => "changed",
                (Some(_), None) => "is new",
                (None, _) => "is gone",
            };
            changes.own.push(format!("{name} {what}"));
        }
        // in another order, under the same names
        changes.reordered = changes.own.is_empty() && !changes.below && self != earlier;
        changes
    }
}

/// What is different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Of the step's own.
    own: Vec<String>,
    /// Something below it.
    pub below: bool,
    reordered: bool,
}

impl Changes {
    /// Says what of the step's own is different, if anything.
    pub fn own(&self) -> Option<String> {
        if self.reordered {
            return Some("the order of what it reads changed".to_owned());
        }
        let (named, others) = self.own.split_at(self.own.len().min(NAMED));
        match (named.is_empty(), others.len()) {
            (true, _) => None,
            (false, 0) => Some(named.join(", ")),
            (false, others) => Some(format!("{}, and {others} more", named.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Parts {
        let pair = |word: &str| {
            let (name, hash) = word.split_once('=').unwrap();
            (name.replace('_', " "), hash.to_owned())
        };
        Parts(text.split_whitespace().map(pair).collect())
    }

    #[test]
    fn differences_in_words() {
        let then = parts("what_is_below_it=1 the_command=1 a=1 b=1 c=1");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("what_is_below_it=1 the_command=1 a=1 b=1 c=1",  None,                       false),
            ("what_is_below_it=2 the_command=1 a=1 b=1 c=1",  None,                       true),
            ("what_is_below_it=1 the_command=1 a=1 b=2 c=1",  Some("b changed"),          false),
            ("what_is_below_it=2 the_command=2 a=1 c=1 d=1",  Some("b is gone, d is new, the command changed"), true),
            ("what_is_below_it=1 the_command=2 a=2 b=2 c=2",  Some("a changed, b changed, c changed, and 1 more"), false),
            ("what_is_below_it=1 the_command=1 b=1 a=1 c=1",  Some("the order of what it reads changed"), false),
        ];
        for (now, own, below) in cases {
            let changes = parts(now).changes_since(&then);
            assert_eq!(changes.own().as_deref(), own, "{now}");
            assert_eq!(changes.below, below, "{now}");
        }
    }

    #[test]
    fn steps_put_together() {
        let both = Parts::of_steps(vec![
            parts("what_is_below_it=1 a=1"),
            parts("what_is_below_it=2 a=2"),
        ]);
        assert_eq!(
            both.0,
            parts("what_is_below_it=1 a_in_step_1=1 a_in_step_2=2").0
        );
    }
}
