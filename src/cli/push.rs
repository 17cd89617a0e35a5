//! `executor push`

use std::path::PathBuf;
use std::time::Duration;

use super::args::Parsed;
use super::env::Environment;
use super::options::{Destination, Given, Place, Registry, destinations, file_or_url};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, features, mistake, table};
use crate::image::ImageRef;

pub const INDEX: Page = Page {
    about: "Join images that were pushed one by one, each for its platform, under one name",
    usage: &["executor index create <image>... [flags]"],
    commands: &[],
    flags: table::INDEX,
};

pub const PAGE: Page = Page {
    about: "Push an image from an OCI layout or a docker-save tarball",
    usage: &["executor push <path> [flags]"],
    commands: &[],
    flags: table::PUSH,
};

/// A push that is asked for, before the environment is looked at.
#[derive(Debug)]
pub struct PushArguments {
    what: What,
    values: Values,
    /// Lines to be printed on stderr as they are.
    pub notices: Vec<String>,
}

/// Which image to push, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    pub what: What,
    /// How long images may still be missing from which an index is made.
    pub wait: Duration,
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

/// What is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A layout's directory or a tarball.
    Saved(PathBuf),
    /// An index of images that are in registries.
    Index(Vec<ImageRef>),
}

/// Reads the arguments of `index`.
pub fn index(parsed: Parsed) -> Result<PushArguments, Error> {
    let images = match &parsed.positional[..] {
        [create, images @ ..] if create == "create" => images,
        [other, ..] => return Err(Error::UnknownCommand(format!("index {other}"))),
        [] => return Err(Error::ArgumentCount(0)),
    };
    if images.is_empty() {
        return Err(Error::ArgumentCount(0));
    }
    let parse = |text: &String| {
        text.parse().map_err(|source| Error::Source {
            text: text.clone(),
            source,
        })
    };
    let images = images.iter().map(parse).collect::<Result<_, _>>()?;
    arguments(What::Index(images), parsed)
}

/// Reads the arguments of `push`.
///
/// # Spec
/// Compat spec 2.3.
pub fn push(parsed: Parsed) -> Result<PushArguments, Error> {
    let [path] = &parsed.positional[..] else {
        return Err(Error::ArgumentCount(parsed.positional.len()));
    };
    let what = What::Saved(path.into());
    arguments(what, parsed)
}

fn arguments(what: What, parsed: Parsed) -> Result<PushArguments, Error> {
    if parsed.values.list("destination").is_empty() {
        return Err(Error::Combination("at least one --destination is required"));
    }
    Ok(PushArguments {
        what,
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
                what: match &self.what {
                    What::Saved(path) => What::Saved(place.current_dir.join(path)),
                    other => other.clone(),
                },
                wait: match self.what {
                    What::Index(_) => values.duration("wait"),
                    What::Saved(_) => Duration::ZERO,
                },
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
