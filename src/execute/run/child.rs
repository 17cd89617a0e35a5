//! The executor's side of `init`: starting it, writing its id maps, hearing how it went.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::failure::{Failure, Step, errno};
use super::idmap::IdMap;
use super::in_place;
use super::job::{self, GO, Job, Report, STOP, Status};
use super::output::Output;
use crate::interrupt::{Interrupt, Interrupted};

/// The two maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMaps {
    pub uids: IdMap,
    pub gids: IdMap,
}

/// Why a child gave no status.
#[derive(Debug)]
pub enum Ended {
    Failed(Failure),
    Interrupted(Interrupted),
    /// The container's files could not be moved.
    InPlace(in_place::Error),
    /// It could not be started, or was killed.
    Broken(io::Error),
}

/// What a child has around it.
pub struct Surroundings<'a> {
    pub executable: &'a Path,
    /// Each of them ends the child.
    pub interrupts: &'a [&'a Interrupt],
    pub output: &'a Output,
}

/// Carries out a job in a child and waits for its end, or makes it end when it is interrupted.
///
/// `prepare` is called with a process id when the child waits for the executor's part; what it is depends on the job's mode.
pub fn run(
    around: &Surroundings<'_>,
    job: &Job,
    prepare: &mut dyn FnMut(i32) -> Result<(), Ended>,
    descriptors: &[BorrowedFd<'_>],
) -> Result<Status, Ended> {
    let (socket, theirs) = UnixStream::pair().map_err(Ended::Broken)?;
    let mut holds = Vec::with_capacity(around.interrupts.len());
    for interrupt in around.interrupts {
        let stop = socket.try_clone().map_err(Ended::Broken)?;
        let hold = interrupt.hold(move |_| {
            // A child that no longer reads has ended already.
            let _ended = (&stop).write_all(&[STOP]);
        });
        holds.push(hold.map_err(Ended::Interrupted)?);
    }
    let (stdout, stderr, relays) = around.output.connect().map_err(Ended::Broken)?;
    let mut child = Command::new(around.executable)
        .arg0("executor")
        .arg("init")
        .env_clear()
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(Ended::Broken)?;
    let status = job::send(&socket, job, descriptors)
        .map_err(Ended::Broken)
        .and_then(|()| listen(&socket, prepare));
    // The end of the stream makes a child end that still waits for something.
    let _closed_already = socket.shutdown(Shutdown::Both);
    let waited = child.wait().map_err(Ended::Broken);
    drop(relays);
    drop(holds);
    for interrupt in around.interrupts {
        interrupt.check().map_err(Ended::Interrupted)?;
    }
    waited?;
    status
}

fn listen(
    socket: &UnixStream,
    prepare: &mut dyn FnMut(i32) -> Result<(), Ended>,
) -> Result<Status, Ended> {
    loop {
        let report = job::receive::<Report>(socket).map_err(Ended::Broken)?;
        match report.map(|(report, _)| report) {
            Some(Report::Ready(pid)) => {
                prepare(pid)?;
                let mut socket = socket;
                // A child that was told to stop meanwhile says so in its last message.
                let _stopped = socket.write_all(&[GO]);
            }
            Some(Report::Warning(text)) => tracing::warn!("{text}"),
            Some(Report::Finished(status)) => return Ok(status),
            Some(Report::Failed(failure)) => return Err(Ended::Failed(failure)),
            None => {
                let message = "the child that carries the command was killed";
                return Err(Ended::Broken(io::Error::other(message)));
            }
        }
    }
}

impl IdMaps {
    /// Gives the user namespace of a child its ids.
    pub fn write(&self, pid: i32) -> Result<(), Ended> {
        for (file, map) in [("uid_map", &self.uids), ("gid_map", &self.gids)] {
            let path = format!("/proc/{pid}/{file}");
            let text = map.to_string();
            // The kernel takes a map in one write only.
            fs_err::write(&path, &text).map_err(|error| {
                let errno = errno(&error);
                let lines = text.trim_end().replace('\n', ", ");
                Ended::Failed(Failure {
                    step: Step::Isolate(format!("write the {file} `{lines}`")),
                    errno,
                })
            })?;
        }
        Ok(())
    }
}
