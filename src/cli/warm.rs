//! `executor warm`, which is also what the program does under the name `warmer`.

use std::collections::BTreeMap;

use super::args::Parsed;
use super::env::Environment;
use super::options::{Given, Place, Registry, build_args};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, log_options, mistake, table};
use crate::image::Platform;
use crate::log;
use crate::store::shared;

pub const PAGE: Page = Page {
    about: "Put base images into the directory that builds share",
    usage: &["executor warm [flags]", "warmer [flags]"],
    commands: &[],
    flags: table::WARM,
};

/// What is to be stored, before the environment is looked at.
#[derive(Debug)]
pub struct WarmArguments {
    values: Values,
    /// Lines to be printed on stderr as they are.
    pub notices: Vec<String>,
}

/// Which images to store, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warm {
    /// As typed.
    pub images: Vec<String>,
    /// A path or a URL.
    pub dockerfile: Option<String>,
    pub build_args: BTreeMap<String, String>,
    /// Absent: the machine's own.
    pub platform: Option<Platform>,
    pub store: shared::Options,
    pub registry: Registry,
}

/// Reads the arguments of `warm`.
///
/// # Spec
/// Compat spec 2.4.
pub fn warm(parsed: Parsed) -> Result<WarmArguments, Error> {
    if let Some(word) = parsed.positional.into_iter().next() {
        return Err(Error::UnknownArgument(word));
    }
    let values = parsed.values;
    if values.list("image").is_empty() && values.non_empty("dockerfile").is_none() {
        return Err(Error::Combination(
            "you must select at least one image to cache or a dockerfilepath to parse",
        ));
    }
    Ok(WarmArguments {
        values,
        notices: parsed.notices,
    })
}

impl WarmArguments {
    /// Returns how the log is to be written.
    pub fn log(&self) -> Result<log::Options, Mistake> {
        log_options(&self.values).map_err(|error| mistake(error.into(), &PAGE))
    }

    /// Combines flags and environment.
    pub fn resolve(&self, env: &Environment, place: Place<'_>) -> Result<Warm, Mistake> {
        let values = &self.values;
        let given = Given { values, env, place };
        let resolve = || {
            let platform = values.non_empty("customPlatform");
            Ok(Warm {
                images: values.list("image").to_vec(),
                dockerfile: values.non_empty("dockerfile").map(str::to_owned),
                build_args: build_args(values, env)?,
                platform: platform
                    .map(str::parse)
                    .transpose()
                    .map_err(Error::Platform)?,
                store: shared::Options {
                    dir: place.current_dir.join(values.text("cache-dir")),
                    create: true,
                    max_size: values.size("cache-dir-max-size"),
                    ttl: values.duration("cache-ttl"),
                    refresh: values.bool("force"),
                },
                registry: Registry::resolve(given)?,
            })
        };
        resolve().map_err(|error| mistake(error, &PAGE))
    }
}
