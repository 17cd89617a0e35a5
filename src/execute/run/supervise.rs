//! Being the parent of a command: passing on the end, reaping orphans, leaving nothing behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::command::{Setting, become_command};
use super::failure::{Context, Failure};
use super::job::{Command, GO, STOP, Status};
use super::syscalls::{self, Fork};

/// A process whose descendants come to it when they are orphaned.
pub struct Supervisor<'a> {
    /// Brings [`STOP`]; its end means that the executor is gone.
    socket: &'a UnixStream,
    /// The `/proc` in which this process finds its descendants; none where the end of this process ends them all.
    proc: Option<OwnedFd>,
    /// What a command gets between SIGTERM and SIGKILL; for ever, if nothing.
    grace: Option<Duration>,
}

const GRACE: Option<Duration> = Some(Duration::from_secs(2));

impl<'a> Supervisor<'a> {
    /// Makes one of the first process of a pid namespace.
    pub fn first_process(socket: &'a UnixStream) -> Self {
        Self {
            socket,
            proc: None,
            grace: GRACE,
        }
    }

    /// Makes one of an ordinary process.
    pub fn subreaper(socket: &'a UnixStream) -> Result<Self, Failure> {
        let this = Some(rustix::process::getpid());
        rustix::process::set_child_subreaper(this).to("become a subreaper")?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty());
        Ok(Self {
            socket,
            proc: Some(proc.to("open /proc")?),
            grace: GRACE,
        })
    }

    /// Lets the command end in its own time when it is told to.
    pub fn patient(self) -> Self {
        Self {
            grace: None,
            ..self
        }
    }

    /// Runs the command to its end, and the end of everything it started. `prepare` is called when the process that is to
    /// become the command exists.
    pub fn run(
        &self,
        command: &Command,
        setting: Setting<'_>,
        prepare: &mut dyn FnMut(Pid) -> Result<(), Failure>,
    ) -> Result<Status, Failure> {
        let mut signals = syscalls::signals().to("receive signals")?;
        let (report, failure) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).to("make a pipe")?;
        let (gate, open) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).to("make a pipe")?;
        let child = match syscalls::fork().to("fork")? {
            Fork::Parent(child) => child,
            Fork::Child => {
                drop(open);
                let Err(error) = wait_at(gate).and_then(|()| become_command(command, setting));
                // The parent sees the exit status if this cannot be written.
                let _reader_gone = serde_json::to_writer(File::from(failure), &error);
                std::process::exit(127);
            }
        };
        drop((failure, gate));
        let prepared = prepare(child);
        if prepared.is_ok() {
            // Without a reader the child was killed, which its status says.
            let _child_is_gone = File::from(open).write_all(&[GO]);
        } else {
            drop(open);
        }
        let mut text = Vec::new();
        File::from(report)
            .read_to_end(&mut text)
            .to("wait for the exec")?;
        let failed = serde_json::from_slice(&text).ok();
        let status = self.wait(child, &mut signals);
        self.end_descendants();
        prepared?;
        match failed {
            Some(failure) => Err(failure),
            None => status,
        }
    }

    fn wait(&self, child: Pid, signals: &mut File) -> Result<Status, Failure> {
        let mut kill_at: Option<Instant> = None;
        let mut listening = true;
        loop {
            if let Some(status) = reap(child).to("wait for the command")? {
                return Ok(status);
            }
            let left = kill_at.map(|kill_at| kill_at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                kill_session(child, Signal::KILL);
                kill_at = None;
            }
            let timeout = left.filter(|left| !left.is_zero());
            let timeout = timeout.map(|left| Timespec {
                tv_sec: left.as_secs() as _,
                tv_nsec: left.subsec_nanos() as _,
            });
            let mut events = vec![PollFd::new(signals, PollFlags::IN)];
            if listening {
                events.push(PollFd::new(self.socket, PollFlags::IN));
            }
            match poll(&mut events, timeout.as_ref()) {
                Err(Errno::INTR) | Ok(_) => {}
                Err(error) => return Err(error).to("wait for events"),
            }
            let spoke = events
                .get(1)
                .is_some_and(|event| !event.revents().is_empty());
            let mut stop = asked_to_stop(signals);
            if spoke {
                let mut word = [0];
                let mut socket = self.socket;
                match socket.read(&mut word) {
                    Ok(1) if word[0] == STOP => stop = true,
                    Ok(1) => {}
                    _ => {
                        listening = false;
                        kill_session(child, Signal::KILL);
                    }
                }
            }
            if stop {
                kill_session(child, Signal::TERM);
                kill_at = kill_at.or(self.grace.map(|grace| Instant::now() + grace));
            }
        }
    }

    /// Kills what the command left behind, also what left its session.
    fn end_descendants(&self) {
        let Some(proc) = &self.proc else { return };
        loop {
            let descendants = descendants(proc, rustix::process::getpid());
            for signal in [Signal::STOP, Signal::KILL] {
                for pid in &descendants {
                    // Gone already.
                    let _ended = rustix::process::kill_process(*pid, signal);
                }
            }
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Tells whether a parent has died, with the socket to it.
///
/// The socket of a dying process ends first, and its children are given to another parent a moment later, which is waited for.
pub fn is_gone(parent: Option<Pid>, socket: &UnixStream) -> bool {
    const ATTEMPTS: usize = 5000; // a millisecond each; a parent that only closed its end is there all that time
    let has_parent = || rustix::process::getppid() == parent;
    let mut events = [PollFd::new(socket, PollFlags::empty())];
    let has_ended = poll(&mut events, Some(&Timespec::default())).is_ok()
        && events[0].revents().contains(PollFlags::HUP);
    for _ in 0..ATTEMPTS {
        if !has_ended || !has_parent() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    !has_parent()
}

/// Starts a session and waits for the word to go on; without it this process ends.
fn wait_at(gate: OwnedFd) -> Result<(), Failure> {
    rustix::process::setsid().to("start a session")?;
    let mut word = [0];
    File::from(gate)
        .read_exact(&mut word)
        .to("wait for the executor")
}

/// Reaps everything that has ended; returns the command's status once it is among them.
fn reap(command: Pid) -> rustix::io::Result<Option<Status>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => return Ok(Some(into_status(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

pub fn into_status(status: WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, Some(signal)) => Status::Killed(signal),
        (None, None) => Status::Killed(libc::SIGKILL),
    }
}

/// Reads what has arrived; true if one of the signals asks us to end.
fn asked_to_stop(signals: &mut File) -> bool {
    let mut asked = false;
    let mut record = [0; size_of::<libc::signalfd_siginfo>()];
    while let Ok(read) = signals.read(&mut record) {
        if read != record.len() {
            break;
        }
        let number = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
        asked |= number != libc::SIGCHLD as u32;
    }
    asked
}

fn kill_session(leader: Pid, signal: Signal) {
    // It may have ended between two looks.
    let _ended = rustix::process::kill_process_group(leader, signal);
}

/// Finds everything that descends from `ancestor`.
fn descendants(proc: &OwnedFd, ancestor: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let Ok(directory) = Dir::read_from(proc) else {
        return Vec::new();
    };
    for entry in directory.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = parent(proc, pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut ahead = vec![ancestor.as_raw_pid()];
    while let Some(pid) = ahead.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(below.iter().copied().filter_map(Pid::from_raw));
        ahead.extend(below);
    }
    found
}

fn parent(proc: &OwnedFd, pid: i32) -> Option<i32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let stat = rustix::fs::openat(proc.as_fd(), format!("{pid}/stat"), flags, Mode::empty());
    let mut text = Vec::new();
    File::from(stat.ok()?).read_to_end(&mut text).ok()?;
    // `pid (name) state ppid …`, where the name may hold anything.
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    let text = String::from_utf8_lossy(&text[after_name..]).into_owned();
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}
