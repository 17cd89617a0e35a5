//! Streams to a server that stay open for a whole conversation, and git's own daemon, which is reached by one.

use std::io::{self, BufReader, Read};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::address::Place;
use super::pkt_line;
use crate::net::Net;

/// Nothing received for this long means that the connection is dead; servers that are busy say so more often.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);
/// What git's daemon listens to.
const PORT: u16 = 9418;
const BUFFER: usize = 64 << 10;

/// A program at the other end that reads requests and writes answers.
pub trait Wire: Read {
    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Returns what the program said beside its answers, now that it has ended.
    fn said(&mut self) -> Option<String>;
}

/// A conversation with git's daemon.
pub struct Daemon<'n> {
    net: &'n Net,
    stream: BufReader<Blocking<'n>>,
}

struct Blocking<'n> {
    net: &'n Net,
    stream: TcpStream,
}

/// Connects and asks for a repository, in the newest version of the protocol that the server knows.
pub fn connect<'n>(net: &'n Net, place: &Place) -> io::Result<Daemon<'n>> {
    let stream = net.block_on(net.connect(&place.host, place.port.unwrap_or(PORT)))?;
    let mut daemon = Daemon {
        net,
        stream: BufReader::with_capacity(BUFFER, Blocking { net, stream }),
    };
    let host = match place.port {
        Some(port) => format!("{}:{port}", place.host),
        None => place.host.clone(),
    };
    let mut message = Vec::new();
    let path = &place.path;
    let text = format!("git-upload-pack {path}\0host={host}\0\0version=2\0");
    pkt_line::write_bare(&mut message, &text);
    daemon.send(&message)?;
    Ok(daemon)
}

impl Wire for Daemon<'_> {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let stream = &mut self.stream.get_mut().stream;
        self.net.block_on(stream.write_all(message))
    }

    fn said(&mut self) -> Option<String> {
        None
    }
}

impl Read for Daemon<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Read for Blocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stream = &mut self.stream;
        let read = async { tokio::time::timeout(STALL_LIMIT, stream.read(buffer)).await };
        self.net.block_on(read).unwrap_or_else(|_| Err(stalled()))
    }
}

/// Returns the error of a connection on which nothing happens any more.
pub fn stalled() -> io::Error {
    let text = format!("nothing received for {} s", STALL_LIMIT.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text)
}
