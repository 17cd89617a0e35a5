//! What runs where: the whole build in one Job, or one Job for each platform and one for the index.
//!
//! Jobs do not wait for each other in Kubernetes, so the index's looks for the images until they are there. Each printed set has tags of
//! its own for them: an image of an earlier run cannot be taken for one of this run.

use super::{exposed, name};
use crate::cli::Error;
use crate::cli::options::Options;
use crate::cli::table;
use crate::cli::values::Values;
use crate::image::Platform;

const TERMINATION_LOG: &str = "/dev/termination-log";
/// Flags that say for which platform.
const PLATFORM: [&str; 3] = ["custom-platform", "customPlatform", "platform"];

/// One Job: what the executor is told there, and where it may run.
#[derive(Debug)]
pub struct Job {
    pub name: String,
    /// What all Jobs of a build have in common.
    pub build: String,
    pub args: Vec<String>,
    /// The machines to run on; absent for any.
    pub platform: Option<Platform>,
    /// Whether it fetches the context.
    pub builds: bool,
}

/// Returns the Job that does all.
pub fn whole(values: &Values, options: &Options) -> Result<Job, Error> {
    let mut args = flags(values, |name| name != "build-arg");
    args.extend(build_args(options));
    log_digest(values, &mut args);
    let name = name::of(values, options, &args, "")?;
    Ok(Job {
        build: name.clone(),
        name,
        args,
        platform: options.build.platforms.first().cloned(),
        builds: true,
    })
}

/// Returns a Job for each platform, and, if anything is pushed, the one that joins what they made.
///
/// `run` tells this set's tags from those of all others.
pub fn by_platform(values: &Values, options: &Options, run: u32) -> Result<Vec<Job>, Error> {
    let platforms = &options.build.platforms;
    let run = format!("{run:08x}");
    let suffixes = platforms.iter().map(name::suffix);
    let longest = suffixes.max_by_key(String::len).unwrap_or_default();
    let mut seed = flags(values, |_| true);
    seed.push(run.clone());
    let build = name::of(values, options, &seed, &longest)?;
    let pushed = |name: &str| table::PUSHED_ONLY.iter().any(|flag| flag.name == name);
    let first = options.output.destinations.first();
    let first = first.filter(|_| options.output.push);
    let mut sources = Vec::new();
    let mut jobs = Vec::new();
    for platform in platforms {
        let is_ours = |name: &str| name != "build-arg" && !PLATFORM.contains(&name);
        let mut args = flags(values, |name| is_ours(name) && !pushed(name));
        args.push(format!("--custom-platform={platform}"));
        args.extend(build_args(options));
        let suffix = name::suffix(platform);
        if let Some(first) = first {
            let tag = first.reference.tag.as_deref().unwrap_or_default();
            let tag = name::tag(tag, &format!("-{run}{suffix}"));
            let source = first.reference.with_tag(&tag).to_string();
            args.push(format!("--destination={source}"));
            sources.push(source);
        }
        args.push(format!("--digest-file={TERMINATION_LOG}"));
        jobs.push(Job {
            name: format!("{build}{suffix}"),
            build: build.clone(),
            args,
            platform: Some(platform.clone()),
            builds: true,
        });
    }
    if first.is_some() {
        let mut args = vec!["index".to_owned(), "create".to_owned()];
        let known = |name: &str| {
            table::INDEX
                .iter()
                .copied()
                .flatten()
                .any(|f| f.name == name)
        };
        args.extend(flags(values, known));
        args.push(format!("--wait={}", values.text("wait")));
        log_digest(values, &mut args);
        args.extend(sources);
        jobs.push(Job {
            name: format!("{build}{}", name::INDEX),
            build,
            args,
            platform: None,
            builds: false,
        });
    }
    Ok(jobs)
}

/// Returns flags as they were given, one `--name=value` each, but for those of the Job alone.
fn flags(values: &Values, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let is_own = |name: &str| table::JOB_ONLY.iter().any(|flag| flag.name == name);
    let given = values.given();
    let given = given.filter(|(name, _)| !is_own(name) && wanted(name));
    let has_secret = values.non_empty("context-secret").is_some();
    given
        .map(|(name, value)| match name {
            "context" if has_secret => format!("--context=$({})", exposed::VARIABLE),
            _ => literal(format!("--{name}={value}")),
        })
        .collect()
}

/// Returns the build args; those that the environment here gives are in them.
fn build_args(options: &Options) -> impl Iterator<Item = String> {
    let args = options.build.args.iter();
    args.map(|(name, value)| literal(format!("--build-arg={name}={value}")))
}

/// Keeps Kubernetes from putting a variable in the place of `$(NAME)`.
fn literal(arg: String) -> String {
    arg.replace("$(", "$$(")
}

/// Shows the digest where Kubernetes shows why a container ended, unless it is wanted elsewhere.
fn log_digest(values: &Values, args: &mut Vec<String>) {
    if !values.is_given("digest-file") {
        args.push(format!("--digest-file={TERMINATION_LOG}"));
    }
}
