//! A terminal for a command whose output is shown above something else.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{self, OptionalActions, OutputModes};
use tracing::debug;

use super::output::{Waiting, last_line, prefixed};
use crate::log::Progress;
use crate::log::ansi::leaves_the_line;
use crate::log::progress::{Above, Tail};

/// A terminal as large as the executor's own, and what else the executor's own shows.
#[derive(Clone)]
pub struct Terminal {
    master: Arc<File>,
    /// Standard output is on the same terminal as standard error.
    has_stdout: bool,
    progress: Progress,
    tail: Tail,
}

const FLAGS: OpenptFlags = OpenptFlags::RDWR
    .union(OpenptFlags::NOCTTY)
    .union(OpenptFlags::CLOEXEC);

impl Terminal {
    /// Makes a terminal, if there is a display that a command would be in the way of, and the system has one to spare.
    pub fn open(progress: &Progress, tail: &Tail) -> Option<Self> {
        if !progress.is_shown() {
            return None;
        }
        let opened = Self::try_open(progress, tail);
        let opened = opened.inspect_err(|error| debug!("no terminal for a command: {error}"));
        opened.ok()
    }

    fn try_open(progress: &Progress, tail: &Tail) -> io::Result<Self> {
        let master = openpt(FLAGS)?;
        unlockpt(&master)?;
        let terminal = Self {
            master: Arc::new(master.into()),
            has_stdout: share_terminal(),
            progress: progress.clone(),
            tail: tail.clone(),
        };
        // not every system has this way to the other end
        terminal.peer().map(|_| terminal)
    }

    /// Returns the end that the command gets.
    fn peer(&self) -> io::Result<OwnedFd> {
        let peer = ioctl_tiocgptpeer(&*self.master, FLAGS)?;
        // the executor's own terminal does with line ends what is to be done
        let mut attributes = termios::tcgetattr(&peer)?;
        attributes.output_modes.remove(OutputModes::OPOST);
        termios::tcsetattr(&peer, OptionalActions::Now, &attributes)?;
        Ok(peer)
    }

    /// Makes the command's standard output and error.
    pub(super) fn streams(&self) -> io::Result<(Stdio, Stdio)> {
        self.follow_size();
        let stdout = match self.has_stdout {
            true => self.peer()?.into(),
            false => Stdio::inherit(),
        };
        Ok((stdout, self.peer()?.into()))
    }

    /// Shows what a command prints until the end: whole lines, below which there is room for the display; all at once and without
    /// a display from when the command moves the cursor away.
    pub(super) fn show(&self) {
        let mut waiting = Waiting::default();
        let mut lent = None;
        let mut to = Above {
            progress: self.progress.clone(),
            writer: io::stderr(),
        };
        while waiting.read(&mut &*self.master) {
            self.follow_size();
            if lent.is_none() && leaves_the_line(&String::from_utf8_lossy(&waiting.0)) {
                lent = Some(self.progress.lend());
            }
            let ready = match lent {
                Some(_) => std::mem::take(&mut waiting.0),
                None => prefixed(&waiting.take_lines(), b""),
            };
            let _closed = to.write_all(&ready);
            self.tail.show(last_line(&ready));
            self.tail.show(&waiting.0);
        }
        let _closed = to.write_all(&prefixed(&waiting.0, b""));
    }

    /// Makes it as large as the executor's own is now.
    fn follow_size(&self) {
        let own = termios::tcgetwinsize(io::stderr());
        // a command may also do without knowing
        let _unknown = own.and_then(|size| termios::tcsetwinsize(&*self.master, size));
    }
}

/// Tells whether standard output and standard error are one terminal.
fn share_terminal() -> bool {
    let device = |stream: BorrowedFd<'_>| rustix::fs::fstat(stream).map(|stat| stat.st_rdev);
    let (stdout, stderr) = (io::stdout(), io::stderr());
    stdout.is_terminal() && device(stdout.as_fd()) == device(stderr.as_fd())
}
