//! Whether what is copied from the contexts is there: found out before anything is done.

use tracing::warn;

use super::Error;
use super::contexts::Contexts;
use super::outlook::At;
use crate::execute;
use crate::execute::run::Isolation;
use crate::plan::{Action, Plan};

/// Looks for the sources of each COPY and ADD that is executed.
///
/// Commands in place see a context that is mounted in the container, and may write what is missing: that is told, and left to the step.
///
/// # Errors
/// Those with which the step itself would fail, at its instruction.
pub fn check(
    plan: &Plan,
    executed: &[At],
    contexts: &Contexts<'_>,
    commands: Option<&Isolation>,
) -> Result<(), Error> {
    for at in executed {
        let stage = &plan.stages[at.0];
        let step = &stage.steps[at.1];
        let Action::Copy(copy) = &step.action else {
            continue;
        };
        let Some(tree) = contexts.tree(&copy.from) else {
            continue;
        };
        match (execute::find_sources(copy, &tree), commands) {
            (Err(error), Some(Isolation::InPlace(_))) => {
                warn!(
                    "{error}, unless a command makes it (line {})",
                    step.span.first_line
                );
            }
            (found, _) => found.map_err(|error| Error::at(stage, step, error.into()))?,
        }
    }
    Ok(())
}
