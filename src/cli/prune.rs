//! `executor cache prune`

use std::path::PathBuf;

use super::args::Parsed;
use super::env::Environment;
use super::options::{Given, Place, Registry, cache_repository};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, log_options, mistake, table};
use crate::cache::Repository;
use crate::cache::prune::Rules;
use crate::log;

pub const PAGE: Page = Page {
    about: "Remove old entries from a cache",
    usage: &["executor cache prune [flags]"],
    commands: &[("prune", "Remove what is old and not among the newest")],
    flags: table::PRUNE,
};

/// What is to be pruned, before the environment is looked at.
#[derive(Debug)]
pub struct PruneArguments {
    values: Values,
}

/// What is pruned, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    pub repository: Option<Repository>,
    pub dir: Option<PathBuf>,
    pub rules: Rules,
    pub registry: Registry,
}

/// Reads the arguments of `cache`.
pub fn prune(parsed: Parsed) -> Result<PruneArguments, Error> {
    let values = parsed.values;
    match &parsed.positional[..] {
        [word] if word == "prune" => {}
        [] => {
            return Err(Error::Combination(
                "say what to do with the cache: executor cache prune",
            ));
        }
        [word, other @ ..] => {
            let word = if word == "prune" { &other[0] } else { word };
            return Err(Error::UnknownCommand(word.clone()));
        }
    }
    if values.non_empty("cache-repo").is_none() && values.non_empty("cache-dir").is_none() {
        return Err(Error::Combination(
            "say what to prune with --cache-repo or --cache-dir",
        ));
    }
    if values.non_empty("older-than").is_none() && values.non_empty("keep").is_none() {
        return Err(Error::Combination(
            "say what may be removed with --older-than, --keep or both",
        ));
    }
    if values.non_empty("keep").is_some() && values.int("keep") < 0 {
        return Err(Error::Combination("--keep is a number of entries"));
    }
    Ok(PruneArguments { values })
}

impl PruneArguments {
    /// Returns how the log is to be written.
    pub fn log(&self) -> Result<log::Options, Mistake> {
        log_options(&self.values).map_err(|error| mistake(error.into(), &PAGE))
    }

    /// Combines flags and environment.
    pub fn resolve(&self, env: &Environment, place: Place<'_>) -> Result<Prune, Mistake> {
        let values = &self.values;
        let given = Given { values, env, place };
        let resolve = || {
            let repository = values.non_empty("cache-repo").map(cache_repository);
            let dir = values.non_empty("cache-dir");
            let keep = values.non_empty("keep").map(|_| values.int("keep"));
            Ok(Prune {
                repository: repository.transpose()?,
                dir: dir.map(|dir| place.current_dir.join(dir)),
                rules: Rules {
                    older_than: values.age("older-than"),
                    keep: keep.and_then(|keep| usize::try_from(keep).ok()),
                    dry_run: values.bool("dryrun"),
                },
                registry: Registry::resolve(given)?,
            })
        };
        resolve().map_err(|error| mistake(error, &PAGE))
    }
}
