//! `--ssh`: agents that commands may ask for signatures, through a socket of their own.
//!
//! A command gets a socket with the mode and owner that its mount says. What it may ask of the agent is which keys there are
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

/// An agent and the id that mounts call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSource {
    pub id: String,
    /// Its socket; absent for that of the environment.
    pub socket: Option<PathBuf>,
}

/// The agents of a build by id.
#[derive(Debug, Default, Clone)]
pub struct Agents(BTreeMap<String, Arc<OwnedFd>>);

/// Why an agent cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")]
    NoSocket,
    #[error("cannot use the SSH agent's socket `{}`", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("`{}` is not the socket of an SSH agent", .path.display())]
    NotASocket { path: PathBuf },
}

impl Error {
    /// Returns what the user can do about it, if anything.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NotASocket { .. } => Some(
                "keys are not supported; load it with `ssh-add` into an agent and give that agent's socket".into(),
            ),
            _ => None,
        }
    }
}

impl Agents {
    /// Takes hold of the sockets.
    ///
    /// # Errors
    /// Whatever is wrong with the first of them that cannot be used.
    pub fn open(sources: &[AgentSource], environment: Option<PathBuf>) -> Result<Self, Error> {
        let mut agents = BTreeMap::new();
        for AgentSource { id, socket } in sources {
            let path = socket.as_ref().or(environment.as_ref());
            let path = path.filter(|path| !path.as_os_str().is_empty());
            let path = path.ok_or(Error::NoSocket)?.clone();
            let opened = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let opened = opened.map_err(|errno| Error::Open {
                path: path.clone(),
                source: errno.into(),
            })?;
            let kind = fs_err::metadata(own_path(&opened)).map(|found| found.file_type());
            if !kind.is_ok_and(|kind| kind.is_socket()) {
                return Err(Error::NotASocket { path });
            }
            agents.insert(id.clone(), Arc::new(opened));
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
        let listener = listen(place)?;
        let (stop, stopped) = UnixStream::pair()?;
        let agent = Arc::clone(agent);
        let thread = std::thread::Builder::new().name("ssh agent".into());
        let thread = thread.spawn(move || serve(&listener, &stopped, &agent))?;
        Ok(Some(Forwarding {
            stop: Some(stop),
            thread: Some(thread),
        }))
    }
}

/// A socket that leads to an agent; nobody listens any more when this is dropped.
pub(super) struct Forwarding {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
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

fn serve(listener: &UnixListener, stopped: &UnixStream, agent: &Arc<OwnedFd>) {
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
        let agent = Arc::clone(agent);
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

/// `SSH_AGENTC_REQUEST_IDENTITIES` and `SSH_AGENTC_SIGN_REQUEST`.
const ALLOWED: [u8; 2] = [11, 13];
/// `SSH_AGENT_FAILURE` as a whole message.
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
/// What OpenSSH takes.
const MAX_MESSAGE: u32 = 256 << 10;

/// Passes requests on one by one, as the protocol has one answer for each.
fn converse(mut client: &UnixStream, agent: &OwnedFd) -> io::Result<()> {
    let mut agent = UnixStream::connect(own_path(agent))?;
    while let Some(request) = read_message(&mut client)? {
        if request.get(4).is_some_and(|kind| ALLOWED.contains(kind)) {
            agent.write_all(&request)?;
            let answer = read_message(&mut agent)?;
            client.write_all(&answer.ok_or(io::ErrorKind::UnexpectedEof)?)?;
        } else {
            client.write_all(&FAILURE)?;
        }
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
        let source = AgentSource {
            id: "default".into(),
            socket: None,
        };
        let agents = Agents::open(&[source], Some(agent(dir.path()))).unwrap();
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
    fn what_is_no_agent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id_rsa");
        fs_err::write(&file, "key").unwrap();
        let open = |socket: Option<PathBuf>| {
            let id = "default".into();
            Agents::open(&[AgentSource { id, socket }], None).unwrap_err()
        };
        assert!(matches!(open(None), Error::NoSocket));
        assert!(matches!(open(Some(file)), Error::NotASocket { .. }));
        assert!(matches!(open(Some("/no/such".into())), Error::Open { .. }));
    }
}
