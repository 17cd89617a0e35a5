//! `SOURCE_DATE_EPOCH`: the moment that new history entries and files carry.
//!
//! Beside a number it can be the name of something that knows when it was made. Finding that out takes the network, so the plan only
//! says what to ask ([`epoch_source`]) and is told the answer ([`Options::epoch_time`]).
//!
//! # Spec
//! Language spec 2.7.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{
    Action, Base, Configs, CopySource, Error, Options, PlannedStage, Problem, Scope, named, plan,
    scope,
};
use crate::dockerfile::{Dockerfile, Instruction, Span, Stage};

const NAME: &str = "SOURCE_DATE_EPOCH";

/// What an image's documents have a form for: years of four digits.
const MOMENTS: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// Tells whether so many seconds since 1970 are a moment that an image can name.
pub fn is_moment(seconds: i64) -> bool {
    MOMENTS.contains(&seconds)
}

/// What says when a build was made, if `SOURCE_DATE_EPOCH` is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EpochSource {
    /// A named context of files, by its position in [`Options::contexts`].
    Context(usize),
    /// A stage whose last step is the `ADD` of one remote source.
    Stage(Box<PlannedStage>),
}

enum Named<'a> {
    Context(usize),
    Stage(&'a Stage),
}

/// Finds what [`Options::epoch_time`] has to be the time of, if anything.
///
/// # Errors
/// [`Problem::SourceDateEpoch`], [`Problem::SourceDateEpochOfStage`], and what is wrong with the stage.
pub fn epoch_source(
    dockerfile: &Dockerfile,
    options: &Options,
) -> Result<Option<EpochSource>, Error> {
    let globals = scope::globals(dockerfile, options)?;
    let given = Given::find(&globals, &options.build_args, dockerfile);
    let Some(given) = given.filter(|given| given.is_name()) else {
        return Ok(None);
    };
    let stage = match given.named(dockerfile, options)? {
        Named::Context(index) => return Ok(Some(EpochSource::Context(index))),
        Named::Stage(stage) => stage,
    };
    let mut alone = options.clone();
    alone.targets = stage.name.iter().cloned().collect();
    alone.every_stage = false;
    alone.build_args.insert(NAME.to_owned(), String::new());
    let mut planned = plan(dockerfile, &alone, &Configs::new())?;
    let stage = planned.stages.swap_remove(planned.target);
    let adds_one = match stage.steps.last().map(|step| &step.action) {
        Some(Action::Copy(step)) => matches!(
            step.sources[..],
            [CopySource::Url { .. } | CopySource::Git(_)]
        ),
        _ => false,
    };
    match stage.base == Base::Scratch && adds_one {
        true => Ok(Some(EpochSource::Stage(Box::new(stage)))),
        false => Err(Problem::SourceDateEpochOfStage(given.text).at(stage.span)),
    }
}

/// The value, and where it stands.
struct Given {
    text: String,
    span: Option<Span>,
    is_build_arg: bool,
}

impl Given {
    /// Finds the value in the build args, else in a global `ARG`'s default.
    fn find(
        globals: &Scope,
        build_args: &BTreeMap<String, String>,
        dockerfile: &Dockerfile,
    ) -> Option<Self> {
        let build_arg = build_args.get(NAME);
        let text = build_arg.or_else(|| globals.values.get(NAME))?;
        let mut declarations = dockerfile.global_args.iter();
        let declaration =
            declarations.find(|located| located.value.iter().any(|arg| arg.name == NAME));
        Some(Self {
            text: text.clone(),
            span: declaration
                .map(|located| located.span)
                .filter(|_| build_arg.is_none()),
            is_build_arg: build_arg.is_some(),
        })
    }

    fn is_name(&self) -> bool {
        let is_word = matches!(&*self.text, "" | "context");
        !is_word && self.text.parse::<i64>().is_err()
    }

    fn failed(&self, problem: Problem) -> Error {
        Error {
            span: self.span,
            problem,
        }
    }

    /// Finds what has that name; a stage must be one that knows when it was made.
    fn named<'a>(&self, dockerfile: &'a Dockerfile, options: &Options) -> Result<Named<'a>, Error> {
        let target = &options.platforms.target;
        if let Some(index) = named::find(&options.contexts, &self.text, target) {
            return Ok(Named::Context(index));
        }
        let name = self.text.to_lowercase();
        let mut stages = dockerfile.stages.iter().rev();
        let stage = stages.find(|stage| stage.name.as_deref() == Some(&*name));
        let stage =
            stage.ok_or_else(|| self.failed(Problem::SourceDateEpoch(self.text.clone())))?;
        let others = stage.instructions.iter();
        let mut others = others.filter(|located| !matches!(located.value, Instruction::Arg(_)));
        match (others.next().map(|located| &located.value), others.next()) {
            (Some(Instruction::Add(_)), None) => Ok(Named::Stage(stage)),
            _ => Err(self.failed(Problem::SourceDateEpochOfStage(self.text.clone()))),
        }
    }
}

/// Finds the value in the build args, else in a global `ARG`'s default, else in the environment, and replaces words by the number
/// they stand for, so that a stage that declares the name sees a number.
pub(super) fn resolve(
    globals: &mut Scope,
    build_args: &mut BTreeMap<String, String>,
    dockerfile: &Dockerfile,
    options: &Options,
) -> Result<Option<i64>, Error> {
    let Some(given) = Given::find(globals, build_args, dockerfile) else {
        if let Some(epoch) = options.source_date_epoch {
            build_args.insert(NAME.to_owned(), epoch.to_string());
        }
        return Ok(options.source_date_epoch);
    };
    let epoch = match (given.text.as_str(), given.text.parse::<i64>()) {
        (_, Ok(seconds)) if is_moment(seconds) => Some(seconds),
        (text, Ok(_)) => {
            return Err(given.failed(Problem::SourceDateEpoch(text.to_owned())));
        }
        ("", _) => None,
        ("context", _) => options.context_time,
        (_, Err(_)) => {
            given.named(dockerfile, options)?;
            options.epoch_time
        }
    };
    // a commit may claim to be of any time
    let epoch = epoch.map(|epoch| epoch.clamp(*MOMENTS.start(), *MOMENTS.end()));
    let number = epoch.map_or(String::new(), |epoch| epoch.to_string());
    if given.is_build_arg {
        build_args.insert(NAME.to_owned(), number.clone());
    }
    if let Some(value) = globals.values.get_mut(NAME) {
        *value = number;
    }
    Ok(epoch)
}
