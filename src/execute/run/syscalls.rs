//! The system calls that Rust calls unsafe, all of them made by `init`, which has a single thread.

#![expect(
    unsafe_code,
    reason = "fork, execve, unshare and signalfd have no safe wrapper"
)]

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a fork returns.
pub enum Fork {
    Parent(Pid),
    Child,
}

/// Forks this process.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: `init` has one thread, so the child finds no lock held by a thread that does not exist in it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent)),
    }
}

/// Replaces this process; returns only if that fails.
pub fn execve(program: &CString, args: &[CString], env: &[CString]) -> io::Result<Infallible> {
    let pointers = |strings: &[CString]| {
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with a null pointer and their strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    Err(io::Error::last_os_error())
}

/// Leaves the given namespaces; `FILES` is never among the flags.
pub fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: only `FILES` is unsafe, for it makes descriptors of one thread invalid in another.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Ends the life of every descriptor from `first` on; nothing in this process may own one.
pub fn close_from(first: u32) {
    // SAFETY: called first thing in `init`, before any descriptor but the standard ones has an owner. Kernels before 5.9
    // answer ENOSYS and the descriptors stay open, which `init` then has in common with every program of its age.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

const BLOCKED: [libc::c_int; 5] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
];

/// Blocks the signals that `init` answers and returns a non-blocking descriptor they can be read from.
pub fn signals() -> io::Result<File> {
    // SAFETY: `set` is initialised by `sigemptyset`, and the new descriptor has no other owner.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in BLOCKED {
            libc::sigaddset(&raw mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(File::from_raw_fd(fd)),
        }
    }
}

/// Gives a command the signal state a program expects: nothing blocked, nothing ignored.
pub fn reset_signals() {
    // SAFETY: `set` is initialised by `sigemptyset`; SIG_DFL installs no code of ours.
    unsafe {
        for signal in 1..=64 {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up(socket: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data, zero is a valid value of it, and both calls are given one of that size.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        if libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS as _,
            &raw mut request,
        ) != 0
        {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        if libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw mut request,
        ) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
