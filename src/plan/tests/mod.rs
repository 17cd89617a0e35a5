//! Dockerfiles in, plans out.

mod config;
mod graph;
mod mounts;
mod named;
mod transfer;
mod variables;

use std::fmt::Write;

use super::*;
use crate::image::ImageRef;

pub(super) struct Case {
    pub options: Options,
    pub configs: Configs,
}

impl Case {
    pub fn new() -> Self {
        Self {
            options: testing::options(),
            configs: Configs::new(),
        }
    }

    pub fn build_arg(mut self, name: &str, value: &str) -> Self {
        let args = &mut self.options.build_args;
        args.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn context(mut self, text: &str) -> Self {
        self.options.contexts.push(text.parse().unwrap());
        self
    }

    pub fn platform(mut self, target: &str) -> Self {
        self.options.platforms.target = target.parse().unwrap();
        self
    }

    pub fn target(mut self, name: &str) -> Self {
        self.options.targets.push(name.to_owned());
        self
    }

    /// Makes an image known, with a config such as `{"Env":["A=1"]}`.
    pub fn image(mut self, name: &str, config: &str) -> Self {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let platform = self.options.platforms.target.clone();
        let image: ImageRef = name.parse().unwrap();
        self.configs.insert(
            (image.into(), platform),
            serde_json::from_str(&text).unwrap(),
        );
        self
    }

    /// Plans, every base image that is not known having an empty config.
    pub fn plan(&self, text: &str) -> Result<Plan, Error> {
        let dockerfile = testing::parsed(text);
        let mut configs = self.configs.clone();
        loop {
            let missing = required_images(&dockerfile, &self.options, &configs)?;
            if missing.is_empty() {
                return plan(&dockerfile, &self.options, &configs);
            }
            for (image, platform) in missing {
                let mut config = ImageConfig::scratch(platform.clone());
                config.config = Default::default();
                configs.insert((image, platform), config);
            }
        }
    }

    pub fn error(&self, text: &str) -> String {
        let error = self.plan(text).expect_err(text);
        match error.span {
            Some(span) => format!("{error} (line {})", span.first_line),
            None => error.to_string(),
        }
    }

    /// History of the target, `-` before entries without layer.
    pub fn history(&self, text: &str) -> String {
        let plan = self.plan(text).unwrap();
        let mut lines = String::new();
        for step in &plan.stages[plan.target].steps {
            let mark = match step.action {
                Action::Config => '-',
                _ => '+',
            };
            let created_by = step.created_by.as_deref().unwrap_or("no entry");
            writeln!(lines, "{mark} {created_by}").unwrap();
        }
        lines
    }

    /// The target's `config` object as JSON.
    pub fn config(&self, text: &str) -> String {
        let plan = self.plan(text).unwrap();
        serde_json::to_string(&plan.stages[plan.target].config.config).unwrap()
    }

    pub fn findings(&self, text: &str) -> String {
        let plan = self.plan(text).unwrap();
        let findings = plan.findings.iter();
        findings.map(|f| format!("{f}\n")).collect()
    }

    /// The only RUN of the target.
    pub fn run(&self, text: &str) -> RunStep {
        let plan = self.plan(text).unwrap();
        let steps = plan.stages[plan.target].steps.iter();
        let mut runs = steps.filter_map(|step| match &step.action {
            Action::Run(run) => Some(run.clone()),
            _ => None,
        });
        runs.next_back().expect("a RUN")
    }
}
