//! `--ssh`: agents that commands may ask for signatures, through a socket of their own.
//!
//! Behind the socket is an agent of the machine, or a [`Keyring`] with private keys from files. A command gets a socket with the mode and owner that its mount says. What it may ask of the agent is which keys there are
//! and a signature; it can neither add nor remove keys. The agent's own socket is held by a handle, as its path means something
//! else while a command runs in place.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::Shutdown;

use super::keyring::{FAILURE, IDENTITIES, Keyring, SIGN};
use crate::context::git::{SshKey, SshKeyError};

/// What commands may ask for.
const ALLOWED: [u8; 2] = [IDENTITIES, SIGN];

/// An agent and the id that mounts call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSource {
    pub id: String,
    /// Its socket, or files with the keys that it is to know; none for the socket of the environment.
    pub paths: Vec<PathBuf>,
}

/// The agents of a build by id.
#[derive(Debug, Default, Clone)]
pub struct Agents(BTreeMap<String, Agent>);

#[derive(Debug, Clone)]
enum Agent {
    Socket(Arc<OwnedFd>),
    Keys(Arc<Keyring>),
}

/// Why an agent cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")]
    NoSocket,
    #[error("cannot use the SSH agent's socket or key `{}`", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("`{}` is neither the socket of an SSH agent nor a private key", .path.display())]
    Neither { path: PathBuf },
    #[error("cannot use `{}` as a private key", .path.display())]
    Key { path: PathBuf, source: SshKeyError },
    #[error("--ssh {0}: a socket of an SSH agent stands alone, without other sockets or keys")]
    Mixed(String),
}

impl Error {
    /// Returns what the user can do about it, if anything.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Key {
                source: SshKeyError::Passphrase,
                ..
            } => Some(
                "load it with `ssh-add` into an agent and give that agent's socket, or take the passphrase away from a copy \
                 with `ssh-keygen -p -N ''`"
                    .into(),
            ),
            Self::Key { .. } | Self::Neither { .. } => Some(
                "keys are Ed25519, ECDSA or RSA (2048 bits or more), in OpenSSH's form or in PEM".into(),
            ),
            _ => None,
        }
    }
}

impl Agents {
    /// Takes hold of the sockets, and reads the keys.
    ///
    /// # Errors
    /// Whatever is wrong with the first of them that cannot be used.
    pub fn open(sources: &[AgentSource], environment: Option<PathBuf>) -> Result<Self, Error> {
        let mut agents = BTreeMap::new();
        for AgentSource { id, paths } in sources {
            let environment = environment.iter().filter(|_| paths.is_empty());
            let paths = paths.iter().chain(environment);
            let paths: Vec<&PathBuf> = paths.filter(|path| !path.as_os_str().is_empty()).collect();
            if paths.is_empty() {
                return Err(Error::NoSocket);
            }
            let mut keys = Keyring::default();
            let mut socket = None;
            for path in &paths {
                match open(path)? {
                    Opened::Socket(_) if paths.len() > 1 => return Err(Error::Mixed(id.clone())),
                    Opened::Socket(opened) => socket = Some(opened),
                    Opened::Key(key) => keys.add(key),
                }
            }
            let agent = match socket {
                Some(socket) => Agent::Socket(Arc::new(socket)),
                None => Agent::Keys(Arc::new(keys)),
            };
            agents.insert(id.clone(), agent);
        }
        Ok(Self(agents))
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Listens at `place` for commands that want the agent called `id`; nothing if there is no such agent.
    pub(super) fn forward(&self, id: &str, place: &Path) -> io::Result<Option<Forwarding>> {
        let Some(agent) = self.0.get(id) else {
            return Ok(None);
        };
        Forwarding::start(listen(place)?, agent.clone()).map(Some)
    }
}

enum Opened {
    Socket(OwnedFd),
    Key(SshKey),
}

/// Opens what is at a path as a socket or, if it is a file, reads the key in it.
fn open(path: &Path) -> Result<Opened, Error> {
    let failed = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let opened = opened.map_err(|errno| failed(errno.into()))?;
    let kind = fs_err::metadata(own_path(&opened))
        .map_err(failed)?
        .file_type();
    if kind.is_socket() {
        return Ok(Opened::Socket(opened));
    }
    if !kind.is_file() {
        return Err(Error::Neither {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    let file = fs_err::File::open(own_path(&opened)).map_err(failed)?;
    match file.take(MAX_KEY).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(Error::Neither {
                path: path.to_owned(),
            });
        }
        read => read.map_err(failed)?,
    };
    let key = SshKey::parse(&text).map_err(|source| Error::Key {
        path: path.to_owned(),
        source,
    })?;
    Ok(Opened::Key(key))
}

/// A socket that leads to an agent; nobody listens any more when this is dropped.
pub(super) struct Forwarding {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarding {
    fn start(listener: UnixListener, agent: Agent) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let thread = std::thread::Builder::new().name("ssh agent".into());
        let thread = thread.spawn(move || {
            serve(&listener, &stopped, &agent);
            // A process that is being started holds a copy of the socket until its program begins, which would still take connections.
            let _closed_either_way = rustix::net::shutdown(&listener, Shutdown::Both);
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ended = thread.join();
        }
    }
}

/// The name of a file of this process, whatever has become of its path; also short enough for a socket's address.
fn own_path(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn listen(place: &Path) -> io::Result<UnixListener> {
    let (parent, name) = place
        .parent()
        .zip(place.file_name())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty())?;
    UnixListener::bind(own_path(&parent).join(name))
}

fn serve(listener: &UnixListener, stopped: &UnixStream, agent: &Agent) {
    loop {
        let mut events = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if !events[1].revents().is_empty() {
            return;
        }
        let Ok((client, _)) = listener.accept() else {
            return;
        };
        let agent = agent.clone();
        // Ends with its client, a process of the command, all of which are ended with it.
        let spawned = std::thread::Builder::new().spawn(move || {
            if let Err(error) = converse(&client, &agent) {
                tracing::debug!("a connection to the SSH agent ended: {error}");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!("cannot forward the SSH agent: {error}");
        }
    }
}

/// What OpenSSH takes.
const MAX_MESSAGE: u32 = 256 << 10;
/// No key is longer.
const MAX_KEY: u64 = 1 << 20;

/// Answers requests one by one, as the protocol has one answer for each.
fn converse(mut client: &UnixStream, agent: &Agent) -> io::Result<()> {
    let mut socket = match agent {
        Agent::Socket(socket) => Some(UnixStream::connect(own_path(socket))?),
        Agent::Keys(_) => None,
    };
    while let Some(request) = read_message(&mut client)? {
        let is_allowed = request.get(4).is_some_and(|kind| ALLOWED.contains(kind));
        let answer = match (agent, &mut socket) {
            _ if !is_allowed => FAILURE.to_vec(),
            (Agent::Keys(keys), _) => keys.answer(&request[4..]),
            (Agent::Socket(_), Some(socket)) => {
                socket.write_all(&request)?;
                read_message(socket)?.ok_or(io::ErrorKind::UnexpectedEof)?
            }
            (Agent::Socket(_), None) => return Ok(()),
        };
        client.write_all(&answer)?;
    }
    Ok(())
}

/// Reads a message with its length; nothing at the end.
fn read_message(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let size = u32::from_be_bytes(length);
    if size > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = length.to_vec();
    message.resize(4 + size as usize, 0);
    from.read_exact(&mut message[4..])?;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(paths: &[PathBuf]) -> AgentSource {
        AgentSource {
            id: "default".into(),
            paths: paths.to_vec(),
        }
    }

    /// An agent that answers each request with its type and 100.
    fn agent(dir: &Path) -> PathBuf {
        let path = dir.join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                while let Some(request) = read_message(&mut client).unwrap() {
                    client.write_all(&[0, 0, 0, 2, request[4], 100]).unwrap();
                }
            }
        });
        path
    }

    #[test]
    fn only_harmless_requests_reach_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let agents = Agents::open(&[source(&[])], Some(agent(dir.path()))).unwrap();
        assert!(
            agents
                .forward("other", &dir.path().join("x"))
                .unwrap()
                .is_none()
        );
        let place = dir.path().join("place");
        let forwarding = agents.forward("default", &place).unwrap();
        let mut client = UnixStream::connect(&place).unwrap();
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(u8, &[u8]); 4] = [
            // type  answer
            (11,     &[0, 0, 0, 2, 11, 100]),
            (19,     &FAILURE), // remove all keys
            (17,     &FAILURE), // add a key
            (13,     &[0, 0, 0, 2, 13, 100]),
        ];
        for (kind, want) in cases {
            client.write_all(&[0, 0, 0, 3, kind, 1, 2]).unwrap();
            assert_eq!(read_message(&mut client).unwrap().unwrap(), want, "{kind}");
        }
        drop(client);
        drop(forwarding);
        assert!(UnixStream::connect(&place).is_err());
    }

    #[test]
    fn a_copy_of_the_socket_keeps_nothing_open() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("place");
        let listener = listen(&place).unwrap();
        // What a fork of another thread holds until its exec.
        let _copy = listener.try_clone().unwrap();
        let keys = Agent::Keys(Arc::new(Keyring::default()));
        let forwarding = Forwarding::start(listener, keys).unwrap();
        UnixStream::connect(&place).unwrap();
        drop(forwarding);
        assert!(UnixStream::connect(&place).is_err());
    }

    fn run(dir: &Path, program: &str, args: &[&str]) -> String {
        let run = std::process::Command::new(program)
            .args(args)
            .current_dir(dir)
            .env("SSH_AUTH_SOCK", dir.join("place"))
            .stdin(
                fs_err::File::open(dir.join("message"))
                    .unwrap()
                    .into_parts()
                    .0,
            )
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.success(),
            "{program} {args:?}: {text}{complaint}"
        );
        text
    }

    #[test]
    fn keys_of_files_sign() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs_err::write(dir.join("message"), "signed").unwrap();
        #[rustfmt::skip] // a table keeps its columns
        let keys: [(&str, &[&str]); 6] = [
            ("ed25519",   &["-t", "ed25519"]),
            ("rsa",       &["-t", "rsa", "-b", "2048"]),
            ("rsa_pem",   &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
            ("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
            ("ecdsa",     &["-t", "ecdsa", "-b", "256"]),
            ("ecdsa_pem", &["-t", "ecdsa", "-b", "384", "-m", "PKCS8"]),
        ];
        for (name, kind) in keys {
            let args = [&["-q", "-N", "", "-C", "", "-f", name], kind].concat();
            run(dir, "ssh-keygen", &args);
        }
        let paths: Vec<PathBuf> = keys.iter().map(|(name, _)| dir.join(name)).collect();
        let agents = Agents::open(&[source(&paths)], None).unwrap();
        let _forwarding = agents.forward("default", &dir.join("place")).unwrap();
        let public = |name: &str| fs_err::read_to_string(dir.join(format!("{name}.pub"))).unwrap();
        let wanted: String = keys.iter().map(|(name, _)| public(name)).collect();
        let trimmed = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.trim().to_owned()).collect()
        };
        assert_eq!(trimmed(&run(dir, "ssh-add", &["-L"])), trimmed(&wanted));
        for (name, _) in keys {
            fs_err::remove_file(dir.join(name)).unwrap();
            let file = format!("{name}.pub");
            let signature = run(
                dir,
                "ssh-keygen",
                &["-q", "-Y", "sign", "-n", "n", "-f", &file],
            );
            fs_err::write(dir.join("signature"), signature).unwrap();
            let args = ["-q", "-Y", "check-novalidate", "-n", "n", "-s", "signature"];
            run(dir, "ssh-keygen", &args);
        }
    }

    #[test]
    fn what_is_no_agent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id_rsa");
        fs_err::write(&file, "key").unwrap();
        let open = |paths: &[PathBuf]| Agents::open(&[source(paths)], None).unwrap_err();
        let socket = agent(dir.path());
        assert!(matches!(open(&[]), Error::NoSocket));
        assert!(matches!(
            open(std::slice::from_ref(&file)),
            Error::Key { .. }
        ));
        assert!(matches!(open(&[socket.clone(), socket]), Error::Mixed(_)));
        assert!(matches!(open(&[dir.path().into()]), Error::Neither { .. }));
        assert!(matches!(open(&["/no/such".into()]), Error::Open { .. }));
        fs_err::write(dir.path().join("message"), "").unwrap();
        let args = ["-q", "-t", "ed25519", "-N", "secret", "-f", "locked"];
        run(dir.path(), "ssh-keygen", &args);
        let error = open(&[dir.path().join("locked")]);
        assert!(error.help().unwrap().contains("ssh-keygen -p"), "{error:?}");
    }
}
