//! What another process has open to the network, as the kernel tells it.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Longer than any server takes to start or to end a connection, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(300);

/// Waits until a server that chose its port itself listens, and returns the port.
///
/// A port that is chosen for it may be another test's by the time it listens.
pub fn wait_for_port(server: &mut Child) -> u16 {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(port) = listening(server.id()) {
            return port;
        }
        if let Some(status) = server.try_wait().unwrap() {
            panic!("the server ended with {status}");
        }
        assert!(Instant::now() < deadline, "the server does not listen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a server has no connection any more: all that it was asked is answered then, and written down.
pub fn wait_for_silence(server: &Child) {
    let deadline = Instant::now() + LIMIT;
    while inodes(server.id()).len() > 1 {
        assert!(Instant::now() < deadline, "somebody keeps a connection");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the port of the only TCP socket on which a process listens.
fn listening(process: u32) -> Option<u16> {
    const LISTEN: &str = "0A";
    let own = inodes(process);
    let table = fs_err::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_own = fields[3] == LISTEN && own.iter().any(|inode| inode == fields[9]);
        let port = fields[1].rsplit_once(':').unwrap().1;
        is_own.then(|| u16::from_str_radix(port, 16).unwrap())
    })
}

/// Returns the numbers of a process's sockets; of one that has ended there are none.
fn inodes(process: u32) -> Vec<String> {
    let handles = Path::new("/proc").join(process.to_string()).join("fd");
    let Ok(entries) = fs_err::read_dir(handles) else {
        return Vec::new();
    };
    let links = entries.filter_map(|entry| fs_err::read_link(entry.ok()?.path()).ok());
    let inode = |link: std::path::PathBuf| {
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(inode.to_owned())
    };
    links.filter_map(inode).collect()
}
