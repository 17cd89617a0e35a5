//! What is logged about options before a build.

use tracing::{debug, info, warn};

use super::env::{Effect, Environment, VARIABLES};
use super::features::Notice;
use super::value;
use super::values::Values;
use crate::dockerfile::suggest;
use crate::execute;
use crate::image::Platform;
use crate::image::platform::{ARCHITECTURES, SYSTEMS};

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

/// Reports a platform that nobody has, if one of nearly that name is known: nothing else would tell where there is no base image.
pub fn platform(platform: &Platform) {
    if let Some(meant) = meant(platform) {
        warn!("nothing is known of the platform {platform}: is {meant} meant?");
    }
}

fn meant(platform: &Platform) -> Option<String> {
    let known = |word: &str, all: &[&'static str]| match all.contains(&word) {
        true => None,
        false => suggest(word, all.iter().copied()),
    };
    let os = known(&platform.os, &SYSTEMS);
    let architecture = known(&platform.architecture, &ARCHITECTURES);
    if os.is_none() && architecture.is_none() {
        return None;
    }
    let meant = Platform::new(
        os.unwrap_or(&platform.os),
        architecture.unwrap_or(&platform.architecture),
        &platform.variant,
    );
    Some(meant.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_that_are_meant() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("linux/amd64",    None),
            ("linux/arm/v6",   None),
            ("linux/quantum",  None),
            ("linux/amd46",    Some("linux/amd64")),
            ("lunix/arm64/v9", Some("linux/arm64/v9")),
        ];
        for (text, want) in cases {
            let platform = text.parse().unwrap();
            assert_eq!(meant(&platform).as_deref(), want, "{text}");
        }
    }
}
