//! Checks of what stages start from, as far as the text tells without the platforms.

use std::collections::BTreeMap;

use super::super::error::did_you_mean;
use super::super::expand::{Expanded, expand};
use super::super::{AUTOMATIC_ARGS, Dockerfile, Stage, quote, suggest};
use super::{Report, Rule};

/// Adds what is found in every `FROM`.
pub(super) fn findings(report: &mut Report<'_>) {
    let dockerfile = report.dockerfile;
    let defaults = Defaults::of(dockerfile);
    for from in &dockerfile.stages {
        stage(from, &defaults, report);
    }
}

/// Stands for the value of an automatic arg: that it has one matters here, and not which.
const AUTOMATIC: &str = "automatic";

/// What `FROM` sees when no build arg is given.
struct Defaults {
    escape: char,
    /// `None` for an arg without default.
    values: BTreeMap<String, Option<String>>,
}

impl Defaults {
    fn of(dockerfile: &Dockerfile) -> Self {
        let mut defaults = Self {
            escape: dockerfile.escape,
            values: AUTOMATIC_ARGS
                .into_iter()
                .map(|name| (name.to_owned(), Some(AUTOMATIC.to_owned())))
                .collect(),
        };
        for arg in dockerfile.global_args.iter().flat_map(|args| &args.value) {
            let value = arg.default.as_ref().map(|default| {
                let expanded = defaults.expand(default);
                expanded.map(|expanded| expanded.text).unwrap_or_default()
            });
            // A bare declaration of an automatic arg leaves its value.
            if value.is_some() || !AUTOMATIC_ARGS.contains(&arg.name.as_str()) {
                defaults.values.insert(arg.name.clone(), value);
            }
        }
        defaults
    }

    /// Returns `None` for what cannot be expanded, which is an error elsewhere.
    fn expand(&self, word: &str) -> Option<Expanded> {
        let lookup = |name: &str| self.values.get(name).cloned().flatten();
        expand(word, self.escape, &lookup).ok()
    }
}

/// Checks the image and platform a stage starts from.
fn stage(stage: &Stage, defaults: &Defaults, report: &mut Report<'_>) {
    let (span, from) = (stage.from.span, &stage.from.value);
    let words = [Some(&from.image), from.platform.as_ref()];
    for expanded in words
        .into_iter()
        .flatten()
        .filter_map(|word| defaults.expand(word))
    {
        for name in &expanded.undefined {
            if !defaults.values.contains_key(name) {
                let names = defaults.values.keys().map(String::as_str);
                let hint = did_you_mean(suggest(name, names));
                let message = format!("`{name}` is neither a global ARG nor automatic{hint}");
                report.add(Rule::UndefinedArgInFrom, span, message);
            }
        }
    }
    if let Some(platform) = &from.platform {
        check_platform(stage, platform, defaults, report);
    }
}

fn check_platform(stage: &Stage, platform: &str, defaults: &Defaults, report: &mut Report<'_>) {
    let span = stage.from.span;
    if matches!(platform, "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        let message = "the target platform is the default anyway".to_owned();
        report.add(Rule::RedundantTargetPlatform, span, message);
    }
    let is_constant = defaults.expand(platform).is_some_and(|p| p.used.is_empty());
    let name = stage.name.as_deref().unwrap_or_default();
    let in_name = platform
        .split('/')
        .take(2)
        .any(|part| !part.is_empty() && name.contains(part));
    if is_constant && !in_name {
        let message = format!(
            "the constant platform {} ties the stage to it",
            quote::quoted(platform)
        );
        report.add(Rule::FromPlatformFlagConstDisallowed, span, message);
    }
}
