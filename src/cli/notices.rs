//! What is logged about options before a build.

use tracing::{debug, info, warn};

use super::env::{Effect, Environment, VARIABLES};
use super::features::Notice;
use super::value;
use super::values::Values;
use crate::execute;

/// What `--git` knows.
const GIT_KEYS: [&str; 5] = [
    "branch",
    "depth",
    "insecure-skip-tls",
    "recurse-submodules",
    "single-branch",
];

/// Logs what feature flags are set.
pub fn features(lines: &[Notice]) {
    for line in lines {
        match line {
            Notice::Info(text) => info!("{text}"),
            Notice::Warning(text) => warn!("{text}"),
        }
    }
}

/// Reports deprecated spellings, flags with nothing left to do, and variables that are not heeded.
pub fn without_effect(values: &Values, env: &Environment) {
    for (old, new) in [
        ("customPlatform", "custom-platform"),
        ("snapshotMode", "snapshot-mode"),
    ] {
        if values.non_empty(old).is_some() {
            warn!("Flag --{old} is deprecated. Use: --{new}");
        }
    }
    if values.bool("skip-unused-stages") {
        warn!("Flag --skip-unused-stages is deprecated. Unused stages are always skipped");
    }
    if values.bool("force-build-metadata") {
        warn!("Flag --force-build-metadata is deprecated and has no effect");
    }
    for name in ["label", "build-arg"] {
        // kaniko takes them without a word
        if values.list(name).iter().any(|text| text.starts_with('=')) {
            warn!("a --{name} has an empty name: nothing stands in front of its `=`");
        }
    }
    for text in values.list("git") {
        let (key, _) = text.split_once('=').unwrap_or((text, ""));
        if !GIT_KEYS.contains(&key) {
            // kaniko takes them without a word, too
            warn!(
                "--git {key}=… has no effect: the keys are {}",
                GIT_KEYS.join(", ")
            );
        }
    }
    for text in values.list("ignore-path") {
        if let Some(reason) = execute::never_matches(text) {
            warn!("--ignore-path {text} has no effect: {reason}");
        }
    }
    for (name, reason) in values.holding() {
        debug!("--{name} has no effect: {reason}");
    }
    for variable in VARIABLES {
        let set = env.get(variable.name).filter(|value| !value.is_empty());
        if let (Some(_), Effect::Idle(reason)) = (set, variable.effect) {
            debug!("{} has no effect: {reason}", variable.name);
        }
    }
    for name in ["KANIKO_PRE_CLEANUP", "KANIKO_PRESERVE_CONTEXT"] {
        if env
            .get(name)
            .is_some_and(|text| value::parse_bool(text) == Ok(true))
        {
            debug!(
                "{name} has no effect: stages have roots of their own and the context is never changed"
            );
        }
    }
}
