//! Whether what is copied from the contexts is there: found out before anything is done.

use super::Error;
use super::contexts::Contexts;
use super::outlook::At;
use crate::execute;
use crate::plan::{Action, Plan};

/// Looks for the sources of each COPY and ADD that is executed. What a command writes to a context does not count.
///
/// # Errors
/// Those with which the step itself would fail, at its instruction.
pub fn check(plan: &Plan, executed: &[At], contexts: &Contexts<'_>) -> Result<(), Error> {
    for at in executed {
        let stage = &plan.stages[at.0];
        let step = &stage.steps[at.1];
        let Action::Copy(copy) = &step.action else {
            continue;
        };
        if let Some(tree) = contexts.tree(&copy.from) {
            execute::find_sources(copy, &tree)
                .map_err(|error| Error::at(stage, step, error.into()))?;
        }
    }
    Ok(())
}
