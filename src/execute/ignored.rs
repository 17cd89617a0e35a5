//! The check `CopyIgnoredFile`: a source that the ignore file hides.

use crate::context::dockerignore::Matcher;
use crate::dockerfile::check::{Finding, Rule, Settings};
use crate::layer::LayerPath;
use crate::plan::{Action, CopySource, Plan, Source};

/// A name that only patterns for everything match.
const ANYTHING: &str = "a name in no ignore file";

/// Finds the sources of COPY and ADD that the ignore file of the main context excludes, as they are written.
///
/// With exceptions in the file nothing is found. The root counts as excluded if everything in it is.
///
/// # Spec
/// Language spec 7.
pub fn ignored_sources(plan: &Plan, ignore: &Matcher, checks: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if ignore.has_exceptions() {
        return findings;
    }
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        let Action::Copy(copy) = &step.action else {
            continue;
        };
        if copy.from != Source::Context || !checks.allows(Rule::CopyIgnoredFile, step.span) {
            continue;
        }
        for source in &copy.sources {
            let CopySource::Path(word) = source else {
                continue;
            };
            let path = LayerPath::clean(word);
            let judged = match path.is_root() {
                true => LayerPath::clean(ANYTHING),
                false => path,
            };
            if ignore.excludes(&judged) {
                let message = format!("`{word}` is excluded by the ignore file");
                findings.push(Finding::new(Rule::CopyIgnoredFile, step.span, message));
            }
        }
    }
    findings
}
