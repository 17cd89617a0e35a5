//! What the executor and its `init` child say to each other, over the socket that is the child's standard input.
//!
//! Messages are JSON behind a length, descriptors travel beside the first byte. Nothing is passed in arguments or the
//! environment, which other processes may read.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::lent::Lent;

/// Everything the child needs to know; descriptor 0 beside it is the private root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub mode: Mode,
    /// Absent in a trial, which stops where the command would start.
    pub command: Option<Command>,
    /// What else appears in the root, in the order of mounting; in namespaces only.
    pub lent: Vec<Lent>,
    /// The child inherits that it has no huge pages, and should let the command have them.
    pub huge_pages: bool,
}

/// How the command gets to see the private root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    Namespaces {
        /// A user namespace of its own; the executor writes the maps.
        user: bool,
        /// A pid namespace of its own with a new `/proc`; otherwise the container's `/proc` is bound.
        pid: bool,
        /// A network namespace with nothing but loopback.
        isolate_network: bool,
        /// Nothing that is not shared with the executor is kept from the command.
        insecure: bool,
        hostname: String,
    },
    Chroot,
    /// A user namespace and nothing else, for the executor itself; the descriptor is its standard input.
    UserNamespace,
    /// The executor moves the private root's entries into `/` before the command starts and back after it.
    InPlace,
}

/// A command with everything looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// A path, or a name to be found in the `PATH` of `env`.
    pub program: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// A directory that exists.
    pub working_dir: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// An executable to appear under `/dev/pipes`: name and text.
    pub script: Option<(String, Vec<u8>)>,
}

/// What the child tells the executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The child waits for [`GO`], and for what the executor has to do to this process before that: write the id maps of its
    /// user namespace, or move files for the command that it will become.
    Ready(i32),
    Warning(String),
    /// The last message of a command that ran, whatever its status, or of a trial that succeeded.
    Finished(Status),
    /// The last message where the command could not even start.
    Failed(Failure),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Exited(i32),
    Killed(i32),
}

/// The executor has done its part.
pub const GO: u8 = b'g';
/// The executor wants the command to end.
pub const STOP: u8 = b's';

const MAX_DESCRIPTORS: usize = 64;

/// Sends a message, and descriptors with it.
pub fn send<T: Serialize>(
    socket: &UnixStream,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let length = (body.len() as u64).to_le_bytes();
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&length)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    let mut socket = socket;
    socket.write_all(&length[sent..])?;
    socket.write_all(&body)
}

/// Receives a message and its descriptors; `None` at the end of the stream.
pub fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; 8];
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut length)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?
    .bytes;
    if received == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let mut socket = socket;
    socket.read_exact(&mut length[received..])?;
    let mut body = Vec::new();
    socket
        .take(u64::from_le_bytes(length))
        .read_to_end(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (one, other) = UnixStream::pair().unwrap();
        let job = Job {
            mode: Mode::Chroot,
            command: Some(Command {
                program: "x".into(),
                args: vec!["x".repeat(300_000)],
                env: vec![("A".into(), "b".into())],
                working_dir: "/w".into(),
                uid: 1,
                gid: 2,
                groups: vec![3],
                script: None,
            }),
            lent: Vec::new(),
            huge_pages: true,
        };
        let sender = std::thread::spawn({
            let job = job.clone();
            move || {
                let file = tempfile::tempfile().unwrap();
                (&file).write_all(b"content").unwrap();
                rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
                send(&one, &job, &[file.as_fd()]).unwrap();
                send(&one, &Report::Ready(7), &[]).unwrap();
            }
        });
        let (received, mut descriptors) = receive::<Job>(&other).unwrap().unwrap();
        assert_eq!(received, job);
        let mut content = String::new();
        fs_err::File::from_parts(descriptors.remove(0).into(), "sent")
            .read_to_string(&mut content)
            .unwrap();
        assert_eq!(content, "content");
        let (report, descriptors) = receive::<Report>(&other).unwrap().unwrap();
        assert_eq!((report, descriptors.len()), (Report::Ready(7), 0));
        sender.join().unwrap();
        assert!(receive::<Report>(&other).unwrap().is_none());
    }
}
