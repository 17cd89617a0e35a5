//! Combinations of options that cannot be.

use super::Error;
use super::options::Options;
use super::values::Values;
use crate::image::{Compression, Family, Platform};
use crate::output::annotations::Level;
use crate::output::export::{Export, Place};

/// Checks what is to be put out.
///
/// # Spec
/// Compat spec 1.5.
pub fn check(options: &Options) -> Result<(), Error> {
    let output = &options.output;
    let zstd = output.compression == Compression::Zstd;
    let wrong = |text| Err(Error::Combination(text));
    if options.build.check {
        return Ok(());
    }
    if output.push && output.destinations.is_empty() {
        return wrong("you must provide --destination, or use --no-push");
    }
    if zstd && output.format == Some(Family::Docker) {
        return wrong(
            "--compression=zstd cannot be used with --image-format=docker, which has no media type for zstd layers",
        );
    }
    if output.tar_path.is_some() && output.format == Some(Family::Oci) {
        return wrong(
            "--tar-path writes a Docker schema2 tarball and cannot be used with --image-format=oci, use --oci-layout-path for an OCI image",
        );
    }
    if output.tar_path.is_some() && zstd {
        return wrong(
            "--compression=zstd cannot be used with --tar-path, a Docker schema2 tarball has no zstd layers",
        );
    }
    let attests = output.attestations.is_wanted();
    let has_index = attests || options.build.platforms.len() > 1;
    if attests && output.format == Some(Family::Docker) {
        return wrong(
            "--sbom and --provenance need an OCI index and cannot be used with --image-format=docker",
        );
    }
    if attests && output.tar_path.is_some() {
        return wrong(
            "--tar-path writes a Docker schema2 tarball, which can hold neither an SBOM nor a provenance, use --oci-layout-path",
        );
    }
    if attests && output.exports.iter().any(is_docker) {
        return wrong(
            "--output type=docker can hold neither an SBOM nor a provenance, use type=oci",
        );
    }
    let annotated = |level| output.annotations.0.iter().any(|a| a.level == level);
    if !has_index && (annotated(Level::Index) || annotated(Level::IndexDescriptor)) {
        return wrong(
            "an --annotation of an index needs one, which only several platforms, --sbom or --provenance make",
        );
    }
    if output.annotations.are_beyond_manifests() && output.format == Some(Family::Docker) {
        return wrong(
            "an --annotation beyond the manifest cannot be used with --image-format=docker, whose indexes have none",
        );
    }
    let host = [Platform::host()];
    let platforms = match &options.build.platforms[..] {
        [] => &host[..],
        given => given,
    };
    let mut annotations = output.annotations.0.iter();
    let foreign = annotations.find_map(|annotation| {
        let platform = annotation.platform.as_ref()?;
        (!platforms.contains(platform)).then_some(platform)
    });
    if let Some(platform) = foreign {
        return Err(Error::AnnotationPlatform(Box::new(platform.clone())));
    }
    if output.tar_path.is_some() && options.build.platforms.len() > 1 {
        return wrong(
            "--tar-path holds one image and cannot be used with several platforms, use --oci-layout-path",
        );
    }
    check_exports(options)?;
    if output.destinations.is_empty() && output.image_name_with_digest_file.is_some() {
        return wrong("you must provide --destination if setting ImageNameDigestFile");
    }
    if output.destinations.is_empty() && output.image_name_tag_with_digest_file.is_some() {
        return wrong("you must provide --destination if setting ImageNameTagDigestFile");
    }
    Ok(())
}

/// Tells whether an output holds one image and nothing else.
fn is_docker(export: &Export) -> bool {
    matches!(export, Export::Docker { .. } | Export::DockerLayout(_))
}

/// Checks what `--output` asks for.
fn check_exports(options: &Options) -> Result<(), Error> {
    let output = &options.output;
    let wrong = |text| Err(Error::Combination(text));
    let places = output.exports.iter().filter_map(Export::place);
    if places.filter(|place| **place == Place::Stdout).count() > 1 {
        return wrong("only one --output can go to standard output");
    }
    if output.exports.iter().any(is_docker) {
        if output.format == Some(Family::Oci) {
            return wrong(
                "--output type=docker cannot be used with --image-format=oci, use type=oci for an OCI image",
            );
        }
        if output.compression == Compression::Zstd {
            return wrong(
                "--compression=zstd cannot be used with --output type=docker, which has no zstd layers",
            );
        }
    }
    let is_several = options.build.platforms.len() > 1;
    if is_several && output.exports.iter().any(is_docker) {
        return wrong(
            "--output type=docker holds one image and cannot be used with several platforms, use type=oci",
        );
    }
    Ok(())
}

/// Checks that the cache has a place.
pub fn check_cache(values: &Values, push: bool) -> Result<(), Error> {
    let nowhere = values.bool("cache")
        && !push
        && values.non_empty("cache-repo").is_none()
        && !values.bool("no-push-cache");
    match nowhere {
        true => Err(Error::Combination(
            "cache flags invalid: if using cache with --no-push, specify cache repo with --cache-repo",
        )),
        false => Ok(()),
    }
}
