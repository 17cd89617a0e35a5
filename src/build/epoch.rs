//! When that was made which `SOURCE_DATE_EPOCH` names: a context, or what a stage adds.

use super::{Error, Options, contexts, pins};
use crate::context;
use crate::dockerfile::Dockerfile;
use crate::execute;
use crate::net::Net;
use crate::plan::{self, Action, EpochSource};

/// Fetches what `SOURCE_DATE_EPOCH` names, if it is a name; absent if that does not say when it was made.
///
/// # Errors
/// [`Error::Context`], [`Error::Stage`], and those of the plan.
pub fn time(
    dockerfile: &Dockerfile,
    options: &Options,
    net: &Net,
    means: context::Means<'_>,
) -> Result<Option<i64>, Error> {
    match plan::epoch_source(dockerfile, &options.plan)? {
        None => Ok(None),
        Some(EpochSource::Context(index)) => {
            let context = contexts::open(&options.plan.contexts[index], options, means)?;
            Ok(context.and_then(|context| context.time))
        }
        Some(EpochSource::Stage(stage)) => {
            let step = stage.steps.last().expect("it has a step that adds");
            let Action::Copy(copy) = &step.action else {
                return Ok(None);
            };
            let git = pins::of_add(&options.git);
            let source = copy.sources.first().expect("it adds something");
            let time = execute::source_time(source, pins::means(options, net, &git));
            time.map_err(|error| Error::at(&stage, step, error.into()))
        }
    }
}
