//! From a forked child to the command: what happens between fork and exec.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::CapabilitySet;

use super::capabilities;
use super::failure::{Context, Failure, Step};
use super::job::Command;
use super::syscalls;
use crate::image::config::DEFAULT_PATH;

/// Where and with what rights a command starts.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// A root to change to first; otherwise this process is in the right one.
    pub chroot: Option<BorrowedFd<'a>>,
    pub keep: CapabilitySet,
}

/// Becomes the command; returns only if it cannot be started.
pub fn become_command(command: &Command, setting: Setting<'_>) -> Result<Infallible, Failure> {
    give_output_to(command.uid);
    if let Some(root) = setting.chroot {
        rustix::process::fchdir(root).to("enter the private root")?;
        rustix::process::chroot(".").to("chroot")?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir(&command.working_dir)
        .at(Step::WorkingDirectory(command.working_dir.clone()))?;
    capabilities::reduce(setting.keep).to("reduce capabilities")?;
    become_user(command).at(Step::User(command.uid))?;
    syscalls::reset_signals();
    execute(command)
}

/// Lets a user other than root open `/dev/stderr`: that opens the pipe anew and needs permission.
fn give_output_to(uid: u32) {
    if uid == 0 {
        return;
    }
    for fd in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let pipe = rustix::fs::fstat(fd)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if pipe {
            // Without the right to do so the command can still write to what it inherits.
            let _still_writable = rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None);
        }
    }
}

fn become_user(command: &Command) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(command.uid), Gid::from_raw(command.gid));
    let groups: Vec<_> = command.groups.iter().copied().map(Gid::from_raw).collect();
    let unchanged = rustix::process::getuid() == uid && rustix::process::getgid() == gid;
    match rustix::thread::set_thread_groups(&groups) {
        // A container without CAP_SETGID cannot change groups, and need not, as long as the user stays the same.
        Err(Errno::PERM) if unchanged => {}
        result => result?,
    }
    if !unchanged {
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    Ok(())
}

fn execute(command: &Command) -> Result<Infallible, Failure> {
    let program = command.program.as_str();
    let path = command.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(DEFAULT_PATH, |(_, value)| value);
    let c_strings = |strings: Vec<String>| -> Result<Vec<CString>, Failure> {
        let strings = strings.into_iter().map(CString::new);
        let strings: Result<_, _> = strings.collect();
        strings
            .map_err(io::Error::from)
            .at(Step::Execute(program.to_owned()))
    };
    let args = c_strings(command.args.clone())?;
    let pairs = command.env.iter();
    let env = c_strings(
        pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
    )?;
    let mut denied = None;
    for candidate in candidates(program, path) {
        let c_candidate = c_strings(vec![candidate.clone()])?.remove(0);
        let Err(error) = syscalls::execve(&c_candidate, &args, &env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if !exists(&candidate) => {}
            Some(libc::EACCES) => denied = Some(error),
            _ => return Err(Failure::at(Step::Execute(candidate))(error)),
        }
    }
    match denied {
        Some(error) => Err(Failure::at(Step::Execute(program.to_owned()))(error)),
        None => Err(Failure {
            step: Step::Find(program.to_owned()),
            errno: libc::ENOENT,
        }),
    }
}

/// The files a program's name may stand for, as `execvp` would try them.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let directory = |directory: &str| match directory {
        "" => format!("./{program}"),
        directory => format!("{directory}/{program}"),
    };
    path.split(':').map(directory).collect()
}

fn exists(path: &str) -> bool {
    let path = Path::new(path).as_os_str().as_bytes();
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statat(rustix::fs::CWD.as_fd(), path, flags).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_searched_like_execvp() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&str, &str, &[&str]); 5] = [
            // program  PATH        candidates
            ("sh",      "/bin:/b",  &["/bin/sh", "/b/sh"]),
            ("sh",      "/bin:",    &["/bin/sh", "./sh"]),
            ("/bin/sh", "/b",       &["/bin/sh"]),
            ("./sh",    "/b",       &["./sh"]),
            ("",        "/bin",     &[]),
        ];
        for (program, path, want) in cases {
            assert_eq!(candidates(program, path), want, "{program} in {path}");
        }
    }
}
