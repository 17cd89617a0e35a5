//! `executor cache-mount`

use std::fmt;
use std::path::PathBuf;

use super::args::Parsed;
use super::env::Environment;
use super::options::{Given, Place, Registry};
use super::usage::Page;
use super::values::Values;
use super::{Error, Mistake, log_options, mistake, table};
use crate::image::ImageRef;
use crate::log;

pub const PAGE: Page = Page {
    about: "Carry caches of RUN mounts to another place, or back",
    usage: &[
        "executor cache-mount export --to PLACE [flags]",
        "executor cache-mount import --from PLACE [flags]",
    ],
    commands: &[
        ("export", "Write caches as an image, each as a layer"),
        (
            "import",
            "Put caches of such an image in the place of those that are there",
        ),
    ],
    flags: table::CACHE_MOUNT,
};

/// What is to be carried, before the environment is looked at.
#[derive(Debug)]
pub struct CarryArguments {
    direction: Direction,
    values: Values,
}

/// Which caches are carried, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carry {
    pub direction: Direction,
    /// The directory with `mounts`.
    pub cache_dir: PathBuf,
    /// Their ids; none for all.
    pub ids: Vec<String>,
    pub place: CarryPlace,
    pub registry: Registry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Export,
    Import,
}

/// Where the image with caches is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarryPlace {
    /// An OCI layout.
    Layout(PathBuf),
    /// The same as a tar archive.
    Archive(PathBuf),
    Registry(ImageRef),
}

impl fmt::Display for CarryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(path) | Self::Archive(path) => path.display().fmt(f),
            Self::Registry(image) => image.fmt(f),
        }
    }
}

/// Reads the arguments of `cache-mount`.
pub fn carry(parsed: Parsed) -> Result<CarryArguments, Error> {
    let values = parsed.values;
    let words: Vec<&str> = parsed.positional.iter().map(String::as_str).collect();
    let (direction, flag, other) = match words[..] {
        ["export"] => (Direction::Export, "to", "from"),
        ["import"] => (Direction::Import, "from", "to"),
        [] => {
            return Err(Error::Combination(
                "say what to do with the caches: executor cache-mount export, or import",
            ));
        }
        ["export" | "import", word, ..] | [word, ..] => {
            return Err(Error::UnknownCommand(word.to_owned()));
        }
    };
    if values.non_empty(flag).is_none() || values.non_empty(other).is_some() {
        return Err(Error::Combination(match direction {
            Direction::Export => "say where the caches go with --to",
            Direction::Import => "say where the caches come from with --from",
        }));
    }
    Ok(CarryArguments { direction, values })
}

impl CarryArguments {
    /// Returns how the log is to be written.
    pub fn log(&self) -> Result<log::Options, Mistake> {
        log_options(&self.values).map_err(|error| mistake(error.into(), &PAGE))
    }

    /// Combines flags and environment.
    pub fn resolve(&self, env: &Environment, place: Place<'_>) -> Result<Carry, Mistake> {
        let values = &self.values;
        let given = Given { values, env, place };
        let flag = match self.direction {
            Direction::Export => "to",
            Direction::Import => "from",
        };
        let resolve = || {
            Ok(Carry {
                direction: self.direction,
                cache_dir: place.current_dir.join(values.text("cache-dir")),
                ids: values.list("id").to_vec(),
                place: place_of(values.text(flag), place)?,
                registry: Registry::resolve(given)?,
            })
        };
        resolve().map_err(|error| mistake(error, &PAGE))
    }
}

/// Reads `oci:DIR`, a path (an archive if it ends in `.tar`), or a name in a registry.
fn place_of(text: &str, place: Place<'_>) -> Result<CarryPlace, Error> {
    if let Some(dir) = text.strip_prefix("oci:") {
        return Ok(CarryPlace::Layout(place.current_dir.join(dir)));
    }
    let is_path = text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
    if text.ends_with(".tar") {
        return Ok(CarryPlace::Archive(place.current_dir.join(text)));
    }
    if is_path {
        return Ok(CarryPlace::Layout(place.current_dir.join(text)));
    }
    let image = text.parse();
    let image = image.map_err(|source| Error::Source {
        text: text.to_owned(),
        source,
    })?;
    Ok(CarryPlace::Registry(image))
}
