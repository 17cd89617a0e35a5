//! Connecting and logging in: the server proves who it is, then we do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Config, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, SshId};
use tokio::net::UnixStream;
use tracing::{debug, warn};

use super::files::Files;
use super::identity::{Key, KeyError};
use super::known_hosts::{KnownHosts, Verdict};
use super::settings::{Settings, Strict};
use super::{Error, Tried};
use crate::context::git::address::Place;
use crate::net::Net;

const PORT: u16 = 22;
/// How long proving and logging in may take.
const LIMIT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Decides whether a server is the one that is meant.
#[derive(Debug)]
pub struct Judge {
    known: KnownHosts,
    files: Vec<PathBuf>,
    /// The name under which it is known.
    host: String,
    port: u16,
    strict: Strict,
}

impl client::Handler for Judge {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Error> {
        self.check(&key.public_key()).map(|()| true)
    }
}

impl Judge {
    fn check(&self, key: &PublicKey) -> Result<(), Error> {
        let host = match self.port {
            PORT => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        let key_text = format!("{} {fingerprint}", key.algorithm());
        match self.known.judge(&self.host, self.port, key) {
            Verdict::Known => Ok(()),
            Verdict::Revoked(place) => Err(Error::RevokedHost {
                host,
                key: key_text,
                file: place.file,
                line: place.line,
            }),
            Verdict::Unknown(_) if self.strict != Strict::Yes => {
                warn!("the host key of {host} is trusted unseen: {key_text}");
                Ok(())
            }
            Verdict::Changed(_) if self.strict == Strict::No => {
                warn!("the host key of {host} is not the known one: {key_text}");
                Ok(())
            }
            Verdict::Unknown(others) => Err(Error::UnknownHost {
                host,
                key: key_text,
                others: others.iter().map(Algorithm::to_string).collect(),
                files: self.files.clone(),
            }),
            Verdict::Changed(place) => Err(Error::ChangedHost {
                host,
                key: key_text,
                file: place.file,
                line: place.line,
            }),
        }
    }
}

/// Fails if there is nothing to log in with, without asking anybody.
pub fn check(files: &Files, place: &Place) -> Result<(), Error> {
    let settings = settings(files, place)?;
    if may_ask_agent(&settings) && files.agent.is_some() {
        return Ok(());
    }
    let mut tried = Tried::default();
    let keys = files.keys(&settings);
    let usable = keys
        .iter()
        .any(|path| key(files, path, &mut tried).is_some());
    match usable {
        true => Ok(()),
        false => Err(Error::NoKey {
            host: place.host.clone(),
            tried,
        }),
    }
}

fn settings(files: &Files, place: &Place) -> Result<Settings, Error> {
    let settings = files.settings(&place.host);
    settings.map_err(|reason| Error::Settings {
        place: "GIT_SSH_COMMAND or the file `config`",
        reason,
    })
}

/// Connects and logs in; returns how messages call the server, too.
pub async fn login(
    net: &Net,
    files: &Files,
    user: Option<&str>,
    place: &Place,
) -> Result<(Handle<Judge>, String), Error> {
    let settings = settings(files, place)?;
    let host = settings.host_name.as_ref().unwrap_or(&place.host);
    let port = place.port.or(settings.port).unwrap_or(PORT);
    let shown = match port {
        PORT => host.clone(),
        port => format!("{host}:{port}"),
    };
    let judge = Judge {
        known: files.known_hosts(&settings),
        files: files.known_hosts_files(&settings),
        host: settings.alias.clone().unwrap_or_else(|| host.clone()),
        port: if settings.alias.is_some() { PORT } else { port },
        strict: settings.strict,
    };
    let stream = net.connect(host, port).await;
    let stream = stream.map_err(|source| Error::Connect {
        host: shown.clone(),
        source,
    })?;
    let config = Arc::new(config(&judge.known.algorithms(&judge.host, judge.port)));
    let talk = |error| match error {
        Error::Client(source) => Error::Talk {
            host: shown.clone(),
            source,
        },
        error => error,
    };
    let work = async {
        let session = client::connect_stream(config, stream, judge);
        let mut session = session.await.map_err(talk)?;
        let user = user.or(settings.user.as_deref()).unwrap_or("root");
        let tried = prove(&mut session, files, &settings, user);
        match tried.await.map_err(|source| talk(source.into()))? {
            None => Ok(session),
            Some(tried) => Err(Error::Denied {
                host: shown.clone(),
                user: user.to_owned(),
                tried,
            }),
        }
    };
    match tokio::time::timeout(LIMIT, work).await {
        Ok(session) => Ok((session?, shown)),
        Err(_) => Err(talk(russh::Error::ConnectionTimeout.into())),
    }
}

/// Prefers the kinds of host keys that are known.
fn config(known: &[Algorithm]) -> Config {
    let mut keys: Vec<Algorithm> = Preferred::DEFAULT.key.to_vec();
    // That is the one signed with SHA-1.
    keys.retain(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }));
    let is_rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
    let is_known = |algorithm: &Algorithm| match is_rsa(algorithm) {
        true => known.iter().any(is_rsa),
        false => known.contains(algorithm),
    };
    keys.sort_by_key(|algorithm| !is_known(algorithm));
    Config {
        client_id: SshId::Standard(concat!("SSH-2.0-executor_", env!("CARGO_PKG_VERSION")).into()),
        preferred: Preferred {
            key: keys.into(),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(KEEP_ALIVE),
        ..Config::default()
    }
}

/// Shows one key after the other; returns what became of them unless one was accepted.
async fn prove(
    session: &mut Handle<Judge>,
    files: &Files,
    settings: &Settings,
    user: &str,
) -> Result<Option<Tried>, russh::Error> {
    let mut tried = Tried::default();
    let is_named = !settings.identity_files.is_empty();
    if is_named && try_files(session, files, settings, user, &mut tried).await? {
        return Ok(None);
    }
    if may_ask_agent(settings) && try_agent(session, files, user, &mut tried).await? {
        return Ok(None);
    }
    if !is_named && try_files(session, files, settings, user, &mut tried).await? {
        return Ok(None);
    }
    Ok(Some(tried))
}

fn may_ask_agent(settings: &Settings) -> bool {
    !settings.identities_only && settings.agent.as_deref() != Some("none")
}

/// Reads a private key; one that cannot be used counts as tried.
fn key(files: &Files, path: &Path, tried: &mut Tried) -> Option<Key> {
    let fate = match files.text(path).map(Key::parse) {
        Some(Ok(key)) => return Some(key),
        Some(Err(error)) => {
            tried.needs_passphrase |= matches!(error, KeyError::Passphrase);
            error.to_string()
        }
        None => "it cannot be read".to_owned(),
    };
    tried.keys.push((format!("`{}`", path.display()), fate));
    None
}

async fn try_files(
    session: &mut Handle<Judge>,
    files: &Files,
    settings: &Settings,
    user: &str,
    tried: &mut Tried,
) -> Result<bool, russh::Error> {
    for path in files.keys(settings) {
        let Some(key) = key(files, &path, tried) else {
            continue;
        };
        let name = format!("`{}`", path.display());
        let fate = match key {
            Key::Elliptic(key) => {
                let key = PrivateKeyWithHashAlg::new(key, None);
                session.authenticate_publickey(user, key).await?
            }
            Key::Rsa(key) => {
                let hash = rsa_hash(session).await?;
                let mut signer = &key;
                let public = key.public.clone();
                let fate = session
                    .authenticate_publickey_with(user, public, hash, &mut signer)
                    .await;
                match fate {
                    Ok(fate) => fate,
                    Err(error) => {
                        tried.keys.push((name, error.to_string()));
                        continue;
                    }
                }
            }
        };
        if fate.success() {
            debug!("{name} was accepted");
            return Ok(true);
        }
        tried.keys.push((name, "refused".to_owned()));
        if session.is_closed() {
            break;
        }
    }
    Ok(false)
}

async fn try_agent(
    session: &mut Handle<Judge>,
    files: &Files,
    user: &str,
    tried: &mut Tried,
) -> Result<bool, russh::Error> {
    use std::os::fd::AsRawFd as _;
    let Some(socket) = &files.agent else {
        return Ok(false);
    };
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    let agent = match UnixStream::connect(path).await {
        Ok(stream) => Ok(AgentClient::connect(stream)),
        Err(error) => Err(error.to_string()),
    };
    let (mut agent, keys) = match agent {
        Ok(mut agent) => match agent.request_identities().await {
            Ok(keys) => (agent, keys),
            Err(error) => {
                tried.keys.push(("the agent".to_owned(), error.to_string()));
                return Ok(false);
            }
        },
        Err(error) => {
            tried.keys.push(("the agent".to_owned(), error));
            return Ok(false);
        }
    };
    for identity in keys {
        let AgentIdentity::PublicKey { key, comment } = identity else {
            continue;
        };
        let name = format!("the agent's key `{comment}`");
        let hash = match key.algorithm().is_rsa() {
            true => rsa_hash(session).await?,
            false => None,
        };
        let fate = session.authenticate_publickey_with(user, key, hash, &mut agent);
        match fate.await {
            Ok(AuthResult::Success) => {
                debug!("{name} was accepted");
                return Ok(true);
            }
            Ok(_) => tried.keys.push((name, "refused".to_owned())),
            Err(error) => tried.keys.push((name, error.to_string())),
        }
        if session.is_closed() {
            break;
        }
    }
    Ok(false)
}

/// Returns how an RSA signature is to be made; servers that do not say know the usual way.
async fn rsa_hash(session: &Handle<Judge>) -> Result<Option<HashAlg>, russh::Error> {
    let best = session.best_supported_rsa_hash().await?;
    Ok(best.flatten().or(Some(HashAlg::Sha512)))
}
