//! Every environment variable the executor knows, and the environment as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use super::Error;
use crate::net;

/// What setting a variable leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Stands for a flag or sets something of its own.
    Works,
    /// Nothing to do, for the reason given; a line at level debug says it.
    Idle(&'static str),
}

/// One variable.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    pub effect: Effect,
    pub meaning: &'static str,
}

const fn variable(name: &'static str, effect: Effect, meaning: &'static str) -> Variable {
    Variable {
        name,
        effect,
        meaning,
    }
}

use Effect::{Idle, Works};

/// The variables read here, and those other modules read from the process for what a library or a format prescribes.
#[rustfmt::skip] // a table keeps its columns
pub const VARIABLES: &[Variable] = &[
    variable("AWS_ACCESS_KEY_ID",          Works, "keys, roles and services of AWS, with the other AWS_ variables of its tools, read by `cloud`"),
    variable("AWS_ECR_CACHE_DIR",          Idle("passwords of ECR are not kept on disk"), "where passwords of ECR are kept"),
    variable("AWS_ECR_DISABLE_CACHE",      Idle("passwords of ECR are not kept on disk"), "do not keep passwords of ECR"),
    variable("AWS_ECR_IGNORE_CREDS_STORAGE", Idle("passwords of ECR are not kept on disk"), "do not fail where passwords of ECR are to be kept"),
    variable("AWS_SDK_LOAD_CONFIG",        Idle("the config file is always read"), "read AWS's config file"),
    variable("AZURE_CLIENT_ID",            Works, "identity in Azure, with the other AZURE_ variables of its tools, read by `cloud`"),
    variable("AZURE_STORAGE_ACCESS_KEY",   Works, "key for contexts in Azure's storage, read by `context`"),
    variable("AZURE_STORAGE_SAS_TOKEN",    Works, "shared access signature for contexts in Azure's storage, read by `context`"),
    variable("BENCHMARK_FILE",             Idle("it was removed from kaniko"), "timings of the build"),
    variable("BUILDER_OUTPUT",             Works, "directory for a list of what was pushed"),
    variable("CI_REGISTRY",                Works, "GitLab's registry, with CI_REGISTRY_USER and CI_REGISTRY_PASSWORD, read by `registry`"),
    variable("CLOUDSDK_CONFIG",            Works, "directory of what gcloud leaves, read by `cloud`"),
    variable("container",                  Works, "says that this is a container, read by `execute`"),
    variable("DOCKER_AUTH_CONFIG",         Works, "registry credentials, read by `registry`"),
    variable("DOCKER_CONFIG",              Works, "directory of Docker's config.json, read by `registry`"),
    variable("DOCKER_CREDENTIAL_GCR_CONFIG", Idle("Google's registries need no program"), "configuration of docker-credential-gcr"),
    variable("EXECUTOR_IMAGE",             Works, "default of --executor-image of `executor job`"),
    variable("EXECUTOR_SHORTCUTS",         Works, "false: stages are built one by one unless --jobs is given, images unpacked whole, layers looked up and fetched one after the other, compressed by one thread, and uploaded when all are made; the image is the same"),
    variable("GCE_METADATA_HOST",          Works, "Google's metadata service, read by `cloud`"),
    variable("GIT_PASSWORD",               Works, "password for git contexts, with GIT_USERNAME"),
    variable("GIT_PULL_METHOD",            Works, "http, to fetch git:// contexts without TLS"),
    variable("GIT_SSH_COMMAND",            Works, "how ssh reaches git contexts: -i, -p, -l, -F, -o"),
    variable("GIT_TOKEN",                  Works, "token for git contexts; wins over GIT_USERNAME"),
    variable("GIT_USERNAME",               Works, "user for git contexts"),
    variable("GODEBUG",                    Works, "http2client=0: registries are spoken to in HTTP/1.1 only"),
    variable("GOOGLE_APPLICATION_CREDENTIALS", Works, "file with Google's credentials, read by `cloud`"),
    variable("HOME",                       Works, "where .ssh and .docker/config.json lie"),
    variable("HTTP_PROXY",                 Works, "proxy, also in lower case, read by `net`"),
    variable("HTTPS_PROXY",                Works, "proxy, also in lower case, read by `net`"),
    variable("KANIKO_<HOST>_USER",         Works, "user for a registry, with KANIKO_<HOST>_PASSWORD; HOST is its name in upper case with _ for . and -, read by `registry`"),
    variable("KANIKO_CLEANUP",             Works, "default of --cleanup"),
    variable("KANIKO_DIR",                 Works, "directory for the executor's own files; --kaniko-dir wins"),
    variable("KANIKO_IGNORE_ASSERTIONS",   Idle("there are no such assertions"), "internal checks to be turned off"),
    variable("KANIKO_ISOLATION",           Works, "default of --isolation"),
    variable("KANIKO_NO_PUSH",             Works, "replaces --no-push"),
    variable("KANIKO_PRE_CLEANUP",         Works, "default of --pre-cleanup"),
    variable("KANIKO_PRESERVE_CONTEXT",    Works, "default of --preserve-context"),
    variable("KANIKO_PRINT_PLAN",          Works, "print the plan and still build"),
    variable("KANIKO_REGISTRY_MAP",        Works, "further --registry-map values"),
    variable("KANIKO_REGISTRY_MIRROR",     Works, "a further --registry-mirror"),
    variable("KANIKO_TELEMETRY_ENDPOINT",  Works, "URL of a collector that takes OpenTelemetry traces over HTTP; without a path, /v1/traces is meant"),
    variable("KANIKO_TELEMETRY_OMIT_DOCKERFILE", Works, "leave the Dockerfile out of the trace"),
    variable("NO_PROXY",                   Works, "hosts without proxy, also in lower case, read by `net`"),
    variable("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Works, "letters of a value that the trace has"),
    variable("OTEL_EXPORTER_OTLP_HEADERS", Works, "headers for that collector: name=value,…"),
    variable("OTEL_RESOURCE_ATTRIBUTES",   Works, "attributes of the trace's resource: name=value,…"),
    variable("OTEL_SERVICE_NAME",          Works, "the trace's service.name; default is executor"),
    variable("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Works, "letters of a value that the trace has; wins over OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT; default is 65536"),
    variable("PATH",                       Works, "where credential helpers lie, read by `registry`"),
    variable("REGISTRY_AUTH_FILE",         Works, "file with registry credentials as Podman has it, read by `registry`"),
    variable("S3_ENDPOINT",                Works, "server for s3:// contexts, read by `context`"),
    variable("S3_FORCE_PATH_STYLE",        Works, "true: bucket in the path with S3_ENDPOINT, read by `context`"),
    variable("SNAPSHOT_TIMEOUT_DURATION",  Idle("a snapshot has no time limit"), "limit for one snapshot"),
    variable("SOURCE_DATE_EPOCH",          Works, "latest time in the image, in seconds"),
    variable("SSH_AUTH_SOCK",              Works, "socket of an SSH agent, for git contexts and --ssh"),
    variable("SSL_CERT_DIR",               Works, "certificate authorities, read by `net`"),
    variable("SSL_CERT_FILE",              Works, "certificate authorities, read by `net`"),
    variable("STACKLOG_PATH",              Idle("there is no stack sampling"), "where stack samples are written"),
    variable("STORAGE_EMULATOR_HOST",      Works, "server for gs:// contexts, read by `context`"),
    variable("UPSTREAM_CLIENT_TYPE",       Works, "appended to the user agent"),
    variable("XDG_CONFIG_HOME",            Works, "directory in which containers/auth.json may lie, read by `registry`"),
    variable("XDG_RUNTIME_DIR",            Works, "directory in which containers/auth.json may lie, read by `registry`"),
];

/// The environment the executor was started in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of those whose values are no text.
    unreadable: BTreeSet<String>,
}

impl Environment {
    /// Reads the process's own.
    pub fn of_process() -> Self {
        Self::of(std::env::vars_os())
    }

    fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            // What no flag and no table can name is nobody's.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(environment.variables.insert(name, value)),
                Err(_) => drop(environment.unreadable.insert(name)),
            }
        }
        environment
    }

    /// Complains of a variable that matters and is no text; of `PATH` only the parts that are would be found anyway.
    pub(super) fn check(&self) -> Result<(), Error> {
        let matters = |variable: &&Variable| {
            variable.effect == Works
                && variable.name != "PATH"
                && self.unreadable.contains(variable.name)
        };
        match VARIABLES.iter().find(matters) {
            Some(variable) => Err(Error::VariableNotText(variable.name.into())),
            None => Ok(()),
        }
    }

    /// Like [`value`](Self::value), for what must not be taken for absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.unreadable.contains(name) {
            true => Err(Error::VariableNotText(name.into())),
            false => Ok(self.value(name)),
        }
    }

    /// Returns the value of a variable of the table.
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(
            VARIABLES.iter().any(|variable| variable.name == name),
            "{name} is not declared"
        );
        self.value(name)
    }

    /// Returns the value of any variable, for `--build-arg NAME`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Tells whether there is a variable of that name, with text or bytes.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.unreadable.contains(name) || self.value(name).is_some()
    }

    /// Returns the whole, for what reads credentials from it.
    pub fn credentials(&self) -> net::Environment {
        net::Environment(self.variables.clone())
    }

    /// Returns the variables whose name begins with `prefix`, which is cut off.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let pairs = self.variables.iter();
        pairs.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, &**value)))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self {
            variables: pairs.map(|(n, v)| (n.into(), v.into())).collect(),
            unreadable: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn values_that_are_no_text() {
        let pairs = [
            ("KANIKO_DIR", &b"/\xff"[..]),
            ("PATH", b"/\xff"),
            ("OTHER", b"\xff"),
            ("FINE", b"x"),
        ];
        let of = |names: &[&str]| {
            let pairs = pairs.iter().filter(|(name, _)| names.contains(name));
            Environment::of(
                pairs.map(|(name, value)| (name.into(), OsString::from_vec(value.to_vec()))),
            )
        };
        assert!(of(&["PATH", "OTHER", "FINE"]).check().is_ok());
        let told = of(&["KANIKO_DIR"]).check().unwrap_err().to_string();
        assert_eq!(
            told,
            "the value of the environment variable KANIKO_DIR is not UTF-8"
        );
        let all = of(&["OTHER", "FINE"]);
        assert!(all.text("OTHER").is_err());
        assert_eq!(all.text("FINE").unwrap(), Some("x"));
        assert_eq!(all.text("ABSENT").unwrap(), None);
    }
}
