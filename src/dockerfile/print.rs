//! Canonical text of an instruction: what it prints as, parses to the same again.

use super::instruction::{
    Add, ArgDeclaration, CommandLine, Copy, Healthcheck, Heredoc, KeyValue, Mount, Network, Run,
    Security, Transfer,
};
use super::{From, Instruction, csv, heredoc, json_form, words};

/// Prints an instruction on one line, its heredocs below it; without a final newline.
///
/// ```
/// use executor::dockerfile::{Instruction, instruction::CommandLine, print};
/// let words = vec!["a".to_owned(), "b c".to_owned()];
/// let cmd = Instruction::Cmd(CommandLine::Exec(words));
/// assert_eq!(print::instruction(&cmd, '\\'), r#"CMD ["a","b c"]"#);
/// ```
pub fn instruction(instruction: &Instruction, escape: char) -> String {
    let mut line = Line::new(instruction.keyword().as_str(), escape);
    match instruction {
        Instruction::Add(add) => return line.add(add),
        Instruction::Copy(copy) => return line.copy(copy),
        Instruction::Run(run) => return line.run(run),
        Instruction::Healthcheck(healthcheck) => line.healthcheck(healthcheck),
        Instruction::Arg(args) => line.arguments(&join(args.iter().map(declaration))),
        Instruction::Env(pairs) | Instruction::Label(pairs) => line.pairs(pairs),
        Instruction::Cmd(command) | Instruction::Entrypoint(command) => {
            line.arguments(&command_line(command));
        }
        Instruction::Expose(ports) => line.ports(ports),
        Instruction::Volume(paths) => line.list(paths),
        Instruction::Shell(words) => line.arguments(&json(words)),
        Instruction::Maintainer(text)
        | Instruction::Stopsignal(text)
        | Instruction::User(text)
        | Instruction::Workdir(text) => line.arguments(text),
        Instruction::Onbuild(trigger) => line.push(trigger),
    }
    line.text
}

/// Prints the instruction that starts a stage.
pub fn from(from: &From, escape: char) -> String {
    let mut line = Line::new("FROM", escape);
    line.flag("platform", from.platform.as_deref());
    line.arguments(&from.image);
    if let Some(name) = &from.name_as_typed {
        line.push("AS");
        line.push(name);
    }
    line.text
}

struct Line {
    text: String,
    escape: char,
}

impl Line {
    fn new(keyword: &str, escape: char) -> Self {
        Self {
            text: keyword.to_owned(),
            escape,
        }
    }

    fn push(&mut self, word: &str) {
        self.text.push(' ');
        self.text.push_str(word);
    }

    /// Ends the flags where the arguments would look like one.
    fn arguments(&mut self, text: &str) {
        if text.starts_with("--") {
            self.push("--");
        }
        if !text.is_empty() {
            self.push(text);
        }
    }

    fn flag(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let mut word = format!("--{name}=");
        for c in value.chars() {
            if c.is_whitespace() || matches!(c, '\'' | '"') || c == self.escape {
                word.push(self.escape);
            }
            word.push(c);
        }
        self.push(&word);
    }

    fn switch(&mut self, name: &str, value: Option<bool>) {
        self.flag(
            name,
            value.map(|value| if value { "true" } else { "false" }),
        );
    }

    /// Prints words bare if they are read back as they are, else in JSON form.
    fn list(&mut self, words: &[String]) {
        let text = join(words.iter().cloned());
        let is_plain = words::split_blanks(&text) == words
            && matches!(json_form::parse(&text), Ok(None))
            && heredoc::introducers(&text).is_empty()
            && !text.ends_with(self.escape);
        self.arguments(&if is_plain { text } else { json(words) });
    }

    /// Ports are sorted anyway, so one that would continue the line need not stand last.
    fn ports(&mut self, ports: &[String]) {
        let (first, last): (Vec<_>, Vec<_>) = ports
            .iter()
            .cloned()
            .partition(|port| port.ends_with(self.escape));
        self.arguments(&join(first.into_iter().chain(last)));
    }

    /// Prints `key=value` pairs, or a single one in the legacy form if its value is no single word.
    fn pairs(&mut self, pairs: &[KeyValue]) {
        let words: Vec<_> = pairs
            .iter()
            .map(|pair| format!("{}={}", pair.key, pair.value))
            .collect();
        let text = join(words.iter().cloned());
        match pairs {
            [pair] if words::split_quoted(&text, self.escape) != words => {
                // A key that ends in an escape takes the first blank for itself.
                let blanks = if pair.key.ends_with(self.escape) {
                    "  "
                } else {
                    " "
                };
                self.arguments(&format!("{}{blanks}{}", pair.key, pair.value));
            }
            _ => self.arguments(&text),
        }
    }

    fn transfer_flags(&mut self, transfer: &Transfer) {
        self.flag("chown", transfer.chown.as_deref());
        self.flag("chmod", transfer.chmod.as_deref());
        self.switch("link", transfer.link.then_some(true));
        for pattern in &transfer.exclude {
            self.flag("exclude", Some(pattern));
        }
    }

    fn transfer(mut self, transfer: &Transfer) -> String {
        let mut words = transfer.sources.clone();
        words.push(transfer.destination.clone());
        if transfer.heredocs.is_empty() {
            self.list(&words);
            return self.text;
        }
        let introducers = transfer.heredocs.iter().map(introducer);
        self.arguments(&join(introducers.chain(words)));
        self.with_bodies(&transfer.heredocs)
    }

    fn copy(mut self, copy: &Copy) -> String {
        self.flag("from", copy.from.as_deref());
        self.switch("parents", copy.parents.then_some(true));
        self.transfer_flags(&copy.transfer);
        self.transfer(&copy.transfer)
    }

    fn add(mut self, add: &Add) -> String {
        self.flag("checksum", add.checksum.as_deref());
        self.switch("keep-git-dir", add.keep_git_dir);
        self.switch("unpack", add.unpack);
        self.transfer_flags(&add.transfer);
        self.transfer(&add.transfer)
    }

    fn run(mut self, run: &Run) -> String {
        for mount in &run.mounts {
            self.flag("mount", Some(&mount_fields(mount)));
        }
        self.flag("network", run.network.map(Network::as_str));
        self.flag("security", run.security.map(Security::as_str));
        for device in &run.devices {
            self.flag("device", Some(device));
        }
        self.arguments(&command_line(&run.command));
        self.with_bodies(&run.heredocs)
    }

    fn with_bodies(mut self, heredocs: &[Heredoc]) -> String {
        for heredoc in heredocs {
            self.text.push('\n');
            self.text.push_str(&heredoc.raw_body);
            self.text.push_str(&heredoc.name);
        }
        self.text
    }

    fn healthcheck(&mut self, healthcheck: &Healthcheck) {
        let Healthcheck::Command {
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
            command,
        } = healthcheck
        else {
            return self.push("NONE");
        };
        let durations = [
            ("interval", interval),
            ("timeout", timeout),
            ("start-period", start_period),
            ("start-interval", start_interval),
        ];
        for (name, nanoseconds) in durations.into_iter().filter(|(_, n)| **n != 0) {
            self.flag(name, Some(&format!("{nanoseconds}ns")));
        }
        if *retries != 0 {
            self.flag("retries", Some(&retries.to_string()));
        }
        self.push("CMD");
        self.push(&command_line(command));
    }
}

fn join(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

fn json(words: &[String]) -> String {
    serde_json::to_string(words).expect("strings have a JSON form")
}

fn command_line(command: &CommandLine) -> String {
    match command {
        CommandLine::Exec(words) => json(words),
        CommandLine::Shell(text) => text.clone(),
    }
}

fn declaration(arg: &ArgDeclaration) -> String {
    match &arg.default {
        Some(default) => format!("{}={default}", arg.name),
        None => arg.name.clone(),
    }
}

fn mount_fields(mount: &Mount) -> String {
    let fields = mount.fields.iter().map(|(key, value)| match value {
        Some(value) => csv::field(&format!("{key}={value}")),
        None => csv::field(key),
    });
    fields.collect::<Vec<_>>().join(",")
}

/// Returns the word that announces a heredoc.
fn introducer(heredoc: &Heredoc) -> String {
    let operator = if heredoc.strip_tabs { "<<-" } else { "<<" };
    let mut word = operator.to_owned();
    if heredoc.expand {
        for (index, c) in heredoc.name.chars().enumerate() {
            let special = c.is_whitespace() || matches!(c, '\'' | '"' | '\\' | '$' | '}');
            if special || (index == 0 && c == '-') {
                word.push('\\');
            }
            word.push(c);
        }
    } else {
        word.push('"');
        for c in heredoc.name.chars() {
            if matches!(c, '"' | '\\') {
                word.push('\\');
            }
            word.push(c);
        }
        word.push('"');
    }
    word
}
