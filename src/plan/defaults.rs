//! Bases as they are when nobody gives build args, for the check `InvalidDefaultArgInFrom`.

use std::collections::BTreeMap;

use super::Options;
use super::scope::globals;
use crate::dockerfile::check::{Finding, Rule};
use crate::dockerfile::{Dockerfile, quote};
use crate::image::ImageRef;

/// Finds the stages, needed or not, whose image would have no valid name without build args.
///
/// The platforms are this build's, as in BuildKit: `FROM x:$TARGETVARIANT` has a tag for linux/arm/v7 and none for linux/amd64.
pub(super) fn findings(dockerfile: &Dockerfile, options: &Options) -> Vec<Finding> {
    let options = Options {
        build_args: BTreeMap::new(),
        ..options.clone()
    };
    // An ARG may require what only a build arg can give; then there are no defaults to speak of.
    let Ok(defaults) = globals(dockerfile, &options) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for stage in &dockerfile.stages {
        let (span, image) = (stage.from.span, &stage.from.value.image);
        let Ok(expanded) = defaults.expand(image, dockerfile.escape) else {
            continue;
        };
        let is_valid = expanded.used.is_empty() || expanded.text.parse::<ImageRef>().is_ok();
        let rule = Rule::InvalidDefaultArgInFrom;
        if !is_valid && dockerfile.checks.allows(rule, span) {
            let image = quote::quoted(image);
            let message = format!("with the defaults of its ARGs, {image} is no valid image name");
            findings.push(Finding::new(rule, span, message));
        }
    }
    findings
}
