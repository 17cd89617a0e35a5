//! `executor job`: the flags of a build as a Kubernetes Job that does it, or as several.

mod exposed;
mod manifest;
mod name;
mod parts;

use super::args::Parsed;
use super::env::Environment;
use super::options::{Given, Options, Place};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, mistake, table, yaml};
use crate::context;
use manifest::Pod;

pub const PAGE: Page = Page {
    about: "Print a Kubernetes Job that builds what the same flags would build here",
    usage: &["executor job --executor-image IMAGE --context URL --destination IMAGE [flags]"],
    commands: &[],
    flags: table::JOB,
};

/// A Job that is asked for, before the environment is looked at.
#[derive(Debug)]
pub struct JobArguments {
    values: Values,
    /// Lines to be printed on stderr as they are.
    pub notices: Vec<String>,
}

/// Reads the arguments of `job`.
pub fn job(parsed: Parsed) -> Result<JobArguments, Error> {
    match parsed.positional.into_iter().next() {
        Some(word) => Err(Error::UnknownCommand(word)),
        None => Ok(JobArguments {
            values: parsed.values,
            notices: parsed.notices,
        }),
    }
}

impl JobArguments {
    /// Checks the flags as a build would, and returns the Job as YAML; for several platforms one for each, and one that makes the index.
    pub fn manifest(&self, env: &Environment, place: Place<'_>) -> Result<String, Mistake> {
        let manifest = || {
            let values = &self.values;
            let options = Options::resolve(Given { values, env, place })?;
            if context::is_local(&options.context)
                .map_err(|error| Error::Context(Box::new(error)))?
            {
                return Err(Error::Combination(
                    "a Job cannot see this machine's files: give a --context that it can fetch, such as git://HOST/PATH or https://HOST/FILE.tar.gz",
                ));
            }
            exposed::check(values)?;
            let image = values.non_empty("executor-image");
            let image = image.or(env.get("EXECUTOR_IMAGE").filter(|image| !image.is_empty()));
            let image = image.ok_or(Error::Combination(
                "the image that the Job runs is missing: give --executor-image, or set EXECUTOR_IMAGE",
            ))?;
            let jobs = match options.build.platforms.len() {
                0 | 1 => vec![parts::whole(values, &options)?],
                _ => parts::by_platform(values, &options, fastrand::u32(..))?,
            };
            let pod = Pod { values, image };
            let documents = jobs.iter().map(|job| yaml::print(&pod.job(job)));
            Ok(documents.collect::<Vec<_>>().join("---\n"))
        };
        manifest().map_err(|error| mistake(error, &PAGE))
    }
}
