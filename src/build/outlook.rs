//! What of a plan must really be done, given which layers there are already. Pure.

use std::collections::BTreeSet;

use crate::plan::{Action, Base, Plan};

/// A step, by the position of its stage and its own.
pub type At = (usize, usize);

/// What must be done in one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prospect {
    /// Its config and layers are part of an image: its own, or one of a later stage based on it.
    pub is_wanted: bool,
    /// Its files are looked at by a later stage.
    pub is_read: bool,
    /// How many of its steps, counted from the first, its root must go through; the layers of the others are all there.
    pub work: usize,
}

impl Prospect {
    /// Tells whether the stage needs a root.
    pub fn has_root(&self) -> bool {
        self.is_read || self.work > 0
    }

    /// Tells whether anything of the stage is needed.
    pub fn is_needed(&self) -> bool {
        self.is_wanted || self.is_read
    }
}

/// Decides from the last stage to the first: a stage is needed if it becomes an image, or if a step that must be executed reads it.
///
/// Stages that nobody consumes are targets.
pub fn outlook(plan: &Plan, hits: &BTreeSet<At>) -> Vec<Prospect> {
    let mut prospects = vec![Prospect::default(); plan.stages.len()];
    for position in (0..plan.stages.len()).rev() {
        let stage = &plan.stages[position];
        let is_target = position == plan.target || stage.consumers.is_empty();
        let prospect = &mut prospects[position];
        prospect.is_wanted |= is_target;
        let must_run = |index: &usize| {
            stage.steps[*index].action != Action::Config && !hits.contains(&(position, *index))
        };
        let last = (0..stage.steps.len()).rfind(must_run);
        prospect.work = match (prospect.is_read, prospect.is_wanted) {
            (true, _) => stage.steps.len(),
            (false, true) => last.map_or(0, |last| last + 1),
            (false, false) => 0,
        };
        let Prospect {
            is_wanted, work, ..
        } = *prospect;
        let has_root = prospect.has_root();
        if let Base::Stage(base) = stage.base {
            prospects[base].is_read |= has_root;
            prospects[base].is_wanted |= is_wanted;
        }
        for index in (0..work).filter(must_run) {
            for read in stage.steps[index].stages_read() {
                prospects[read].is_read = true;
            }
        }
    }
    prospects
}

/// Returns the steps that are executed.
pub fn executed<'p>(
    prospects: &'p [Prospect],
    plan: &'p Plan,
    hits: &'p BTreeSet<At>,
) -> impl Iterator<Item = At> + 'p {
    steps_with_root(prospects).filter(move |at| {
        plan.stages[at.0].steps[at.1].action != Action::Config && !hits.contains(at)
    })
}

/// Returns the steps whose layers must be at hand, because a root goes through them.
pub fn applied<'p>(
    prospects: &'p [Prospect],
    hits: &'p BTreeSet<At>,
) -> impl Iterator<Item = At> + 'p {
    steps_with_root(prospects).filter(|at| hits.contains(at))
}

fn steps_with_root(prospects: &[Prospect]) -> impl Iterator<Item = At> + '_ {
    prospects
        .iter()
        .enumerate()
        .flat_map(|(position, prospect)| (0..prospect.work).map(move |index| (position, index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::plan_of;

    /// Three stages; the steps with layers are 0.0 1.0 1.1 2.0 2.1.
    const TEXT: &str = "FROM scratch AS a\nCOPY x /x\n\
        FROM scratch AS b\nCOPY y /y\nRUN b\n\
        FROM a\nCOPY --from=b /y /z\nRUN c\nLABEL l=1\n";

    fn check(hits: &[At], want: &str) {
        let plan = plan_of(TEXT);
        let hits = hits.iter().copied().collect();
        let prospects = outlook(&plan, &hits);
        let show = |at: At| format!("{}.{}", at.0, at.1);
        let line =
            |steps: &mut dyn Iterator<Item = At>| steps.map(show).collect::<Vec<_>>().join(" ");
        let roots: Vec<_> = prospects.iter().map(Prospect::has_root).collect();
        let roots = (0..roots.len())
            .filter(|i| roots[*i])
            .map(|i| i.to_string());
        let got = format!(
            "roots {} | execute {} | apply {}",
            roots.collect::<Vec<_>>().join(" "),
            line(&mut executed(&prospects, &plan, &hits)),
            line(&mut applied(&prospects, &hits)),
        );
        assert_eq!(got, want, "{hits:?}");
    }

    #[test]
    fn only_what_is_missing_and_what_it_stands_on() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[At], &str); 7] = [
            (&[],                                     "roots 0 1 2 | execute 0.0 1.0 1.1 2.0 2.1 | apply "),
            (&[(0,0), (1,0), (1,1), (2,0), (2,1)],    "roots  | execute  | apply "),
            // nobody needs the stage that a cached COPY reads
            (&[(0,0), (2,0), (2,1)],                  "roots  | execute  | apply "),
            (&[(0,0), (1,0), (1,1), (2,0)],           "roots 0 2 | execute 2.1 | apply 0.0 2.0"),
            // what a missing COPY reads must be there, from layers
            (&[(0,0), (1,0), (1,1), (2,1)],           "roots 0 1 2 | execute 2.0 | apply 0.0 1.0 1.1"),
            (&[(0,0), (1,0), (2,1)],                  "roots 0 1 2 | execute 1.1 2.0 | apply 0.0 1.0"),
            // a missing layer of the base is made although what is above it is cached
            (&[(2,0), (2,1)],                         "roots 0 | execute 0.0 | apply "),
        ];
        for (hits, want) in cases {
            check(hits, want);
        }
    }
}
