//! Plans for tests.

use super::{Action, Configs, CopyStep, Options, Plan, RunStep, plan, required_images};
use crate::dockerfile::{self, Dockerfile, Platforms};
use crate::image::{ImageConfig, Platform};

/// Returns options that ask for nothing.
pub(crate) fn options() -> Options {
    let platform = Platform::new("linux", "amd64", "");
    Options {
        targets: Vec::new(),
        every_stage: false,
        build_args: Default::default(),
        platforms: Platforms {
            build: platform.clone(),
            target: platform,
        },
        platform_is_explicit: false,
        source_date_epoch: None,
        contexts: Vec::new(),
        context_time: None,
        epoch_time: None,
    }
}

pub(crate) fn parsed(text: &str) -> Dockerfile {
    let options = dockerfile::Options {
        syntax: None,
        check: None,
    };
    dockerfile::parse(text.as_bytes(), &options).unwrap()
}

/// Plans a Dockerfile whose base images have nothing but a `PATH`.
pub(crate) fn plan_of(text: &str) -> Plan {
    let (dockerfile, options) = (parsed(text), options());
    let required = required_images(&dockerfile, &options, &Configs::new()).unwrap();
    let empty = || ImageConfig::scratch(options.platforms.target.clone());
    let configs = required.into_iter().map(|image| (image, empty())).collect();
    plan(&dockerfile, &options, &configs).unwrap()
}

/// Returns what the last of some instructions does, in a stage from scratch.
fn action(instructions: &str) -> Action {
    let mut plan = plan_of(&format!("FROM scratch\n{instructions}\n"));
    let step = plan.stages[0].steps.pop();
    step.expect("an instruction").action
}

pub(crate) fn run(instructions: &str) -> RunStep {
    match action(instructions) {
        Action::Run(step) => step,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn copy(instructions: &str) -> CopyStep {
    match action(instructions) {
        Action::Copy(step) => step,
        other => panic!("{other:?}"),
    }
}
