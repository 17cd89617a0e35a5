//! Flags about the Kubernetes Jobs that `executor job` prints; those of a build stand beside them.

use super::State::Works;
use super::{Flag, flag};
use crate::cli::value::Kind::*;

#[rustfmt::skip] // a table keeps its columns
pub const FLAGS: &[Flag] = &[
    flag("context-secret",    ' ', Text,     "", Works, "Secret whose key `context` is the value of --context, for one that has credentials in it; the Job then takes it from there"),
    flag("env-secret",        ' ', List,     "", Works, "Secret whose keys become environment variables of the build, such as GIT_TOKEN; repeatable"),
    flag("executor-image",    ' ', Text,     "", Works, "Image of the executor that the Job runs"),
    flag("git-secret",        ' ', Text,     "", Works, "Secret with keys for git over ssh (ssh-privatekey, known_hosts)"),
    flag("job-name",          ' ', Text,     "", Works, "Name of the Job; default is made of the destination and the arguments"),
    flag("namespace",         ' ', Text,     "", Works, "Namespace of the Job"),
    flag("registry-secret",   ' ', Text,     "", Works, "Secret of type kubernetes.io/dockerconfigjson"),
    flag("wait",              ' ', Limit,    "6h", Works, "With several platforms, how long the Job that makes the index waits for their images; it does not see that a build of them failed"),
    flag("service-account",   ' ', Text,     "", Works, "Service account of the Job, for credentials of clouds"),
];
