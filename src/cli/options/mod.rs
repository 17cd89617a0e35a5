//! What a build is asked to do: values of flags and environment, combined, checked and typed.

mod build;
mod cache;
mod export;
mod git;
mod kaniko_dir;
mod output;
mod registry;
mod telemetry;

use std::path::{Path, PathBuf};

use super::env::Environment;
use super::features::{self, Features};
use super::values::Values;
use super::{Error, checks, notices, value};
use crate::context;
use crate::store;

pub use build::Build;
pub(super) use build::build_args;
pub(super) use cache::repository as cache_repository;
pub use kaniko_dir::KanikoDir;
pub use output::{Destination, Output};
pub(super) use output::{destinations, file_or_url};
pub use registry::Registry;
pub use telemetry::{Report, ReportFormat, Telemetry};

/// Everything a build is asked for. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the program was started.
    pub current_dir: PathBuf,
    pub kaniko_dir: KanikoDir,
    pub context: context::Options,
    pub build: Build,
    pub registry: Registry,
    pub output: Output,
    /// Absent without `--cache`, or if there is no place to cache in.
    pub cache: Option<crate::cache::Options>,
    /// Absent without `--cache`.
    pub store: Option<store::shared::Options>,
    pub features: Features,
    pub telemetry: Option<Telemetry>,
}

/// Where the program is: what options depend on besides arguments and environment.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub current_dir: &'a Path,
    pub executable: &'a Path,
}

/// All that options are made of.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub values: &'a Values,
    pub env: &'a Environment,
    pub place: Place<'a>,
}

impl<'a> Given<'a> {
    /// Returns a variable of the environment unless it is empty.
    fn variable(&self, name: &str) -> Option<&'a str> {
        self.env.get(name).filter(|value| !value.is_empty())
    }

    fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.place.current_dir.join(path)
    }

    /// Tells whether a build may take shortcuts that do not show in the image.
    fn shortcuts(&self) -> Result<bool, Error> {
        const NAME: &str = "EXECUTOR_SHORTCUTS";
        let Some(text) = self.variable(NAME) else {
            return Ok(true);
        };
        value::parse_bool(text).map_err(|reason| Error::Variable { name: NAME, reason })
    }

    /// Returns the path a flag was given.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.values.non_empty(name).map(|path| self.absolute(path))
    }
}

impl Options {
    /// Combines and checks what was given, and logs what the user should know about it. The log must have been started.
    ///
    /// # Errors
    /// The first mistake, in kaniko's order: environment and platform, then combinations.
    ///
    /// # Spec
    /// Compat spec 1.2 to 1.5.
    pub(super) fn resolve(given: Given<'_>) -> Result<Self, Error> {
        let Given { values, env, place } = given;
        env.check()?;
        let (features, lines) = features::read(env);
        notices::features(&lines);
        notices::without_effect(values, env);
        let kaniko_dir = given.path("kaniko-dir");
        let kaniko_dir =
            kaniko_dir.or_else(|| given.variable("KANIKO_DIR").map(|dir| given.absolute(dir)));
        let output = Output::resolve(given)?;
        let options = Self {
            cache: cache::resolve(given, &output)?,
            store: cache::store(given),
            current_dir: place.current_dir.into(),
            kaniko_dir: KanikoDir::choose(kaniko_dir, place.executable),
            context: context::Options {
                location: match values.non_empty("bucket") {
                    // the default stands for a context only if nothing else does
                    Some(_) if !values.is_given("context") => String::new(),
                    _ => values.text("context").into(),
                },
                bucket: values.text("bucket").into(),
                sub_path: values.text("context-sub-path").into(),
                dockerfile: dockerfile(values),
                git: git::options(given),
            },
            build: Build::resolve(given)?,
            registry: Registry::resolve(given)?,
            output,
            features,
            telemetry: telemetry::telemetry(given),
        };
        checks::check(&options)?;
        checks::check_cache(values, options.output.push)?;
        if values.bool("cache") && options.cache.is_none() {
            tracing::warn!("--cache has no place to look into: give --cache-repo or --destination");
        }
        Ok(options)
    }
}

/// Returns the Dockerfile asked for; absent if the default was, in which case a second name is tried.
fn dockerfile(values: &Values) -> Option<String> {
    let given = values.is_given("dockerfile");
    let name = values.non_empty("dockerfile").filter(|_| given);
    name.map(str::to_owned)
}

#[cfg(test)]
mod tests;
