//! Lines that scripts written for kaniko look for in its log, about what is done here too.
//!
//! Others of its lines would not be true here: nothing is deleted, saved for later stages, squashed, or ignored for being a volume.
//!
//! # Spec
//! Compat spec 10.5.

use std::collections::BTreeMap;

use tracing::info;
use url::Url;

use super::error::display_name;
use crate::net::redact::redacted;
use crate::plan::{Action, Base, CopySource, CopyStep, Plan, Source, Step};

/// Tells what is copied from which stage.
pub fn dependencies(plan: &Plan) {
    let mut copied: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        if let Action::Copy(copy) = &step.action
            && let Source::Stage(position) = copy.from
        {
            let of_stage = copied.entry(plan.stages[position].index).or_default();
            of_stage.extend(copy.sources.iter().filter_map(path));
        }
    }
    let stages = copied
        .iter()
        .map(|(stage, paths)| format!("{stage}:[{}]", paths.join(" ")));
    info!(
        "Built cross stage deps: map[{}]",
        stages.collect::<Vec<_>>().join(" ")
    );
}

fn path(source: &CopySource) -> Option<&str> {
    match source {
        CopySource::Path(path) => Some(path),
        CopySource::Url { .. } | CopySource::Git(_) | CopySource::Inline { .. } => None,
    }
}

/// Tells that a stage begins.
pub fn stage(plan: &Plan, position: usize) {
    let stage = &plan.stages[position];
    let none = "-1".to_owned();
    let (name, base) = match &stage.base {
        Base::Scratch => ("scratch".to_owned(), none),
        Base::Image(image, _) => (image.to_string(), none),
        Base::Stage(base) => {
            let base = &plan.stages[*base];
            (display_name(base), base.index.to_string())
        }
    };
    let mut words = stage.text.split_whitespace().skip(1);
    if let Some(typed) = words.find(|word| !word.starts_with("--"))
        && typed.contains('$')
    {
        info!("Resolved base name of {typed} to {name}");
    }
    let index = stage.index;
    info!("Building stage '{name}' [idx: '{index}', base-idx: '{base}']");
}

/// Tells what a step does beside what it says itself.
pub fn step(step: &Step) {
    match &step.action {
        Action::Copy(copy) => copying(copy),
        Action::Workdir(workdir) => info!("Changed working directory to {}", workdir.path),
        Action::Config => {
            let created_by = step.created_by.as_deref().unwrap_or_default();
            if let Some(labels) = created_by.strip_prefix("LABEL ") {
                info!("Applying label {labels}");
            }
        }
        Action::Run(_) => {}
    }
}

fn copying(copy: &CopyStep) {
    let paths: Vec<&str> = copy.sources.iter().filter_map(path).collect();
    if !paths.is_empty() {
        info!("Resolving srcs [{}]...", paths.join(" "));
    }
    for source in &copy.sources {
        if let CopySource::Url { url, .. } = source
            && let Ok(url) = url.parse::<Url>()
        {
            info!("Adding remote URL {} to {}", redacted(&url), copy.target());
        }
    }
}
