//! Where layers are cached.

use std::path::Path;

use super::{Given, Output};
use crate::cache::{Options, Repository};
use crate::cli::Error;
use crate::image::ImageRef;
use crate::store::shared;

/// Returns what `--cache` and its flags ask for.
///
/// # Errors
/// [`Error::CacheRepo`].
///
/// # Spec
/// Compat spec 1.3, 7.2 and 7.5.
pub fn resolve(given: Given<'_>, output: &Output) -> Result<Option<Options>, Error> {
    let values = given.values;
    if !values.bool("cache") {
        return Ok(None);
    }
    let repository = match values.non_empty("cache-repo") {
        Some(text) => Some(repository(text)?),
        None => output.destinations.first().map(|first| {
            let image = &first.reference;
            Repository::Registry(ImageRef {
                registry: image.registry.clone(),
                repository: format!("{}/cache", image.repository),
                tag: None,
                digest: None,
            })
        }),
    };
    let shortcuts = given.shortcuts()?;
    Ok(repository.map(|repository| Options {
        repository,
        copies: values.bool("cache-copy-layers"),
        runs: values.bool("cache-run-layers"),
        ttl: values.duration("cache-ttl"),
        push: !values.bool("no-push-cache"),
        shortcuts,
    }))
}

/// Returns which store `--cache` shares with other builds.
///
/// The default directory is used only if somebody made it.
pub fn store(given: Given<'_>) -> Option<shared::Options> {
    let values = given.values;
    values.bool("cache").then(|| shared::Options {
        dir: given.absolute(values.text("cache-dir")),
        create: values.is_given("cache-dir") && !values.bool("dryrun"),
        max_size: values.size("cache-dir-max-size"),
        ttl: values.duration("cache-ttl"),
        refresh: false,
    })
}

/// Reads a value of `--cache-repo`.
pub fn repository(text: &str) -> Result<Repository, Error> {
    if let Some(path) = text.strip_prefix("oci:") {
        if path.is_empty() {
            return Err(Error::Combination(
                "invalid --cache-repo `oci:`: it names no directory",
            ));
        }
        return Ok(Repository::Layouts(Path::new("/").join(path)));
    }
    let error = |source| Error::CacheRepo {
        text: text.to_owned(),
        source,
    };
    let image: ImageRef = text.parse().map_err(|e| error(Some(e)))?;
    let last = text.rsplit('/').next().unwrap_or(text);
    match !last.contains(['@', ':']) {
        true => Ok(Repository::Registry(ImageRef {
            tag: None,
            digest: None,
            ..image
        })),
        false => Err(error(None)),
    }
}
