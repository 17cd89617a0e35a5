//! What the container has about ssh, read once: later a command may just then see another root filesystem.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use tracing::debug;

use super::known_hosts::KnownHosts;
use super::settings::{Block, Command, Settings, parse_config};
use crate::net::Secret;

/// What the environment says about ssh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `~/.ssh`, and others like it.
    pub directories: Vec<PathBuf>,
    /// `GIT_SSH_COMMAND`
    pub command: Option<String>,
    /// `SSH_AUTH_SOCK`
    pub agent: Option<PathBuf>,
}

/// Keys, known hosts, settings, and a handle of the agent's socket.
#[derive(Debug, Clone)]
pub struct Files {
    directories: Vec<PathBuf>,
    /// An error is what of `GIT_SSH_COMMAND` cannot be done.
    blocks: Result<Vec<Block>, String>,
    texts: BTreeMap<PathBuf, Secret>,
    pub agent: Option<Arc<OwnedFd>>,
}

/// Names of private keys, most wanted first; the last is what Kubernetes calls it.
const KEYS: [&str; 4] = ["id_ed25519", "id_ecdsa", "id_rsa", "ssh-privatekey"];
const KNOWN_HOSTS: [&str; 2] = ["known_hosts", "known_hosts2"];
const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";
/// What no key or list of hosts exceeds.
const SIZE_LIMIT: u64 = 4 << 20;

impl Files {
    /// Reads whatever is there; what is missing shows when it is needed.
    pub fn load(options: &Options) -> Self {
        let mut files = Self {
            directories: options.directories.clone(),
            blocks: Ok(Vec::new()),
            texts: BTreeMap::new(),
            agent: options.agent.as_deref().and_then(hold),
        };
        files.blocks = files.read_blocks(options.command.as_deref());
        let named: Vec<String> = match &files.blocks {
            Ok(blocks) => blocks
                .iter()
                .flat_map(Block::files)
                .map(str::to_owned)
                .collect(),
            Err(_) => Vec::new(),
        };
        let named = named.iter().map(|name| files.path(name));
        let usual = files.directories.iter().flat_map(|directory| {
            let names = KEYS.iter().chain(&KNOWN_HOSTS);
            names.map(move |name| directory.join(name))
        });
        let all: Vec<PathBuf> = named
            .chain(usual)
            .chain([SYSTEM_KNOWN_HOSTS.into()])
            .collect();
        for path in all {
            files.read(path);
        }
        files
    }

    fn read_blocks(&mut self, command: Option<&str>) -> Result<Vec<Block>, String> {
        let command = command.map(Command::parse).transpose()?;
        let (mut blocks, config) = match command {
            Some(Command { block, config }) => (vec![block], config),
            None => (Vec::new(), None),
        };
        let configs: Vec<PathBuf> = match config.as_deref() {
            Some("none") => Vec::new(),
            Some(path) => vec![self.path(path)],
            None => self
                .directories
                .iter()
                .map(|dir| dir.join("config"))
                .collect(),
        };
        for path in configs {
            self.read(path.clone());
            blocks.extend(self.text(&path).map(parse_config).unwrap_or_default());
        }
        Ok(blocks)
    }

    fn read(&mut self, path: PathBuf) {
        match read(&path) {
            Ok(text) => drop(self.texts.insert(path, Secret::new(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => debug!("{error}"),
        }
    }

    /// Returns what holds for a host.
    ///
    /// # Errors
    /// What of the settings cannot be done.
    pub fn settings(&self, host: &str) -> Result<Settings, String> {
        Settings::of(self.blocks.as_ref().map_err(String::clone)?, host)
    }

    /// Returns the content of a file.
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.texts.get(path).map(Secret::reveal)
    }

    /// Returns the files that may hold a private key: those that settings name, else the usual ones.
    pub fn keys(&self, settings: &Settings) -> Vec<PathBuf> {
        let named = settings.identity_files.iter();
        let named: Vec<PathBuf> = named.map(|name| self.path(name)).collect();
        if !named.is_empty() {
            return named;
        }
        let usual = self.directories.iter();
        usual
            .flat_map(|dir| KEYS.iter().map(|name| dir.join(name)))
            .filter(|path| self.texts.contains_key(path))
            .collect()
    }

    /// Returns the files that may know hosts.
    pub fn known_hosts_files(&self, settings: &Settings) -> Vec<PathBuf> {
        let named = |names: &Vec<String>| names.iter().map(|name| self.path(name)).collect();
        let usual = || {
            let directories = self.directories.iter();
            directories.map(|dir| dir.join(KNOWN_HOSTS[0])).collect()
        };
        let mut files: Vec<PathBuf> = match &settings.user_known_hosts {
            Some(names) => named(names),
            None => usual(),
        };
        if settings.user_known_hosts.is_none() {
            files.extend(self.directories.iter().map(|dir| dir.join(KNOWN_HOSTS[1])));
        }
        files.extend(match &settings.global_known_hosts {
            Some(names) => named(names),
            None => vec![SYSTEM_KNOWN_HOSTS.into()],
        });
        files
    }

    /// Reads the lines that may know hosts.
    pub fn known_hosts(&self, settings: &Settings) -> KnownHosts {
        let mut known = KnownHosts::default();
        for path in self.known_hosts_files(settings) {
            if let Some(text) = self.text(&path) {
                known.add(&path, text);
            }
        }
        known
    }

    /// Returns the path that a setting means.
    fn path(&self, name: &str) -> PathBuf {
        let home = self.directories.first().and_then(|dir| dir.parent());
        for prefix in ["~/", "%d/", "$HOME/", "${HOME}/"] {
            if let (Some(rest), Some(home)) = (name.strip_prefix(prefix), home) {
                return home.join(rest);
            }
        }
        name.into()
    }
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = fs_err::File::open(path)?;
    if file.metadata()?.is_file() {
        file.take(SIZE_LIMIT).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn hold(socket: &Path) -> Option<Arc<OwnedFd>> {
    let opened = rustix::fs::open(socket, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    match opened {
        Ok(socket) => Some(Arc::new(socket)),
        Err(error) => {
            debug!("no SSH agent at {}: {error}", socket.display());
            None
        }
    }
}
