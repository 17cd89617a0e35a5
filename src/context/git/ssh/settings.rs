//! How a server is to be reached: `GIT_SSH_COMMAND` and ssh's own configuration file. Pure.
//!
//! What the command says wins over the file, and in both the first value that fits a host wins.
//!
//! # Spec
//! `ssh_config(5)`, the part that a build can need; what is left out and would lead elsewhere is refused.

/// Settings for the hosts that patterns name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    patterns: Vec<String>,
    /// Keyword in lower case and value.
    settings: Vec<(String, String)>,
}

/// What `GIT_SSH_COMMAND` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub block: Block,
    /// The configuration file to read in place of the usual ones.
    pub config: Option<String>,
}

/// How far unknown host keys are trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strict {
    /// Not at all.
    #[default]
    Yes,
    /// If none is known for the host.
    AcceptNew,
    /// Always, even if another one is known.
    No,
}

/// The settings of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub host_name: Option<String>,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub identity_files: Vec<String>,
    pub identities_only: bool,
    pub strict: Strict,
    pub user_known_hosts: Option<Vec<String>>,
    pub global_known_hosts: Option<Vec<String>>,
    /// The name under which known hosts have the server.
    pub alias: Option<String>,
    /// A socket's path, or `none`.
    pub agent: Option<String>,
}

/// Short options of ssh that take no value and make no difference here.
const SWITCHES: &str = "46aACfgGkKnNqsTtvxXyY";

impl Block {
    /// Returns the files that any of the settings name.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().flat_map(|(key, value)| match &**key {
            "identityfile" => vec![value.as_str()],
            "userknownhostsfile" | "globalknownhostsfile" => value.split_whitespace().collect(),
            _ => Vec::new(),
        })
    }

    fn fits(&self, host: &str) -> bool {
        super::known_hosts::fits(self.patterns.iter().map(String::as_str), host)
    }
}

impl Command {
    /// Reads the words of a shell command.
    ///
    /// # Errors
    /// What of it cannot be done.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = words(text)?.into_iter();
        let program = words.next().unwrap_or_default();
        if program.rsplit('/').next() != Some("ssh") {
            return Err(format!("it runs `{program}`, and only `ssh` is built in"));
        }
        let mut settings = Vec::new();
        let mut config = None;
        while let Some(word) = words.next() {
            let Some(options) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                return Err(format!("`{word}` is no option"));
            };
            let rest = options.trim_start_matches(|c| SWITCHES.contains(c));
            let Some(option) = rest.chars().next() else {
                continue;
            };
            let value = match &rest[option.len_utf8()..] {
                "" => words.next().unwrap_or_default(),
                value => value.to_owned(),
            };
            match option {
                'i' => settings.push(("identityfile".into(), value)),
                'p' => settings.push(("port".into(), value)),
                'l' => settings.push(("user".into(), value)),
                'F' => config = Some(value),
                'o' => settings.extend(setting(&value)),
                _ => return Err(format!("the option `-{option}` is not known")),
            }
        }
        let patterns = vec!["*".to_owned()];
        let block = Block { patterns, settings };
        Ok(Self { block, config })
    }
}

/// Reads a configuration file; blocks with conditions other than `all` are left out.
pub fn parse_config(text: &str) -> Vec<Block> {
    let mut blocks = vec![Block {
        patterns: vec!["*".to_owned()],
        settings: Vec::new(),
    }];
    for line in text.lines() {
        let Some((key, value)) = setting(line) else {
            continue;
        };
        let patterns = match (&*key, &*value) {
            ("host", _) => value.split_whitespace().map(str::to_owned).collect(),
            ("match", "all") => vec!["*".to_owned()],
            ("match", _) => Vec::new(),
            _ => {
                let block = blocks.last_mut().expect("one is always there");
                block.settings.push((key, value));
                continue;
            }
        };
        let settings = Vec::new();
        blocks.push(Block { patterns, settings });
    }
    blocks
}

/// Reads `keyword value` or `keyword=value`; nothing in a comment.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let value = line[end..].trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim();
    let value = value.strip_prefix('"').unwrap_or(value);
    let value = value.strip_suffix('"').unwrap_or(value);
    Some((line[..end].to_lowercase(), value.to_owned()))
}

impl Settings {
    /// Collects what holds for a host.
    ///
    /// # Errors
    /// The setting that would take the connection elsewhere.
    pub fn of<'a>(blocks: impl IntoIterator<Item = &'a Block>, host: &str) -> Result<Self, String> {
        let mut found = Self::default();
        let mut seen = Vec::new();
        for block in blocks.into_iter().filter(|block| block.fits(host)) {
            for (key, value) in &block.settings {
                let key = match key.as_str() {
                    "identityfile" => {
                        found.identity_files.push(value.clone());
                        continue;
                    }
                    key => key,
                };
                if !seen.contains(&key) {
                    seen.push(key);
                    found.set(key, value)?;
                }
            }
        }
        Ok(found)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let list = || value.split_whitespace().map(str::to_owned).collect();
        match key {
            "hostname" => self.host_name = Some(value.to_owned()),
            "user" => self.user = Some(value.to_owned()),
            "hostkeyalias" => self.alias = Some(value.to_owned()),
            "identityagent" => self.agent = Some(value.to_owned()),
            "userknownhostsfile" => self.user_known_hosts = Some(list()),
            "globalknownhostsfile" => self.global_known_hosts = Some(list()),
            "identitiesonly" => self.identities_only = value.eq_ignore_ascii_case("yes"),
            "port" => {
                let port = value.parse();
                self.port = Some(port.map_err(|_| format!("`{value}` is no port"))?);
            }
            "stricthostkeychecking" => {
                self.strict = match value.to_lowercase().as_str() {
                    "no" | "off" => Strict::No,
                    "accept-new" => Strict::AcceptNew,
                    _ => Strict::Yes,
                }
            }
            "proxyjump" | "proxycommand" if !value.eq_ignore_ascii_case("none") => {
                return Err(format!("`{key} {value}` is not built in"));
            }
            // The rest is about terminals, forwarding, algorithms and comfort.
            _ => {}
        }
        Ok(())
    }
}

/// Splits a shell command into words; only quotes and backslashes mean something.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(rest.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`') => {
                return Err(format!("`{c}` needs a shell"));
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        None => Ok(words),
        Some(_) => Err("a quote is not closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(command: &str, want: Expect) {
        let shown = match Command::parse(command) {
            Ok(Command { block, config }) => {
                let settings = block.settings.iter().map(|(k, v)| format!("{k}={v}"));
                let all: Vec<_> = settings.chain(config.map(|f| format!("-F {f}"))).collect();
                all.join(" ")
            }
            Err(reason) => format!("error: {reason}"),
        };
        want.assert_eq(&shown);
    }

    #[test]
    fn commands() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("ssh",                                              expect![""]),
            ("ssh -i /k -o StrictHostKeyChecking=no",            expect!["identityfile=/k stricthostkeychecking=no"]),
            ("/usr/bin/ssh -vi'/a b' -p2222 -oUser=me -F none",  expect!["identityfile=/a b port=2222 user=me -F none"]),
            (r#"ssh -o "UserKnownHostsFile /a /b" -q -4"#,       expect!["userknownhostsfile=/a /b"]),
            ("plink -batch",                                     expect!["error: it runs `plink`, and only `ssh` is built in"]),
            ("sshpass -p x ssh",                                 expect!["error: it runs `sshpass`, and only `ssh` is built in"]),
            ("ssh -J bastion",                                   expect!["error: the option `-J` is not known"]),
            ("ssh -i /k; id",                                    expect!["error: `;` needs a shell"]),
            ("ssh -i '/k",                                       expect!["error: a quote is not closed"]),
            ("ssh host",                                         expect!["error: `host` is no option"]),
            ("",                                                 expect!["error: it runs ``, and only `ssh` is built in"]),
        ];
        for (command, want) in cases {
            check(command, want);
        }
    }

    #[test]
    fn the_first_value_wins() {
        let command = Command::parse("ssh -i /own -p 1").unwrap();
        let config = "\
            IdentityFile /general\n\
            Host git.io *.corp !bad.corp\n  HostName 10.0.0.1\n  Port 2\n  IdentityFile=\"/special\"\n\
            # Host *\n\
            Match host git.io\n  User never\n\
            Match all\n  User late\n  HostName late\n  StrictHostKeyChecking accept-new\n";
        let blocks: Vec<Block> = [command.block]
            .into_iter()
            .chain(parse_config(config))
            .collect();
        let found = Settings::of(&blocks, "git.io").unwrap();
        assert_eq!(found.port, Some(1));
        assert_eq!(found.host_name.as_deref(), Some("10.0.0.1"));
        assert_eq!(found.identity_files, ["/own", "/general", "/special"]);
        assert_eq!(found.user.as_deref(), Some("late"));
        assert_eq!(found.strict, Strict::AcceptNew);
        let other = Settings::of(&blocks, "bad.corp").unwrap();
        assert_eq!(other.host_name.as_deref(), Some("late"));
        let jump = parse_config("Host a\nProxyJump b\n");
        assert_eq!(
            Settings::of(&jump, "a"),
            Err("`proxyjump b` is not built in".to_owned())
        );
        assert_eq!(Settings::of(&jump, "c"), Ok(Settings::default()));
        let files: Vec<&str> = blocks.iter().flat_map(Block::files).collect();
        assert_eq!(files, ["/own", "/general", "/special"]);
    }
}
