//! The variables an instruction sees.
//!
//! # Spec
//! Language spec 2.6 and 2.7.

use std::collections::BTreeMap;

use super::{Error, Options, Problem};
use crate::dockerfile::expand::{Expanded, expand};
use crate::dockerfile::{AUTOMATIC_ARGS, Dockerfile};

/// The values of `ARG` and `ENV` in effect at one point; the last instruction to set a name wins (ARG-6, ARG-7).
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub values: BTreeMap<String, String>,
    /// Names declared by `ARG`, with or without a value, in order of first declaration.
    pub declared: Vec<String>,
}

impl Scope {
    pub fn set(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    pub fn declare(&mut self, name: &str) {
        if !self.declared.iter().any(|known| known == name) {
            self.declared.push(name.to_owned());
        }
    }

    /// Returns the build args as history and cache keys list them; one without value is empty (HIS-2).
    pub fn build_args(&self) -> Vec<(String, String)> {
        let value = |name| self.values.get(name).cloned().unwrap_or_default();
        self.declared
            .iter()
            .map(|name| (name.clone(), value(name)))
            .collect()
    }

    /// Returns the variables of a command; the args that steer attestations stay out.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut values = self.values.clone();
        values.retain(|name, _| !NEVER_EXPORTED.contains(&name.as_str()));
        values
    }

    /// Returns every name that means something.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.values.keys().chain(&self.declared);
        names.map(String::as_str)
    }

    pub fn is_known(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.declared.iter().any(|known| known == name)
    }

    pub fn expand(&self, word: &str, escape: char) -> Result<Expanded, Problem> {
        let lookup = |name: &str| self.values.get(name).cloned();
        Ok(expand(word, escape, &lookup)?)
    }
}

const NEVER_EXPORTED: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// Names of proxy variables, in lower case.
const PROXIES: [&str; 5] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
];

/// Returns the proxy build args under both spellings; lower case wins, empty ones do not count.
pub(super) fn proxies(build_args: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut proxies = BTreeMap::new();
    for name in PROXIES {
        let given = build_args.get(name).filter(|value| !value.is_empty());
        let any_case = || {
            let mut others = build_args.iter();
            others.find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
        };
        if let Some(value) = given.or_else(|| any_case().map(|(_, value)| value)) {
            proxies.insert(name.to_owned(), value.clone());
            proxies.insert(name.to_uppercase(), value.clone());
        }
    }
    proxies
}

/// Tells whether a build arg means something although no `ARG` declares it.
pub(super) fn is_predefined(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
        || name.starts_with("BUILDKIT_")
        || name == "SOURCE_DATE_EPOCH"
        || AUTOMATIC_ARGS.contains(&name)
}

/// Returns the automatic args, build args of the same name taking their place.
pub(super) fn automatic(options: &Options, target_stage: &str) -> Scope {
    let (build, target) = (&options.platforms.build, &options.platforms.target);
    let values = [
        build.to_string(),
        build.os.clone(),
        build.os_version.clone(),
        build.architecture.clone(),
        build.variant.clone(),
        target.to_string(),
        target.os.clone(),
        target.os_version.clone(),
        target.architecture.clone(),
        target.variant.clone(),
        target_stage.to_owned(),
    ];
    let mut scope = Scope::default();
    for (name, value) in AUTOMATIC_ARGS.into_iter().zip(values) {
        let given = options.build_args.get(name).cloned();
        scope.set(name, given.unwrap_or(value));
    }
    scope
}

/// Evaluates the `ARG`s before the first `FROM`, on top of the automatic ones.
pub(super) fn globals(dockerfile: &Dockerfile, options: &Options) -> Result<Scope, Error> {
    let last = dockerfile.stages.last();
    let target_stage = options.targets.first().cloned();
    let target_stage = target_stage.or_else(|| last.and_then(|stage| stage.name.clone()));
    let target_stage = target_stage.unwrap_or_else(|| "default".to_owned());
    let mut globals = automatic(options, &target_stage);
    for located in &dockerfile.global_args {
        for declaration in &located.value {
            globals.declare(&declaration.name);
            let given = options.build_args.get(&declaration.name);
            let value = match (given, &declaration.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    let expanded = globals.expand(default, dockerfile.escape);
                    Some(expanded.map_err(|p| p.at(located.span))?.text)
                }
                (None, None) => None,
            };
            if let Some(value) = value {
                globals.set(&declaration.name, value);
            }
        }
    }
    Ok(globals)
}
