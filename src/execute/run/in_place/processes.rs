//! Finding and ending what a command left running.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session's leader. Process ids are used again, so the time at which it started belongs to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leader {
    pub(super) pid: i32,
    /// In clock ticks since boot.
    pub(super) start: u64,
}

impl Leader {
    /// Looks up a process that is alive, or dead and not yet reaped.
    pub(super) fn find(pid: i32) -> io::Result<Self> {
        let text = fs_err::read(format!("/proc/{pid}/stat"))?;
        let process = Process::parse(&text);
        let process = process.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self {
            pid,
            start: process.start,
        })
    }
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    start: u64,
    dead: bool,
}

impl Process {
    /// Parses the line (proc_pid_stat(5)); the name in parentheses may contain anything.
    fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|b| *b == b'(')?;
        let close = text.iter().rposition(|b| *b == b')')?;
        let pid = std::str::from_utf8(&text[..open]).ok()?.trim();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            dead: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

/// Kills a session and the descendants of its members, and waits until they are dead.
///
/// Processes are stopped before they are killed, so that none starts another unseen.
pub(super) fn kill_session(leader: Leader) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut stopped = BTreeSet::new();
    loop {
        let victims = victims(&read_all()?, leader);
        if victims.is_empty() {
            return Ok(());
        }
        let mut new = victims.clone();
        new.retain(|pid| stopped.insert(pid.as_raw_nonzero()));
        let signal = if new.is_empty() {
            Signal::KILL
        } else {
            Signal::STOP
        };
        for pid in if new.is_empty() { victims } else { new } {
            match kill_process(pid, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if signal == Signal::KILL {
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn read_all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs_err::read_dir("/proc")? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.as_encoded_bytes());
        if !name.is_some_and(|name| name.iter().all(u8::is_ascii_digit)) {
            continue;
        }
        // A process may end between being listed and being read.
        if let Ok(text) = fs_err::read(path.join("stat")) {
            processes.extend(Process::parse(&text));
        }
    }
    Ok(processes)
}

/// Returns the living processes of a session and their descendants, this process and its own ancestors left out.
fn victims(processes: &[Process], leader: Leader) -> Vec<Pid> {
    let reused = processes
        .iter()
        .any(|process| process.pid == leader.pid && process.start != leader.start);
    if reused {
        return Vec::new();
    }
    let mut found: BTreeSet<i32> = BTreeSet::new();
    loop {
        let before = found.len();
        for process in processes {
            if process.session == leader.pid
                || process.pid == leader.pid
                || found.contains(&process.parent)
            {
                found.insert(process.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    let parent = |pid: i32| processes.iter().find(|p| p.pid == pid).map(|p| p.parent);
    let mut own = i32::try_from(std::process::id()).ok();
    while let Some(pid) = own {
        found.remove(&pid);
        own = parent(pid).filter(|parent| *parent != pid);
    }
    processes
        .iter()
        .filter(|process| found.contains(&process.pid) && !process.dead)
        .filter_map(|process| Pid::from_raw(process.pid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32, start: u64) -> Process {
        Process {
            pid,
            parent,
            session,
            start,
            dead: false,
        }
    }

    #[test]
    fn a_name_may_contain_anything() {
        let line = b"42 (a) R (b) S 7 42 40 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 9876 1 2 3\n";
        let want = Process {
            session: 40,
            ..process(42, 7, 40, 9876)
        };
        assert_eq!(Process::parse(line), Some(want));
        assert_eq!(Process::parse(b"42 x"), None);
    }

    #[test]
    fn a_session_and_its_descendants() {
        let processes = [
            process(1, 0, 1, 1),
            process(5, 1, 5, 10),
            process(6, 5, 5, 11),
            process(7, 6, 7, 12),
            process(8, 1, 8, 13),
        ];
        let check = |pid, start| {
            let victims = victims(&processes, Leader { pid, start });
            victims
                .iter()
                .map(|p| p.as_raw_nonzero().get())
                .collect::<Vec<_>>()
        };
        assert_eq!(check(5, 10), [5, 6, 7]);
        assert_eq!(check(5, 9), [0; 0], "the id was used again");
        assert_eq!(check(99, 9), [0; 0]);
    }

    #[test]
    fn this_process_is_never_among_them() {
        let own = i32::try_from(std::process::id()).unwrap();
        let processes = [process(5, 1, 5, 10), process(own, 5, 5, 11)];
        let victims = victims(&processes, Leader { pid: 5, start: 10 });
        assert_eq!(victims, []);
    }
}
