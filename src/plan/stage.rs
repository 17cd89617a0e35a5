//! One stage: its instructions evaluated in order, on top of what its base left.

use super::error::did_you_mean;
use super::graph::{Command, Graph};
use super::origin::Origin;
use super::path::join;
use super::{
    Action, CopyStep, Error, Options, Problem, RunStep, Scope, Source, Step, WorkdirStep, history,
    mount, scope,
};
use crate::dockerfile::check::{self, Finding, Rule};
use crate::dockerfile::expand::Expanded;
use crate::dockerfile::instruction::{CommandLine, Instruction, Network, Run, Security};
use crate::dockerfile::{Span, boolean, suggest};
use crate::image::config::DEFAULT_PATH;
use crate::image::{ImageConfig, Platform};

/// What a stage leaves to stages that start from it.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub config: ImageConfig,
    pub scope: Scope,
    /// No instruction has put a file into the root, and the stage began from scratch.
    pub root_is_empty: bool,
    /// A `WORKDIR` was given here or in a base stage.
    pub has_workdir: bool,
}

/// A stage after its instructions were evaluated.
pub(super) struct Evaluated {
    pub steps: Vec<Step>,
    pub outcome: Outcome,
    pub findings: Vec<Finding>,
    pub unused_options: Vec<String>,
}

/// A stage while its instructions are evaluated.
pub(super) struct Evaluation<'a> {
    pub graph: &'a Graph<'a>,
    pub index: usize,
    pub state: Outcome,
    /// `WorkingDir`, absolute and clean.
    pub working_dir: String,
    /// A `CMD` stood in this stage (ENT-3).
    pub has_cmd: bool,
    /// Where the instruction under evaluation stands, and the escape character it is expanded with.
    span: Span,
    escape: char,
    findings: Vec<Finding>,
    unused_options: Vec<String>,
}

impl<'a> Evaluation<'a> {
    /// Begins a stage whose base stage, if it has one, left `base`.
    pub fn begin(
        graph: &'a Graph<'a>,
        options: &'a Options,
        index: usize,
        base: Option<&Outcome>,
    ) -> Result<Self, Error> {
        let span = graph.stage(index).from.span;
        let mut state = match (&graph.bases[index], base) {
            (_, Some(base)) => base.clone(),
            (Origin::Image(image, platform), None) => {
                let config = graph.configs.get(&(image.clone(), platform.clone()));
                let unknown = || Problem::NoConfig {
                    image: image.to_string(),
                    platform: platform.to_string(),
                };
                let config = config.cloned().ok_or_else(|| unknown().at(span))?;
                new_outcome(config, false)
            }
            (Origin::Scratch | Origin::Named(_) | Origin::Stage(_), None) => {
                new_outcome(ImageConfig::scratch(options.platforms.target.clone()), true)
            }
        };
        let config = &mut state.config;
        if options.platform_is_explicit {
            config.platform = options.platforms.target.clone();
        }
        config.config.on_build.clear();
        if config.config.working_dir.is_empty() {
            config.config.working_dir = "/".to_owned();
        }
        let env = &mut config.config.env;
        if !env.iter().any(|entry| entry.starts_with("PATH=")) {
            env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for entry in env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            state.scope.set(name, value.to_owned());
        }
        let working_dir = join("/", &state.config.config.working_dir);
        Ok(Self {
            graph,
            index,
            state,
            working_dir,
            has_cmd: false,
            span,
            escape: graph.dockerfile.escape,
            findings: Vec::new(),
            unused_options: Vec::new(),
        })
    }

    /// Evaluates the instructions in order.
    pub fn run(mut self, commands: &[Command<'_>]) -> Result<Evaluated, Error> {
        self.check_base();
        let mut steps = Vec::new();
        if let Origin::Named(context) = self.graph.bases[self.index] {
            steps.push(self.files_of_base(context));
        }
        for command in commands {
            let located = &**command;
            self.span = located.span;
            // Triggers are written with `\` whatever the child's directive (OB-4).
            self.escape = match command {
                Command::Owned(_) => '\\',
                Command::Borrowed(_) => self.graph.dockerfile.escape,
            };
            let evaluated = self.instruction(&located.value);
            let (created_by, action) = evaluated.map_err(|p| p.at(located.span))?;
            self.state.root_is_empty &= matches!(action, Action::Config);
            steps.push(Step {
                span: located.span,
                text: located.text.clone(),
                created_by,
                action,
            });
        }
        Ok(Evaluated {
            steps,
            outcome: self.state,
            findings: self.findings,
            unused_options: self.unused_options,
        })
    }

    /// Evaluates one instruction: its history text, and what it does to the files.
    fn instruction(
        &mut self,
        instruction: &Instruction,
    ) -> Result<(Option<String>, Action), Problem> {
        let (created_by, action) = match instruction {
            Instruction::Run(run) => self.run_step(run)?,
            Instruction::Copy(copy) => self.copy_step(copy)?,
            Instruction::Add(add) => self.add_step(add)?,
            Instruction::Workdir(path) => self.workdir_step(path)?,
            Instruction::Onbuild(trigger) => {
                self.state.config.config.on_build.push(trigger.clone());
                return Ok((None, Action::Config));
            }
            other => (self.config_step(other)?, Action::Config),
        };
        if let Some(what) = action.nul() {
            return Err(Problem::Nul(what));
        }
        Ok((Some(created_by), action))
    }
}

impl Evaluation<'_> {
    /// Expands a word, noting variables that nothing defines.
    pub fn expand(&mut self, word: &str) -> Result<String, Problem> {
        Ok(self.expand_words(word)?.text)
    }

    /// Like [`expand`](Self::expand), for a field that falls into words afterwards.
    pub fn expand_words(&mut self, word: &str) -> Result<Expanded, Problem> {
        let expanded = self.state.scope.expand(word, self.escape)?;
        self.check_undefined(&expanded.undefined);
        Ok(expanded)
    }

    pub fn check_undefined(&mut self, names: &[String]) {
        let scope = &self.state.scope;
        let unknown = names.iter().filter(|name| !scope.is_known(name));
        let messages: Vec<_> = unknown
            .map(|name| {
                let hint = did_you_mean(suggest(name, scope.names()));
                format!("nothing defines `{name}` here{hint}")
            })
            .collect();
        for message in messages {
            self.report(Rule::UndefinedVar, message);
        }
    }

    /// Notes a finding about the current instruction, unless it is switched off there.
    pub fn report(&mut self, rule: Rule, message: impl Into<String>) {
        if self.graph.dockerfile.checks.allows(rule, self.span) {
            self.findings.push(Finding::new(rule, self.span, message));
        }
    }

    /// Returns the step that brings the files of a context into a stage that starts from it (CTX-4).
    fn files_of_base(&mut self, context: usize) -> Step {
        self.state.root_is_empty = false;
        let name = self.graph.contexts[context].name();
        Step {
            span: self.span,
            text: format!("FROM context {name}"),
            created_by: Some(format!("local source for context:{name}")),
            action: Action::Copy(CopyStep::of_everything(Source::Named(context))),
        }
    }

    fn check_base(&mut self) {
        let stage = self.graph.stage(self.index);
        let shell_is_set = self.state.config.config.shell.is_some();
        let checks = &self.graph.dockerfile.checks;
        self.findings = check::stage::findings(stage, shell_is_set, checks);
        let Origin::Image(image, wanted) = &self.graph.bases[self.index] else {
            return;
        };
        let config = self.graph.configs.get(&(image.clone(), wanted.clone()));
        if let Some(config) = config.filter(|config| !is_for(&config.platform, wanted)) {
            let message = format!("`{image}` is for {}, not {wanted}", config.platform);
            self.report(Rule::InvalidBaseImagePlatform, message);
        }
    }

    pub fn expand_all(&mut self, words: &[String]) -> Result<Vec<String>, Problem> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    /// Returns the arguments of a command line; the shell form is started by the `SHELL` in effect.
    pub fn arguments(&self, command: &CommandLine) -> Vec<String> {
        match command {
            CommandLine::Exec(words) => words.clone(),
            CommandLine::Shell(text) => self.shell(text.clone()),
        }
    }

    fn shell(&self, script: String) -> Vec<String> {
        let shell = self.state.config.config.shell.clone();
        let mut arguments = shell
            .filter(|words| !words.is_empty())
            .unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).to_vec());
        arguments.push(script);
        arguments
    }

    /// Makes an origin a source of the plan; `later` is the complaint about a stage that is not complete yet.
    pub fn source(
        &self,
        origin: Origin,
        later: impl FnOnce(String) -> Problem,
    ) -> Result<Source, Problem> {
        match origin {
            Origin::Scratch => Ok(Source::Scratch),
            Origin::Named(context) => Ok(Source::Named(context)),
            Origin::Image(image, platform) => Ok(Source::Image(image, platform)),
            Origin::Stage(index) if index == self.index => {
                let stage = self.graph.display_name(index);
                let reference = format!("from={stage}");
                Err(Problem::Cycle { stage, reference })
            }
            Origin::Stage(index) if index > self.index => {
                Err(later(self.graph.display_name(index)))
            }
            Origin::Stage(index) => Ok(Source::Stage(self.graph.positions[&index])),
        }
    }

    fn run_step(&mut self, run: &Run) -> Result<(String, Action), Problem> {
        let mut script = None;
        let arguments = match (&run.command, run.heredocs.as_slice()) {
            (CommandLine::Exec(words), _) if words.is_empty() => return Err(Problem::EmptyRun),
            (CommandLine::Shell(_), [heredoc]) if run.heredoc_is_script => {
                // as it stands in the file: behind a tab it is a comment of the shell's (HD-10)
                if heredoc.raw_body.starts_with("#!") {
                    script = Some(heredoc.clone());
                    self.shell(format!("/dev/pipes/{}", heredoc.name))
                } else {
                    self.shell(String::from_utf8_lossy(&heredoc.body).into_owned())
                }
            }
            (CommandLine::Shell(text), [_, ..]) => {
                let bodies = run.heredocs.iter();
                let bodies = bodies.map(|heredoc| format!("{}{}", heredoc.raw_body, heredoc.name));
                let bodies: Vec<_> = bodies.collect();
                self.shell(format!("{text}\n{}", bodies.join("\n")))
            }
            (command, _) => self.arguments(command),
        };
        for device in &run.devices {
            // without `required` the command copes with its absence
            if is_required(device) {
                return Err(Problem::Device(device.clone()));
            }
        }
        let mounts = mount::plan(&run.mounts, self)?;
        let created_by = history::run(&self.state.scope.build_args(), &arguments);
        let build_args = &self.graph.build_args;
        let hostname = build_args.get("BUILDKIT_SANDBOX_HOSTNAME").cloned();
        let step = RunStep {
            args: arguments,
            env: self.state.scope.environment(),
            proxy_env: scope::proxies(build_args),
            working_dir: self.working_dir.clone(),
            user: self.state.config.config.user.clone(),
            hostname: hostname.unwrap_or_else(|| "buildkitsandbox".to_owned()),
            network: run.network.unwrap_or(Network::Default),
            security: run.security.unwrap_or(Security::Sandbox),
            script,
            mounts,
        };
        Ok((created_by, Action::Run(step)))
    }

    fn workdir_step(&mut self, path: &str) -> Result<(String, Action), Problem> {
        let path = self.expand(path)?;
        let mut is_relative = false;
        let config = &mut self.state.config.config;
        if path.starts_with('/') {
            config.working_dir.clone_from(&path);
        } else if !path.is_empty() {
            config.working_dir = join(&config.working_dir, &path);
            is_relative = !self.state.has_workdir;
        }
        self.state.has_workdir = true;
        self.working_dir = join("/", &config.working_dir);
        let action = match self.working_dir.as_str() {
            "/" => Action::Config,
            path => Action::Workdir(WorkdirStep {
                path: path.to_owned(),
                user: config.user.clone(),
            }),
        };
        let created_by = format!("WORKDIR {}", config.working_dir);
        if is_relative {
            let message = format!("`{path}` depends on the working directory of the base image");
            self.report(Rule::WorkdirRelativePath, message);
        }
        Ok((created_by, action))
    }
}

impl mount::Surroundings for Evaluation<'_> {
    fn expand(&mut self, word: &str) -> Result<String, Problem> {
        Evaluation::expand(self, word)
    }

    fn source(&self, from: &str, target: &str) -> Result<Source, Problem> {
        let origin = self.graph.mount_origin(from)?;
        Evaluation::source(self, origin, |from| Problem::MountFromLater {
            from,
            target: target.to_owned(),
        })
    }

    fn working_dir(&self) -> &str {
        &self.working_dir
    }

    fn cache_namespace(&self) -> &str {
        let namespace = self.graph.build_args.get("BUILDKIT_CACHE_MOUNT_NS");
        namespace.map_or("", String::as_str)
    }

    fn unused(&mut self, option: &str, kind: &str) {
        let note = format!(
            "`{option}` of a {kind} mount (line {})",
            self.span.first_line
        );
        self.unused_options.push(note);
    }
}

/// Tells whether a `--device` is one without which the command must not run.
fn is_required(device: &str) -> bool {
    device.split(',').any(|field| {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        key == "required" && boolean(value) == Some(true)
    })
}

fn new_outcome(config: ImageConfig, root_is_empty: bool) -> Outcome {
    Outcome {
        config,
        scope: Scope::default(),
        root_is_empty,
        has_workdir: false,
    }
}

/// Tells whether an image is for a platform, by its own word; a variant counts only if it was asked for.
fn is_for(own: &Platform, wanted: &Platform) -> bool {
    let normal = Platform::new(&own.os, &own.architecture, &own.variant);
    let is_alike = normal.os == wanted.os && normal.architecture == wanted.architecture;
    let is_precise = !wanted.variant.is_empty() || !wanted.os_version.is_empty();
    is_alike && (!is_precise || own.serves(wanted).is_some())
}
