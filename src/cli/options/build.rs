//! What is built and how.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::Given;
use crate::cli::Error;
use crate::cli::env::Environment;
use crate::cli::values::Values;
use crate::cli::{notices, secret, value};
use crate::execute::mount::{AgentSource, SecretSource};
use crate::execute::run::Requested;
use crate::image::Platform;
use crate::plan::{self, NamedContext};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Without those that take their value from an unset variable.
    pub args: BTreeMap<String, String>,
    /// `--build-context`
    pub contexts: Vec<NamedContext>,
    /// The last one wins.
    pub labels: Vec<(String, String)>,
    /// As typed; the first one becomes the image. Empty means the last stage.
    pub targets: Vec<String>,
    /// Without any, the machine's own; several make an index.
    pub platforms: Vec<Platform>,
    pub isolation: Requested,
    /// Stages built at a time; absent for what suits the machine.
    pub jobs: Option<usize>,
    /// Stages may be built at the same time, base images be unpacked in part, layers be compressed by several threads, fetched ahead and
    /// uploaded early.
    pub shortcuts: bool,
    /// In-place isolation is allowed outside a container.
    pub force: bool,
    /// Left out of snapshots.
    pub ignore_paths: Vec<String>,
    pub single_snapshot: bool,
    /// `--snapshot-mode=full` was given: snapshots read every file.
    pub full_snapshots: bool,
    pub reproducible: bool,
    /// Also keeps what RUN caches, if it is there.
    pub cache_dir: PathBuf,
    /// With distinct ids.
    pub secrets: Vec<SecretSource>,
    pub agents: Vec<AgentSource>,
    /// The socket of the environment's SSH agent.
    pub ssh_auth_sock: Option<PathBuf>,
    /// From the executor's environment, in seconds.
    pub source_date_epoch: Option<i64>,
    /// The executor's own work files are removed at the end.
    pub cleanup: bool,
    /// How long the whole may take.
    pub timeout: Option<Duration>,
    /// The plan is printed, and nothing is built.
    pub dry_run: bool,
    /// The Dockerfile is checked and nothing built.
    pub check: bool,
    /// Stages whose layers are not taken from the cache.
    pub no_cache_filter: Vec<String>,
    /// `--allow security.insecure`
    pub allow_insecure: bool,
    /// The plan is printed, and built.
    pub print_plan: bool,
}

impl Build {
    pub(in crate::cli) fn resolve(given: Given<'_>) -> Result<Self, Error> {
        let Given { values, env, .. } = given;
        let custom = values
            .non_empty("customPlatform")
            .or(values.non_empty("custom-platform"))
            .unwrap_or_default();
        let further = values.list("platform").iter().map(String::as_str);
        let mut platforms: Vec<Platform> = Vec::new();
        for text in custom
            .split(',')
            .chain(further)
            .filter(|text| !text.is_empty())
        {
            let platform: Platform = text.parse().map_err(Error::Platform)?;
            notices::platform(&platform);
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        let snapshot_mode = match values.non_empty("snapshotMode") {
            Some(mode) => Some(mode),
            None => Some(values.text("snapshot-mode")).filter(|_| values.is_given("snapshot-mode")),
        };
        if let Some(mode) = snapshot_mode.filter(|mode| !["full", "redo", "time"].contains(mode)) {
            return Err(Error::SnapshotMode(mode.into()));
        }
        let isolation = match given.variable("KANIKO_ISOLATION") {
            Some(word) if !values.is_given("isolation") => {
                isolation(word).ok_or_else(|| Error::Variable {
                    name: "KANIKO_ISOLATION",
                    reason: format!("`{word}` is none of auto, namespaces, in-place, chroot"),
                })?
            }
            _ => isolation(values.text("isolation")).expect("the value was checked"),
        };
        let epoch = given.variable("SOURCE_DATE_EPOCH");
        let epoch = epoch.map(|text| {
            let reason = match text.parse() {
                Ok(seconds) if plan::is_moment(seconds) => return Ok(seconds),
                Ok(_) => format!("`{text}` is not in the years 0 to 9999"),
                Err(_) => format!("`{text}` is no number of seconds"),
            };
            Err(Error::Variable {
                name: "SOURCE_DATE_EPOCH",
                reason,
            })
        });
        let cleanup = env
            .get("KANIKO_CLEANUP")
            .and_then(|text| value::parse_bool(text).ok());
        Ok(Build {
            args: build_args(values, env)?,
            contexts: contexts(values)?,
            labels: labels(values)?,
            targets: values
                .list("target")
                .iter()
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
            platforms,
            isolation,
            jobs: match values.int("jobs") {
                0 => None,
                jobs => Some(usize::try_from(jobs).map_err(|_| Error::Jobs(jobs))?),
            },
            shortcuts: given.shortcuts()?,
            force: values.bool("force"),
            ignore_paths: values.list("ignore-path").to_vec(),
            single_snapshot: values.bool("single-snapshot"),
            full_snapshots: snapshot_mode == Some("full"),
            reproducible: values.bool("reproducible"),
            cache_dir: given.absolute(values.text("cache-dir")),
            secrets: secrets(given)?,
            agents: agents(given)?,
            ssh_auth_sock: given
                .env
                .value("SSH_AUTH_SOCK")
                .map(|path| given.absolute(path)),
            source_date_epoch: epoch.transpose()?,
            cleanup: match values.is_given("cleanup") {
                true => values.bool("cleanup"),
                false => cleanup.unwrap_or(false),
            },
            timeout: Some(values.duration("timeout")).filter(|limit| !limit.is_zero()),
            dry_run: values.bool("dryrun"),
            check: values.bool("check"),
            no_cache_filter: values
                .list("no-cache-filter")
                .iter()
                .map(|name| name.to_lowercase())
                .collect(),
            allow_insecure: allow_insecure(values)?,
            print_plan: given
                .variable("KANIKO_PRINT_PLAN")
                .is_some_and(|text| value::parse_bool(text) == Ok(true)),
        })
    }
}

/// Reads `--allow`: the network of the machine is what a RUN has anyway.
fn allow_insecure(values: &Values) -> Result<bool, Error> {
    let given = values.list("allow");
    let known = ["security.insecure", "network.host"];
    match given.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(Error::Allow(unknown.clone())),
        None => Ok(given.iter().any(|name| name == known[0])),
    }
}

fn contexts(values: &Values) -> Result<Vec<NamedContext>, Error> {
    let given = values.list("build-context").iter();
    given
        .map(|text| text.parse().map_err(Error::NamedContext))
        .collect()
}

fn isolation(word: &str) -> Option<Requested> {
    match word {
        "auto" => Some(Requested::Auto),
        "namespaces" => Some(Requested::Namespaces),
        "in-place" => Some(Requested::InPlace),
        "chroot" => Some(Requested::Chroot),
        _ => None,
    }
}

/// A name without value takes that of the environment; if there is none, the argument counts as not given.
pub fn build_args(values: &Values, env: &Environment) -> Result<BTreeMap<String, String>, Error> {
    let mut args = BTreeMap::new();
    for text in values.list("build-arg") {
        if let Some((name, value)) = text.split_once('=') {
            args.insert(name.into(), value.into());
        } else if let Some(value) = env.text(text)? {
            args.insert(text.clone(), value.into());
        }
    }
    Ok(args)
}

fn secrets(given: Given<'_>) -> Result<Vec<SecretSource>, Error> {
    let mut ids = BTreeSet::new();
    let mut secrets = Vec::new();
    for text in given.values.list("secret") {
        let secret = secret::parse(text).expect("the value was checked");
        if !ids.insert(secret.id) {
            return Err(Error::DuplicateSecret(secret.id.into()));
        }
        secrets.push(secret.source(given.env, given.place.current_dir));
    }
    Ok(secrets)
}

fn agents(given: Given<'_>) -> Result<Vec<AgentSource>, Error> {
    let parse = |text: &String| {
        let (id, paths) = match text.split_once('=') {
            Some((id, paths)) => (id, paths.split(',').collect()),
            None => (text.as_str(), Vec::new()),
        };
        if id.is_empty() || paths.contains(&"") {
            return Err(Error::Ssh(text.clone()));
        }
        Ok(AgentSource {
            id: id.to_owned(),
            paths: paths.into_iter().map(|path| given.absolute(path)).collect(),
        })
    };
    given.values.list("ssh").iter().map(parse).collect()
}

fn labels(values: &Values) -> Result<Vec<(String, String)>, Error> {
    let parse = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Error::Label(text.clone())),
    };
    values.list("label").iter().map(parse).collect()
}
