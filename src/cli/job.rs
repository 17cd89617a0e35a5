//! `executor job`: the flags of a build as a Kubernetes Job that does it.

use serde_json::{Map, Value, json};

use super::args::Parsed;
use super::env::Environment;
use super::options::{Given, Options, Place};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, mistake, table, yaml};
use crate::context;
use crate::image::{Digest, Platform};

pub const PAGE: Page = Page {
    about: "Print a Kubernetes Job that builds what the same flags would build here",
    usage: &["executor job --executor-image IMAGE --context URL --destination IMAGE [flags]"],
    commands: &[],
    flags: table::JOB,
};

/// How long a Job is kept after its end, in seconds.
const KEPT: u32 = 3600;
/// What Kubernetes allows a name to have.
const NAME_LIMIT: usize = 63;
const TERMINATION_LOG: &str = "/dev/termination-log";
const REGISTRY: &str = "registry-credentials";
const GIT: &str = "git-credentials";

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
    /// Checks the flags as a build would, and returns the Job as YAML.
    pub fn manifest(&self, env: &Environment, place: Place<'_>) -> Result<String, Mistake> {
        let manifest = || {
            let values = &self.values;
            let platform = values.text("custom-platform");
            if platform.contains(',') {
                let what = "executor job for several platforms".to_owned();
                return Err(Error::NotSupportedYet(what));
            }
            let options = Options::resolve(Given { values, env, place })?;
            if context::is_local(&options.context)
                .map_err(|error| Error::Context(Box::new(error)))?
            {
                return Err(Error::Combination(
                    "a Job cannot see this machine's files: give a --context that it can fetch, such as git://HOST/PATH or https://HOST/FILE.tar.gz",
                ));
            }
            let image = values.non_empty("executor-image");
            let image = image.or(env.get("EXECUTOR_IMAGE").filter(|image| !image.is_empty()));
            let image = image.ok_or(Error::Combination(
                "the image that the Job runs is missing: give --executor-image, or set EXECUTOR_IMAGE",
            ))?;
            let args = arguments(values, &options);
            let name = match values.non_empty("job-name") {
                Some(name) => checked_name(name)?,
                None => made_name(&options, &args),
            };
            Ok(yaml::print(&self.document(&options, &name, image, &args)))
        };
        manifest().map_err(|error| mistake(error, &PAGE))
    }

    fn document(&self, options: &Options, name: &str, image: &str, args: &[String]) -> Value {
        let values = &self.values;
        let labels =
            json!({ "app.kubernetes.io/name": "executor", "app.kubernetes.io/instance": name });
        let mut metadata = json!({ "name": name, "labels": labels });
        if let Some(namespace) = values.non_empty("namespace") {
            metadata["namespace"] = namespace.into();
        }
        let mut container = json!({ "name": "executor", "image": image, "args": args });
        let env = values.list("env-secret").iter();
        let env: Vec<Value> = env
            .map(|name| json!({ "secretRef": { "name": name } }))
            .collect();
        if !env.is_empty() {
            container["envFrom"] = env.into();
        }
        let (volumes, mounts) = self.secrets();
        let mut pod = Map::new();
        pod.insert("restartPolicy".into(), "Never".into());
        if let Some(account) = values.non_empty("service-account") {
            pod.insert("serviceAccountName".into(), account.into());
        }
        if let [platform] = &options.build.platforms[..] {
            pod.insert("nodeSelector".into(), node(platform));
        }
        if !volumes.is_empty() {
            container["volumeMounts"] = mounts.into();
            pod.insert("volumes".into(), volumes.into());
        }
        pod.insert("containers".into(), json!([container]));
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": KEPT,
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        })
    }

    /// Returns the volumes of secrets and where they are mounted.
    fn secrets(&self) -> (Vec<Value>, Vec<Value>) {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        if let Some(secret) = self.values.non_empty("registry-secret") {
            let items = json!([{ "key": ".dockerconfigjson", "path": "config.json" }]);
            let source = json!({ "secretName": secret, "items": items });
            volumes.push(json!({ "name": REGISTRY, "secret": source }));
            // a file can be moved out of a RUN's way, a mounted directory cannot
            let path = "/kaniko/.docker/config.json";
            mounts.push(json!({ "name": REGISTRY, "mountPath": path, "subPath": "config.json" }));
        }
        if let Some(secret) = self.values.non_empty("git-secret") {
            let source = json!({ "secretName": secret, "defaultMode": 0o400 });
            volumes.push(json!({ "name": GIT, "secret": source }));
            let path = "/root/.ssh";
            mounts.push(json!({ "name": GIT, "mountPath": path, "readOnly": true }));
        }
        (volumes, mounts)
    }
}

/// Returns the flags of the build, one `--name=value` each; what the environment gives to build args is in them.
fn arguments(values: &Values, options: &Options) -> Vec<String> {
    let is_own = |name: &str| {
        let own = table::JOB_ONLY.iter().any(|flag| flag.name == name);
        own || name == "build-arg"
    };
    let given = values.given().filter(|(name, _)| !is_own(name));
    let mut args: Vec<String> = given
        .map(|(name, value)| format!("--{name}={value}"))
        .collect();
    let build_args = options.build.args.iter();
    args.extend(build_args.map(|(name, value)| format!("--build-arg={name}={value}")));
    if !values.is_given("digest-file") {
        args.push(format!("--digest-file={TERMINATION_LOG}"));
    }
    // Kubernetes would put a variable in the place of `$(NAME)`.
    for arg in &mut args {
        *arg = arg.replace("$(", "$$(");
    }
    args
}

fn node(platform: &Platform) -> Value {
    json!({ "kubernetes.io/os": platform.os, "kubernetes.io/arch": platform.architecture })
}

/// Makes a name that is the same for the same arguments.
fn made_name(options: &Options, args: &[String]) -> String {
    const APP_LIMIT: usize = 40;
    let digest = Digest::of(args.join("\0").as_bytes());
    let destination = options.output.destinations.first();
    let repository = destination.map_or(String::new(), |d| d.reference.name());
    let app = repository.rsplit('/').next().unwrap_or_default();
    let app: String = app
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let app = &app[..app.len().min(APP_LIMIT)];
    let app = app.trim_matches('-');
    let hash = &digest.hex()[..8];
    match app {
        "" => format!("build-{hash}"),
        app => format!("build-{app}-{hash}"),
    }
}

fn checked_name(name: &str) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_edge = |c: char| c != '-';
    let is_name = name.len() <= NAME_LIMIT && name.chars().all(fits);
    match is_name && name.starts_with(is_edge) && name.ends_with(is_edge) {
        true => Ok(name.to_owned()),
        false => Err(Error::Combination(
            "--job-name is not a name in Kubernetes: lower-case letters, digits and hyphens, 63 at most",
        )),
    }
}
