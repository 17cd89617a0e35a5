//! The child that carries a RUN: this executable again, as `executor init`.
//!
//! It has a single thread, so it may leave namespaces and fork. It learns everything it needs from the socket that is its
//! standard input, and that the executor is gone from the end of that socket: then it kills the command and undoes what
//! it did by itself.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Gid, Pid, Uid, WaitOptions};
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::borrow;
use super::capabilities;
use super::chroot::Furniture;
use super::command::Setting;
use super::failure::{Context, Failure};
use super::huge_pages;
use super::in_place;
use super::job::{self, Command, GO, Job, Mode as Isolate, Report, Status};
use super::lent::Lent;
use super::namespaces::{self, Options, TARGETS};
use super::stubs::Stubs;
use super::supervise::{self, Supervisor};
use super::syscalls::{self, Fork};

/// Runs the hidden `init` subcommand; the first thing `main` does when it is asked for.
pub fn main() -> ! {
    let code = match connect() {
        Ok(socket) => serve(&socket),
        Err(error) => {
            eprintln!("executor init is not for calling by hand: {error}");
            1
        }
    };
    std::process::exit(code)
}

/// Makes the socket ours and standard input empty.
fn connect() -> io::Result<UnixStream> {
    syscalls::close_from(3);
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let socket = UnixStream::from(socket);
    socket.peer_addr()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

fn serve(socket: &UnixStream) -> i32 {
    let (job, mut descriptors) = match job::receive::<Job>(socket) {
        Ok(Some(received)) => received,
        Ok(None) | Err(_) => return 1,
    };
    if descriptors.is_empty() {
        return 1;
    }
    let root = descriptors.remove(0);
    if job.huge_pages {
        huge_pages::give_back();
    }
    let result = run(socket, root.as_fd(), &job);
    let report = match result {
        Ok(status) => Report::Finished(status),
        Err(failure) => Report::Failed(failure),
    };
    // Without an executor there is nobody to tell.
    i32::from(job::send(socket, &report, &[]).is_err())
}

fn run(socket: &UnixStream, root: BorrowedFd<'_>, job: &Job) -> Result<Status, Failure> {
    rustix::process::setsid().to("start a session")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let command = job.command.as_ref();
    match &job.mode {
        Isolate::Namespaces {
            user,
            pid,
            isolate_network,
            insecure,
            hostname,
        } => {
            let options = Options {
                user: *user,
                pid: *pid,
                isolate_network: *isolate_network,
                insecure: *insecure,
                hostname,
            };
            in_namespaces(socket, root, options, command, &job.lent)
        }
        Isolate::Chroot => in_chroot(socket, root, command),
        Isolate::UserNamespace => match command {
            Some(command) => in_user_namespace(socket, root, command),
            None => Ok(Status::Exited(0)),
        },
        Isolate::InPlace => match command {
            Some(command) => in_place(socket, command),
            None => Ok(Status::Exited(0)),
        },
    }
}

/// Keeps outside of the new root, so that mount points can be made and removed there, and lets a child go in.
fn in_namespaces(
    socket: &UnixStream,
    root: BorrowedFd<'_>,
    options: Options<'_>,
    command: Option<&Command>,
    lent: &[Lent],
) -> Result<Status, Failure> {
    if options.user {
        syscalls::unshare(UnshareFlags::NEWUSER).to("unshare a user namespace")?;
    }
    // A mount namespace takes along this directory only.
    rustix::process::fchdir(root).to("enter the private root")?;
    let lent = borrow::borrow(lent)?;
    if options.user {
        become_root(socket)?;
    }
    if options.pid {
        syscalls::unshare(UnshareFlags::NEWPID).to("unshare the pid namespace")?;
    }
    let mut stubs = Stubs::default();
    let result = (|| {
        for (path, kind) in TARGETS {
            stubs
                .ensure(root, path, kind)
                .to(&format!("create the mount point `{path}`"))?;
        }
        for lent in lent.iter().filter(|lent| !lent.is_nested) {
            let (path, kind) = (&lent.lent.target, lent.lent.kind());
            stubs
                .ensure(root, path, kind)
                .to(&format!("create the mount point `{path}`"))?;
        }
        in_child(options.pid, || {
            let nested = namespaces::enter(options, command, &lent)?;
            let Some(command) = command else {
                return Ok(Status::Exited(0));
            };
            let supervisor = match options.pid {
                true => Supervisor::first_process(socket),
                false => Supervisor::subreaper(socket)?,
            };
            let granted = match options.insecure {
                true => CapabilitySet::all(),
                false => capabilities::DEFAULT,
            };
            let keep = match options.user || options.pid {
                true => granted,
                false => granted.intersection(capabilities::BESIDE_THE_EXECUTOR),
            };
            let setting = Setting { chroot: None, keep };
            let status = supervisor.run(command, setting, &mut |_| Ok(()));
            nested.remove();
            status
        })
    })();
    stubs.remove();
    result
}

fn in_chroot(
    socket: &UnixStream,
    root: BorrowedFd<'_>,
    command: Option<&Command>,
) -> Result<Status, Failure> {
    let Some(command) = command else {
        return in_child(false, || {
            rustix::process::fchdir(root).to("enter the private root")?;
            rustix::process::chroot(".").to("chroot")?;
            Ok(Status::Exited(0))
        });
    };
    let furniture = Furniture::place(root, command)?;
    if let Some(error) = furniture.without_devices {
        let warning = format!(
            "RUN has no devices, and a file for /dev/null: {}",
            io::Error::from(error)
        );
        job::send(socket, &Report::Warning(warning), &[]).to("warn")?;
    }
    let setting = Setting {
        chroot: Some(root),
        keep: capabilities::CHROOT,
    };
    Supervisor::subreaper(socket)?.run(command, setting, &mut |_| Ok(()))
}

/// Runs the executor itself, as root of a user namespace, with the standard input that it was started with.
fn in_user_namespace(
    socket: &UnixStream,
    stdin: BorrowedFd<'_>,
    command: &Command,
) -> Result<Status, Failure> {
    syscalls::unshare(UnshareFlags::NEWUSER).to("unshare a user namespace")?;
    become_root(socket)?;
    rustix::stdio::dup2_stdin(stdin).to("pass standard input on")?;
    let setting = Setting {
        chroot: None,
        keep: CapabilitySet::all(),
    };
    let supervisor = Supervisor::subreaper(socket)?.patient();
    supervisor.run(command, setting, &mut |_| Ok(()))
}

/// Runs the command in `/`, which the executor fills with the image's files once the command's process exists.
///
/// If the executor dies meanwhile this brings the container back to what it was, as the next executor would.
fn in_place(socket: &UnixStream, command: &Command) -> Result<Status, Failure> {
    let executor = rustix::process::getppid();
    let supervisor = Supervisor::subreaper(socket)?;
    let setting = Setting {
        chroot: None,
        keep: capabilities::BESIDE_THE_EXECUTOR,
    };
    let mut furniture = None;
    let status = supervisor.run(command, setting, &mut |pid| {
        wait_for_executor(socket, pid)?;
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let root = root.to("open the root")?;
        furniture = Some(Furniture::place_script(root.as_fd(), command)?);
        Ok(())
    });
    drop(furniture);
    if supervise::is_gone(executor, socket) {
        let options = in_place::Options {
            force: true,
            keep: Vec::new(),
            hide: Vec::new(),
            on_step: |_| {},
        };
        // What this cannot do, the next executor tries again.
        if let Ok(session) =
            in_place::Session::open(in_place::WORK_DIR.as_ref(), "/".as_ref(), options)
        {
            session.close();
        }
    }
    status
}

/// Waits for the id maps and becomes root of the user namespace.
fn become_root(socket: &UnixStream) -> Result<(), Failure> {
    wait_for_executor(socket, rustix::process::getpid())?;
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).to("become root of the user namespace")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).to("become root of the user namespace")?;
    rustix::thread::set_thread_groups(&[]).to("leave the groups of the executor")
}

/// Lets the executor do its part about the process `pid`.
fn wait_for_executor(socket: &UnixStream, pid: Pid) -> Result<(), Failure> {
    let ready = Report::Ready(pid.as_raw_pid());
    job::send(socket, &ready, &[]).to("speak to the executor")?;
    let mut word = [0];
    let mut reader = socket;
    reader.read_exact(&mut word).to("hear from the executor")?;
    match word[0] {
        GO => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::ECANCELED)).to("hear from the executor"),
    }
}

/// Does `work` in a forked child and returns its result once the child, and with it its pid namespace, has ended.
fn in_child(
    first_process: bool,
    work: impl FnOnce() -> Result<Status, Failure>,
) -> Result<Status, Failure> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (result, report) = pipe.to("make a pipe")?;
    // Signals are the child's to answer; this process must outlive it.
    let _signals = syscalls::signals().to("block signals")?;
    match syscalls::fork().to("fork")? {
        Fork::Child => {
            drop(result);
            let done = work();
            // If nobody reads, nobody waits.
            let _reader_gone = serde_json::to_writer(File::from(report), &done);
            std::process::exit(0)
        }
        Fork::Parent(child) => {
            drop(report);
            receive(result, child, first_process)
        }
    }
}

fn receive(result: OwnedFd, child: Pid, first_process: bool) -> Result<Status, Failure> {
    let mut text = Vec::new();
    File::from(result)
        .read_to_end(&mut text)
        .to("wait for the child")?;
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).to("wait for the child"),
            Ok(_) => break,
        }
    }
    match serde_json::from_slice(&text) {
        Ok(done) => done,
        // The kernel or an operator killed the child, and with the first process of a pid namespace the command.
        Err(_) if first_process => Ok(Status::Killed(libc::SIGKILL)),
        Err(_) => Err(io::Error::from_raw_os_error(libc::ECHILD)).to("hear from the child"),
    }
}
