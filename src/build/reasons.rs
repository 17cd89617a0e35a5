//! Why a layer was not found in the cache.

use std::collections::BTreeMap;

use super::error::display_name;
use super::outlook::At;
use crate::cache::key::Changes;
use crate::cache::{Key, Lookup};
use crate::plan::Plan;

/// The reason for layers whose entry is there but damaged, or not ours.
pub const UNUSABLE: &str = "the entry cannot be used";

/// What is known when a layer was not found: keys are hashes, so beside what is remembered there is only which of the keys below it were found.
pub struct Known<'k> {
    pub plan: &'k Plan,
    pub keys: &'k BTreeMap<At, Key>,
    pub answers: &'k BTreeMap<Key, Lookup>,
    /// Since the step was last built, if that is remembered.
    pub changes: Option<Changes>,
}

impl Known<'_> {
    /// Says why a layer was not found, as far as one can tell.
    pub fn reason(&self, miss: &Lookup, at: At) -> String {
        match miss {
            Lookup::Hit(_) => return "found".to_owned(),
            Lookup::Expired => return "the entry is older than --cache-ttl".to_owned(),
            Lookup::Broken(_) => return UNUSABLE.to_owned(),
            Lookup::Failed(_) => return "the repository did not answer".to_owned(),
            Lookup::Absent => {}
        }
        if let Some(own) = self.changes.as_ref().and_then(Changes::own) {
            return own;
        }
        let stage = &self.plan.stages[at.0];
        if let Some(changed) = self.changed_stage(at) {
            let name = display_name(&self.plan.stages[changed]);
            return format!("stage `{name}`, which it reads, has steps that are not cached");
        }
        let below = (0..at.1)
            .rev()
            .find_map(|index| Some((index, self.is_hit((at.0, index))?)));
        let text = match (below, &self.changes) {
            (Some((index, false)), _) => {
                let text = &stage.steps[index].text;
                return format!("the step before it is not cached: {text}");
            }
            (_, Some(changes)) if !changes.below => {
                "nothing changed since it was last built, but its entry is not there"
            }
            (None, Some(_)) => "the base image moved",
            (Some(_), _) => "the instruction, a variable it sees, or a file it reads changed",
            (None, None) => {
                "first build, the base image moved, or the first instruction or what it reads changed"
            }
        };
        text.to_owned()
    }

    fn is_hit(&self, at: At) -> Option<bool> {
        let key = self.keys.get(&at)?;
        Some(matches!(self.answers.get(key), Some(Lookup::Hit(_))))
    }

    fn changed_stage(&self, at: At) -> Option<usize> {
        let read = self.plan.stages[at.0].steps[at.1].stages_read();
        read.into_iter().find(|read| {
            let steps = 0..self.plan.stages[*read].steps.len();
            let mut known = steps.filter_map(|index| self.is_hit((*read, index)));
            known.any(|hit| !hit)
        })
    }
}
