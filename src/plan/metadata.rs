//! Instructions that only change the config.
//!
//! # Spec
//! Language spec 3.2, 3.13 to 3.15, 5.2.

use super::stage::Evaluation;
use super::{Problem, history, port, signal};
use crate::dockerfile::check::Rule;
use crate::dockerfile::instruction::{
    ArgDeclaration, CommandLine, Healthcheck, Instruction, KeyValue,
};
use crate::image::config::{self, Empty};

impl Evaluation<'_> {
    /// Evaluates an instruction without files; returns its history text.
    pub(super) fn config_step(&mut self, instruction: &Instruction) -> Result<String, Problem> {
        match instruction {
            Instruction::Arg(declarations) => self.arg(declarations),
            Instruction::Env(pairs) => self.env(pairs),
            Instruction::Label(pairs) => {
                let pairs = self.expand_pairs(pairs)?;
                let text = history::pairs("LABEL", &pairs);
                self.state.config.config.labels.extend(pairs);
                Ok(text)
            }
            Instruction::Maintainer(name) => {
                self.state.config.author.clone_from(name);
                Ok(format!("MAINTAINER {name}"))
            }
            Instruction::Cmd(command) => Ok(self.cmd(command)),
            Instruction::Entrypoint(command) => Ok(self.entrypoint(command)),
            Instruction::Shell(words) => {
                self.state.config.config.shell = Some(words.clone());
                Ok(history::list("SHELL", words))
            }
            Instruction::Expose(ports) => self.expose(ports),
            Instruction::Volume(paths) => self.volume(paths),
            Instruction::User(user) => {
                let user = self.expand(user)?;
                self.state.config.config.user.clone_from(&user);
                Ok(format!("USER {user}"))
            }
            Instruction::Stopsignal(name) => {
                let name = self.expand(name)?;
                if !signal::is_signal(&name) {
                    return Err(Problem::Signal(name));
                }
                self.state.config.config.stop_signal.clone_from(&name);
                Ok(format!("STOPSIGNAL {name}"))
            }
            Instruction::Healthcheck(check) => Ok(self.healthcheck(check)),
            Instruction::Add(_)
            | Instruction::Copy(_)
            | Instruction::Run(_)
            | Instruction::Workdir(_)
            | Instruction::Onbuild(_) => unreachable!("evaluated where files are"),
        }
    }

    /// `--build-arg` wins, then the default, then a global value for a name without default (ARG-2, ARG-3).
    fn arg(&mut self, declarations: &[ArgDeclaration]) -> Result<String, Problem> {
        let mut text = "ARG".to_owned();
        for ArgDeclaration { name, default } in declarations {
            let given = self.graph.build_args.get(name);
            let value = match (given, default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => self.graph.globals.values.get(name).cloned(),
            };
            text = match &value {
                Some(value) => format!("{text} {name}={value}"),
                None => format!("{text} {name}"),
            };
            self.state.scope.declare(name);
            if let Some(value) = value {
                self.state.scope.set(name, value);
            }
        }
        Ok(text)
    }

    fn env(&mut self, pairs: &[KeyValue]) -> Result<String, Problem> {
        let pairs = self.expand_pairs(pairs)?;
        let text = history::pairs("ENV", &pairs);
        for (name, value) in pairs {
            let env = &mut self.state.config.config.env;
            let same = env
                .iter_mut()
                .find(|entry| entry.split('=').next() == Some(&name));
            let entry = format!("{name}={value}");
            match same {
                Some(same) => *same = entry,
                None => env.push(entry),
            }
            self.state.scope.set(&name, value);
        }
        Ok(text)
    }

    /// Expands all pairs against the state before the instruction (ORD-1).
    fn expand_pairs(&mut self, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Problem> {
        pairs
            .iter()
            .map(|pair| Ok((self.expand(&pair.key)?, self.expand(&pair.value)?)))
            .collect()
    }

    fn cmd(&mut self, command: &CommandLine) -> String {
        let arguments = self.arguments(command);
        let text = history::quoted_list("CMD", &arguments);
        let config = &mut self.state.config.config;
        config.cmd = Some(arguments).filter(|arguments| !arguments.is_empty());
        config.args_escaped = true;
        self.has_cmd = true;
        text
    }

    fn entrypoint(&mut self, command: &CommandLine) -> String {
        let arguments = self.arguments(command);
        let text = history::quoted_list("ENTRYPOINT", &arguments);
        let config = &mut self.state.config.config;
        config.entrypoint = Some(arguments).filter(|arguments| !arguments.is_empty());
        if !self.has_cmd {
            config.cmd = None;
        }
        text
    }

    /// Sorts as text before expansion; a variable may hold several ports (EXP-PORT-3, EXP-PORT-4).
    fn expose(&mut self, arguments: &[String]) -> Result<String, Problem> {
        let mut arguments = arguments.to_vec();
        arguments.sort();
        let mut keys = Vec::new();
        for argument in arguments {
            for word in self.expand_words(&argument)?.words {
                let exposed = port::parse(&word).map_err(Problem::Port)?;
                if exposed.has_host {
                    let message =
                        format!("`{word}`: only the port counts, not where it is published");
                    self.report(Rule::ExposeInvalidFormat, message);
                }
                if exposed.odd_case {
                    let message = format!("`{word}`: write the protocol in lower case");
                    self.report(Rule::ExposeProtoCasing, message);
                }
                keys.extend(exposed.ports);
            }
        }
        let text = history::list("EXPOSE", &keys);
        let exposed = &mut self.state.config.config.exposed_ports;
        exposed.extend(keys.into_iter().map(|key| (key, Empty {})));
        Ok(text)
    }

    fn volume(&mut self, paths: &[String]) -> Result<String, Problem> {
        let paths = self.expand_all(paths)?;
        if paths.iter().any(String::is_empty) {
            return Err(Problem::EmptyVolume);
        }
        let text = history::list("VOLUME", &paths);
        let volumes = &mut self.state.config.config.volumes;
        volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
        Ok(text)
    }

    /// The whole check is replaced; the shell form is left to the runtime's shell (HC-2, HC-4).
    fn healthcheck(&mut self, check: &Healthcheck) -> String {
        let check = match check {
            Healthcheck::None => config::Healthcheck {
                test: vec!["NONE".to_owned()],
                ..config::Healthcheck::default()
            },
            Healthcheck::Command {
                interval,
                timeout,
                start_period,
                start_interval,
                retries,
                command,
            } => config::Healthcheck {
                test: match command {
                    CommandLine::Exec(words) => {
                        let kind = std::iter::once("CMD".to_owned());
                        kind.chain(words.iter().cloned()).collect()
                    }
                    CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
                },
                interval: *interval,
                timeout: *timeout,
                start_period: *start_period,
                start_interval: *start_interval,
                retries: *retries,
            },
        };
        let text = history::healthcheck(&check);
        self.state.config.config.healthcheck = Some(check);
        text
    }
}
