//! What comes out and where it goes.

use std::path::PathBuf;

use super::export::{Asked, outputs};
use super::{Given, Report};
use crate::attest;
use crate::cli::values::Values;
use crate::cli::{Error, annotation, attestation, value};
use crate::image::{Compression, Family, ImageRef};
use crate::output::annotations::Annotations;
use crate::output::export::Export;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub destinations: Vec<Destination>,
    pub push: bool,
    pub annotations: Annotations,
    /// What is stated about the image.
    pub attestations: attest::Options,
    /// Absent: the base image's.
    pub format: Option<Family>,
    pub compression: Compression,
    /// Absent: the fastest.
    pub compression_level: Option<i32>,
    pub tar_path: Option<PathBuf>,
    pub oci_layout_path: Option<PathBuf>,
    /// `--output`
    pub exports: Vec<Export>,
    /// An absolute path or a URL, as the next two.
    pub digest_file: Option<String>,
    pub image_name_with_digest_file: Option<String>,
    pub image_name_tag_with_digest_file: Option<String>,
    /// Files about the build.
    pub reports: Vec<Report>,
    /// Directory for the list of pushed images.
    pub builder_output: Option<PathBuf>,
    /// A tag that exists and must not change counts as pushed.
    pub ignore_immutable_tag_errors: bool,
}

/// A name to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub as_given: String,
    pub reference: ImageRef,
}

impl Output {
    pub(in crate::cli) fn resolve(given: Given<'_>) -> Result<Self, Error> {
        let Given { values, env, .. } = given;
        let push = match env.get("KANIKO_NO_PUSH") {
            None => !values.bool("no-push"),
            Some(text) => {
                !value::parse_bool(text).map_err(|_| Error::NoPushVariable(text.into()))?
            }
        };
        let mut destinations = destinations(values)?;
        let asked = outputs(given)?;
        let has_outputs = !asked.is_empty();
        let mut exports = Vec::new();
        for asked in asked {
            match asked {
                Asked::Export(export) => exports.push(export),
                Asked::Push(_) if !push => {
                    return Err(Error::Combination(
                        "--no-push contradicts an --output that pushes",
                    ));
                }
                Asked::Push(names) => {
                    for name in &names {
                        destinations.push(destination(name)?);
                    }
                }
                Asked::Nothing => {}
            }
        }
        let given_format = values.non_empty("image-format").map(|word| match word {
            "oci" => Family::Oci,
            _ => Family::Docker,
        });
        // an image that goes nowhere else is in a layout what is expected there
        let is_elsewhere = !destinations.is_empty()
            || values.non_empty("tar-path").is_some()
            || exports
                .iter()
                .any(|export| matches!(export, Export::Docker { .. }));
        let is_layout = exports
            .iter()
            .any(|export| matches!(export, Export::Layout(_) | Export::LayoutArchive { .. }));
        let is_docker_layout = exports
            .iter()
            .any(|export| matches!(export, Export::DockerLayout(_)));
        let own = match (is_layout, is_docker_layout) {
            (true, false) => Some(Family::Oci),
            (false, true) => Some(Family::Docker),
            _ => None,
        };
        let own = own.filter(|_| !is_elsewhere);
        Ok(Self {
            // what goes elsewhere needs no destination
            push: push && !(has_outputs && destinations.is_empty()),
            destinations,
            exports,
            annotations: annotations(values),
            attestations: attestation::options(values),
            format: given_format.or(own),
            compression: match values.text("compression") {
                "zstd" => Compression::Zstd,
                _ => Compression::Gzip,
            },
            compression_level: match values.int("compression-level") {
                level if level > 0 => Some(i32::try_from(level).unwrap_or(i32::MAX)),
                _ => None,
            },
            tar_path: given.path("tar-path"),
            oci_layout_path: given.path("oci-layout-path"),
            digest_file: file_or_url(given, "digest-file"),
            image_name_with_digest_file: file_or_url(given, "image-name-with-digest-file"),
            image_name_tag_with_digest_file: file_or_url(given, "image-name-tag-with-digest-file"),
            ignore_immutable_tag_errors: values.bool("push-ignore-immutable-tag-errors"),
            reports: super::telemetry::reports(given)?,
            builder_output: given
                .variable("BUILDER_OUTPUT")
                .map(|dir| given.absolute(dir)),
        })
    }
}

fn annotations(values: &Values) -> Annotations {
    let given = values
        .list("annotation")
        .iter()
        .map(|text| annotation::parse(text));
    let given = given.flat_map(|parsed| parsed.expect("the value was checked"));
    Annotations(given.collect())
}

pub(in crate::cli) fn destinations(values: &Values) -> Result<Vec<Destination>, Error> {
    let given = values.list("destination").iter();
    given.map(|text| destination(text)).collect()
}

fn destination(text: &str) -> Result<Destination, Error> {
    let error = |source| Error::Destination {
        text: text.to_owned(),
        source,
    };
    let reference: ImageRef = text.parse().map_err(|e| error(Some(e)))?;
    match reference.digest {
        Some(_) => Err(error(None)),
        None => Ok(Destination {
            as_given: text.to_owned(),
            reference,
        }),
    }
}

pub(in crate::cli) fn file_or_url(given: Given<'_>, name: &str) -> Option<String> {
    given.values.non_empty(name).map(|text| {
        let is_url = text.starts_with("https://") || text.starts_with("http://");
        match is_url {
            true => text.to_owned(),
            false => given.absolute(text).to_string_lossy().into_owned(),
        }
    })
}
