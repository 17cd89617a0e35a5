//! Plans for tests.

use crate::dockerfile::{self, Platforms};
use crate::image::{ImageConfig, Platform};
use crate::plan::{self, Plan};

/// Plans a Dockerfile whose base images say nothing.
pub fn plan_of(text: &str) -> Plan {
    let frontend = dockerfile::Options {
        syntax: None,
        check: None,
    };
    let dockerfile = dockerfile::parse(text.as_bytes(), &frontend).unwrap();
    let host = Platform::host();
    let options = plan::Options {
        targets: Vec::new(),
        every_stage: false,
        build_args: Default::default(),
        platforms: Platforms {
            build: host.clone(),
            target: host.clone(),
        },
        platform_is_explicit: false,
        source_date_epoch: None,
        contexts: Vec::new(),
        context_time: None,
        epoch_time: None,
    };
    let required = plan::required_images(&dockerfile, &options, &Default::default()).unwrap();
    let empty = || ImageConfig::scratch(host.clone());
    let configs = required.into_iter().map(|image| (image, empty())).collect();
    plan::plan(&dockerfile, &options, &configs).unwrap()
}
