//! `SOURCE_DATE_EPOCH`: the moment that new history entries and files carry.
//!
//! # Spec
//! Language spec 2.7.

use std::collections::BTreeMap;

use super::{Error, Options, Problem, Scope};
use crate::dockerfile::Dockerfile;

const NAME: &str = "SOURCE_DATE_EPOCH";

/// Finds the value in the build args, else in a global `ARG`'s default, else in the environment, and replaces words by the number
/// they stand for, so that a stage that declares the name sees a number.
pub(super) fn resolve(
    globals: &mut Scope,
    build_args: &mut BTreeMap<String, String>,
    dockerfile: &Dockerfile,
    options: &Options,
) -> Result<Option<i64>, Error> {
    let mut declarations = dockerfile.global_args.iter();
    let span = declarations
        .find(|located| located.value.iter().any(|arg| arg.name == NAME))
        .map(|located| located.span);
    let given = build_args.get(NAME).cloned();
    let is_given = given.is_some();
    let Some(text) = given.or_else(|| globals.values.get(NAME).cloned()) else {
        if let Some(epoch) = options.source_date_epoch {
            build_args.insert(NAME.to_owned(), epoch.to_string());
        }
        return Ok(options.source_date_epoch);
    };
    let is_stage = |text: &str| {
        let mut stages = dockerfile.stages.iter();
        stages.any(|stage| stage.name.as_deref() == Some(&text.to_lowercase()))
    };
    let epoch = match (text.as_str(), text.parse::<i64>()) {
        (_, Ok(seconds)) => Ok(Some(seconds)),
        ("", _) => Ok(None),
        ("context", _) => Ok(options.context_time),
        (name, _) if is_stage(name) => Err(Problem::SourceDateEpochOfStage(text)),
        _ => Err(Problem::SourceDateEpoch(text)),
    };
    let epoch = epoch.map_err(|problem| Error {
        span: span.filter(|_| !is_given),
        problem,
    })?;
    let number = epoch.map_or(String::new(), |epoch| epoch.to_string());
    if is_given {
        build_args.insert(NAME.to_owned(), number.clone());
    }
    if let Some(value) = globals.values.get_mut(NAME) {
        *value = number;
    }
    Ok(epoch)
}
