//! How git repositories are fetched: `--git`, and what the environment says of credentials and keys.

use std::path::{Path, PathBuf};

use super::Given;
use crate::cli::value::{parse_bool, parse_int};
use crate::context;
use crate::net::Secret;

/// Returns how git repositories are fetched; unknown keys of `--git` get a warning, as kaniko takes them.
pub fn options(given: Given<'_>) -> context::GitOptions {
    let option = |key: &str| {
        let mut found = None;
        for text in given.values.list("git") {
            found = text
                .split_once('=')
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| value)
                .or(found);
        }
        found
    };
    let is_set = |key| option(key).is_some_and(|text| parse_bool(text) == Ok(true));
    let secret = |name| given.variable(name).map(Secret::new);
    let token = secret("GIT_TOKEN").map(|token| (token, Secret::new("")));
    context::GitOptions {
        branch: option("branch").map(str::to_owned),
        depth: option("depth")
            .and_then(|text| parse_int(text).ok())
            .and_then(|depth| u32::try_from(depth).ok()),
        submodules: is_set("recurse-submodules"),
        skip_verify: is_set("insecure-skip-tls"),
        plain: given.variable("GIT_PULL_METHOD") == Some("http"),
        login: token.or_else(|| Some((secret("GIT_USERNAME")?, secret("GIT_PASSWORD")?))),
        ssh: ssh(given),
    }
}

/// Returns where keys for ssh may be: `HOME` may be another directory than the one that ssh itself would take.
fn ssh(given: Given<'_>) -> context::SshOptions {
    const ROOTS: &str = "/root/.ssh";
    let home = given.variable("HOME");
    let mut directories: Vec<PathBuf> = home
        .map(|home| Path::new(home).join(".ssh"))
        .into_iter()
        .chain([ROOTS.into()])
        .collect();
    directories.dedup();
    context::SshOptions {
        directories,
        command: given.variable("GIT_SSH_COMMAND").map(str::to_owned),
        agent: given
            .variable("SSH_AUTH_SOCK")
            .map(|path| given.absolute(path)),
    }
}
