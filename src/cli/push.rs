//! `executor push`

use std::path::PathBuf;

use super::args::Parsed;
use super::env::Environment;
use super::options::{Destination, Given, Place, Registry, destinations, file_or_url};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, features, mistake, table};

pub const PAGE: Page = Page {
    about: "Push an image from an OCI layout or a docker-save tarball",
    usage: &["executor push <path> [flags]"],
    commands: &[],
    flags: table::PUSH,
};

/// A push that is asked for, before the environment is looked at.
#[derive(Debug)]
pub struct PushArguments {
    path: String,
    values: Values,
    /// Lines to be printed on stderr as they are.
    pub notices: Vec<String>,
}

/// Which image to push, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// A layout's directory or a tarball.
    pub path: PathBuf,
    pub destinations: Vec<Destination>,
    /// An absolute path or a URL, as the next two.
    pub digest_file: Option<String>,
    pub image_name_with_digest_file: Option<String>,
    pub image_name_tag_with_digest_file: Option<String>,
    pub ignore_immutable_tag_errors: bool,
    /// Never speaks HTTP/2 (`FF_KANIKO_DISABLE_HTTP2`).
    pub http1_only: bool,
    pub registry: Registry,
}

/// Reads the arguments of `push`.
///
/// # Spec
/// Compat spec 2.3.
pub fn push(parsed: Parsed) -> Result<PushArguments, Error> {
    let [path] = &parsed.positional[..] else {
        return Err(Error::ArgumentCount(parsed.positional.len()));
    };
    if parsed.values.list("destination").is_empty() {
        return Err(Error::Combination("at least one --destination is required"));
    }
    Ok(PushArguments {
        path: path.clone(),
        values: parsed.values,
        notices: parsed.notices,
    })
}

impl PushArguments {
    /// Combines flags and environment.
    pub fn resolve(&self, env: &Environment, place: Place<'_>) -> Result<Push, Mistake> {
        let values = &self.values;
        let given = Given { values, env, place };
        let resolve = || {
            Ok(Push {
                path: place.current_dir.join(&self.path),
                destinations: destinations(values)?,
                digest_file: file_or_url(given, "digest-file"),
                image_name_with_digest_file: file_or_url(given, "image-name-with-digest-file"),
                image_name_tag_with_digest_file: file_or_url(
                    given,
                    "image-name-tag-with-digest-file",
                ),
                ignore_immutable_tag_errors: values.bool("push-ignore-immutable-tag-errors"),
                http1_only: features::read(env).0.disable_http2,
                registry: Registry::resolve(given)?,
            })
        };
        resolve().map_err(|error| mistake(error, &PAGE))
    }
}
