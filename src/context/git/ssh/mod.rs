//! Repositories behind ssh: the server's key is checked, a key of ours is shown, and git's program is started there.
//!
//! No program of the container is needed. Keys and known hosts are those that `ssh` would use.

mod files;
mod identity;
mod known_hosts;
mod login;
mod scalar;
mod settings;

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Instant;

use bytes::{Buf, Bytes};
use russh::client::{self, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::address::Place;
use super::talk::{PATIENCE, endless};
use super::wire::{STALL_LIMIT, Wire, stalled};
use crate::net::Net;
use login::Judge;

pub use files::{Files, Options};
pub use identity::{Key, KeyError};
pub use login::check;

/// Remarks of a server's program that are kept.
const SAID_LIMIT: usize = 8 << 10;

/// Why a server cannot be used by ssh.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use ssh as {place} says: {reason}")]
    Settings { place: &'static str, reason: String },
    #[error("cannot reach {host} by ssh")]
    Connect { host: String, source: io::Error },
    #[error("cannot talk to {host} by ssh")]
    Talk { host: String, source: russh::Error },
    #[error("the host key of {host} is not known: {key}")]
    UnknownHost {
        host: String,
        key: String,
        /// Other kinds of keys that are known of it.
        others: Vec<String>,
        files: Vec<PathBuf>,
    },
    #[error("the host key of {host} is another one than line {line} of `{}` says: {key}", .file.display())]
    ChangedHost {
        host: String,
        key: String,
        file: PathBuf,
        line: usize,
    },
    #[error("the host key of {host} is revoked by line {line} of `{}`: {key}", .file.display())]
    RevokedHost {
        host: String,
        key: String,
        file: PathBuf,
        line: usize,
    },
    #[error("{host} lets nobody in as `{user}`: {tried}")]
    Denied {
        host: String,
        user: String,
        tried: Tried,
    },
    #[error("cannot log in to {host}: {tried}")]
    NoKey { host: String, tried: Tried },
    #[error("{host} does not start git")]
    NoProgram { host: String },
    #[error(transparent)]
    Client(#[from] russh::Error),
}

/// The keys that were shown, and what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    pub keys: Vec<(String, String)>,
    /// One of them is encrypted.
    pub needs_passphrase: bool,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keys.is_empty() {
            return f.write_str("there is no key to show");
        }
        for (number, (key, fate)) in self.keys.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{key} ({fate})")?;
        }
        Ok(())
    }
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownHost {
                host,
                others,
                files,
                ..
            } => {
                let file = files.first();
                let file = file.map_or("a file".into(), |path| format!("`{}`", path.display()));
                let known = match &others[..] {
                    [] => String::new(),
                    others => format!("known is only a key of another kind ({}); ", others.join(", ")),
                };
                Some(format!(
                    "{known}compare it with what {host} publishes, put the line that `ssh-keyscan` prints into {file}; \
                     GIT_SSH_COMMAND=\"ssh -o StrictHostKeyChecking=accept-new\" trusts it unseen"
                ))
            }
            Self::ChangedHost { .. } => Some(
                "either the server has a new key, and the line is to be replaced, or this is not the server".into(),
            ),
            Self::Denied { tried, .. } | Self::NoKey { tried, .. } if tried.needs_passphrase => Some(
                "nobody can be asked for a passphrase: make a copy of the key without one by `ssh-keygen -p -N '' -f COPY`, or load it into an \
                 agent and give that by SSH_AUTH_SOCK"
                    .into(),
            ),
            Self::Denied { .. } | Self::NoKey { .. } => Some(
                "mount a private key without passphrase as id_ed25519, id_ecdsa or id_rsa into /root/.ssh, name one by \
                 GIT_SSH_COMMAND=\"ssh -i FILE\", or give an agent by SSH_AUTH_SOCK"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// A program on the server, git's.
pub struct Channel<'n> {
    net: &'n Net,
    /// The connection lasts as long as this.
    _session: client::Handle<Judge>,
    input: ChannelWriteHalf<Msg>,
    output: ChannelReadHalf,
    piece: Bytes,
    has_ended: bool,
    said: Vec<u8>,
}

/// Logs in and starts git's program for a repository.
pub fn connect<'n>(
    net: &'n Net,
    files: &Files,
    user: Option<&str>,
    place: &Place,
) -> Result<Channel<'n>, Error> {
    net.block_on(async {
        let (session, host) = login::login(net, files, user, place).await?;
        let talk = |source| Error::Talk {
            host: host.clone(),
            source,
        };
        let channel = session.channel_open_session().await.map_err(talk)?;
        let (mut output, input) = channel.split();
        // Many servers do not let this through; they then speak the old version.
        input
            .set_env(false, "GIT_PROTOCOL", "version=2")
            .await
            .map_err(talk)?;
        let program = format!("git-upload-pack {}", quoted(&place.path));
        input.exec(true, program).await.map_err(talk)?;
        let is_started = async {
            loop {
                match output.wait().await {
                    Some(ChannelMsg::Success) => return true,
                    Some(ChannelMsg::Failure | ChannelMsg::Close) | None => return false,
                    Some(_) => {}
                }
            }
        };
        match tokio::time::timeout(STALL_LIMIT, is_started).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::NoProgram { host }),
            Err(_) => {
                let source = stalled();
                return Err(Error::Connect { host, source });
            }
        }
        Ok(Channel {
            net,
            _session: session,
            input,
            output,
            piece: Bytes::new(),
            has_ended: false,
            said: Vec::new(),
        })
    })
}

/// Quotes a word for the server's shell, as git does.
fn quoted(word: &str) -> String {
    let word = word.replace('\'', r"'\''").replace('!', r"'\!'");
    format!("'{word}'")
}

impl Channel<'_> {
    /// Waits for the next piece of the program's answer; nothing at its end.
    fn fill(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        while self.piece.is_empty() && !self.has_ended {
            if begin.elapsed() > PATIENCE {
                return Err(endless(format!("{} s", PATIENCE.as_secs())));
            }
            let output = &mut self.output;
            let message = async { tokio::time::timeout(STALL_LIMIT, output.wait()).await };
            match self.net.block_on(message).map_err(|_| stalled())? {
                Some(ChannelMsg::Data { data }) => self.piece = data,
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    let room = SAID_LIMIT.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&data[..data.len().min(room)]);
                }
                Some(ChannelMsg::Close) | None => self.has_ended = true,
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Read for Channel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Wire for Channel<'_> {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let message = Bytes::copy_from_slice(message);
        let sent = self.net.block_on(self.input.data_bytes(message));
        sent.map_err(io::Error::other)
    }

    fn said(&mut self) -> Option<String> {
        let begin = Instant::now();
        while !self.has_ended && begin.elapsed() < STALL_LIMIT {
            self.piece.clear();
            if self.fill().is_err() {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.said).trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_the_servers_shell() {
        assert_eq!(quoted("/a b"), "'/a b'");
        assert_eq!(quoted("it's!"), r"'it'\''s'\!''");
    }
}
