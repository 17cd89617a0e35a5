//! The root a RUN sees in namespaces of its own.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use super::borrow::{Borrowed, Nested};
use super::failure::{Context, Failure, Step};
use super::job::Command;
use super::stubs::Kind;
use super::syscalls;

/// Where something is mounted in the private root, in the order of mounting.
pub const TARGETS: [(&str, Kind); 5] = [
    ("/proc", Kind::Directory),
    ("/sys", Kind::Directory),
    ("/dev", Kind::Directory),
    ("/etc/resolv.conf", Kind::File),
    ("/etc/hosts", Kind::File),
];

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// What a container runtime hides of a `/proc` and `/sys` that no user namespace protects.
const MASKED_FILES: [&str; 5] = [
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/sched_debug",
];
const MASKED_DIRECTORIES: [&str; 5] = [
    "proc/acpi",
    "proc/asound",
    "proc/scsi",
    "sys/firmware",
    "sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

/// The kinds of namespace and what is in them.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// This process has a user namespace of its own.
    pub user: bool,
    /// This process is the first of its pid namespace.
    pub pid: bool,
    pub isolate_network: bool,
    /// The command may open devices and write to `/sys`, and nothing of `/proc` is hidden from it (`RUN --security=insecure`).
    pub insecure: bool,
    pub hostname: &'a str,
}

/// Makes the current directory the root of this process, with `/proc`, `/sys`, `/dev`, the resolver's files and what is lent in it.
///
/// Returns what was created in mounts to hold others.
pub fn enter(
    options: Options<'_>,
    command: Option<&Command>,
    lent: &[Borrowed<'_>],
) -> Result<Nested, Failure> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if options.isolate_network {
        flags |= UnshareFlags::NEWNET;
    }
    syscalls::unshare(flags).to("unshare the mount, ipc and uts namespaces")?;
    stop_propagation()?;
    if options.isolate_network {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").to("open a socket")?;
        syscalls::loopback_up(&socket).to("bring the loopback interface up")?;
    }
    rustix::system::sethostname(options.hostname.as_bytes()).to("set the host name")?;

    let tree = clone_tree(CWD, ".")?;
    attach(&tree, CWD, ".")?;
    let top = Root { tree };
    if !options.insecure {
        top.close_devices()?;
    }
    top.mount_proc(options)?;
    top.mount_sys(options)?;
    top.mount_dev(command, options)?;
    if !options.user && !options.insecure {
        top.mask(options.pid)?;
    }
    let mut nested = Nested::default();
    for lent in lent {
        let place = |path: &str| top.open(path);
        lent.mount(top.tree.as_fd(), &place, &mut nested)?;
    }
    rustix::process::fchdir(&top.tree).to("enter the private root")?;
    rustix::process::pivot_root(".", ".").to("pivot_root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).to("unmount the old root")?;
    rustix::process::chdir("/").to("enter the new root")?;
    Ok(nested)
}

pub(super) fn stop_propagation() -> Result<(), Failure> {
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", slave).to("stop mounts from propagating")
}

/// The private root as a mount of its own.
struct Root {
    tree: OwnedFd,
}

impl Root {
    /// Opens a path below the root, symlinks of the image resolved inside of it.
    fn open(&self, path: &str) -> Result<OwnedFd, Failure> {
        let open = || {
            rustix::fs::openat2(
                &self.tree,
                path,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            )
        };
        loop {
            match open() {
                // a rename elsewhere in the system happened during the look-up
                Err(Errno::AGAIN) => {}
                opened => return opened.to(&format!("open `{path}` in the private root")),
            }
        }
    }

    /// Lets no device node that an image brings or a command makes be opened: as root of a machine it would lead to the machine's
    /// disks. `/dev` has the nodes that commands may use.
    fn close_devices(&self) -> Result<(), Failure> {
        let what = "close device nodes in the private root";
        rustix::process::fchdir(&self.tree).to(what)?;
        let there = rustix::fs::statvfs(".").to(what)?.f_flag;
        let mut flags = MountFlags::BIND | MountFlags::NODEV;
        // What the mount has from its file system cannot be taken from it in a user namespace.
        for (has, keep) in [
            (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        ] {
            if there.contains(has) {
                flags |= keep;
            }
        }
        rustix::mount::mount_remount(".", flags, "").to(what)
    }

    fn mount_proc(&self, options: Options<'_>) -> Result<(), Failure> {
        let proc = if options.pid {
            new_filesystem("proc", &[], NO_EXEC).map_err(|failure| Failure {
                step: Step::NewProc,
                ..failure
            })?
        } else {
            clone_tree(CWD, "/proc")?
        };
        let target = self.open("/proc")?;
        let attached = attach(&proc, target.as_fd(), "");
        if options.pid {
            // A proc with more of it visible than in the container's own is refused here or there, depending on the kernel.
            return attached.map_err(|failure| Failure {
                step: Step::NewProc,
                ..failure
            });
        }
        attached
    }

    fn mount_sys(&self, options: Options<'_>) -> Result<(), Failure> {
        let attributes = match options.insecure {
            true => NO_EXEC,
            false => NO_EXEC | MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        let sys = match new_filesystem("sysfs", &[], attributes) {
            Ok(sys) => sys,
            Err(_) => clone_tree(CWD, "/sys")?,
        };
        attach(&sys, self.open("/sys")?.as_fd(), "")
    }

    fn mount_dev(&self, command: Option<&Command>, options: Options<'_>) -> Result<(), Failure> {
        let dev = new_filesystem(
            "tmpfs",
            &[("mode", "755"), ("size", "65536k")],
            MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_STRICTATIME,
        )?;
        attach(&dev, self.open("/dev")?.as_fd(), "")?;
        let all = options.insecure.then(devices).unwrap_or_default();
        let more = all.iter().map(String::as_str);
        let more = more.filter(|name| !DEVICES.contains(name) && *name != "ptmx");
        for name in DEVICES.into_iter().chain(more) {
            let Ok(device) = clone_tree(CWD, &format!("/dev/{name}")) else {
                // Only what the container has can be given on.
                continue;
            };
            write_file(&dev, name, b"", 0o666)?;
            attach(&device, dev.as_fd(), name)?;
        }
        for (name, target) in LINKS {
            rustix::fs::symlinkat(target, &dev, name).to("create a link in /dev")?;
        }
        for name in ["pts", "shm", "mqueue"] {
            make_directory(&dev, name)?;
        }
        // The files go to a tmpfs that only their bind mounts keep alive: RUN may write to them, nobody else sees it.
        let files = new_filesystem("tmpfs", &[("mode", "755")], NO_EXEC)?;
        attach(&files, dev.as_fd(), "shm")?;
        self.mount_copy(&files, "/etc/resolv.conf", "")?;
        let own_name = rustix::system::uname();
        let hosts = format!("127.0.0.1\t{}\n", own_name.nodename().to_string_lossy());
        self.mount_copy(&files, "/etc/hosts", &hosts)?;
        rustix::mount::unmount(proc_path(&files), UnmountFlags::DETACH)
            .to("detach the resolver's files")?;

        let memory = [("mode", "1777"), ("size", "65536k")];
        attach(
            &new_filesystem("tmpfs", &memory, NO_EXEC)?,
            dev.as_fd(),
            "shm",
        )?;
        attach(&new_terminals()?, dev.as_fd(), "pts")?;
        attach(
            &new_filesystem("mqueue", &[], NO_EXEC)?,
            dev.as_fd(),
            "mqueue",
        )?;
        if let Some((name, text)) = command.and_then(|command| command.script.as_ref()) {
            make_directory(&dev, "pipes")?;
            write_file(&dev, &format!("pipes/{name}"), text, 0o755)?;
        }
        Ok(())
    }

    /// Mounts a copy of one of our own files at the same place in the root.
    fn mount_copy(&self, files: &OwnedFd, path: &str, more: &str) -> Result<(), Failure> {
        // Without one of our own there is nothing to copy.
        let mut content = fs_err::read(path).unwrap_or_default();
        if !content.is_empty() && !content.ends_with(b"\n") {
            content.push(b'\n');
        }
        content.extend(more.as_bytes());
        let name = path.trim_start_matches("/etc/");
        write_file(files, name, &content, 0o644)?;
        let copy = clone_tree(files, name)?;
        attach(&copy, self.open(path)?.as_fd(), "")
    }

    /// Hides and protects parts of `/proc` and `/sys`, as nobody did it for us where there is no user namespace.
    fn mask(&self, new_proc: bool) -> Result<(), Failure> {
        let ours = |path: &str| new_proc || !path.starts_with("proc");
        for path in MASKED_FILES.into_iter().filter(|path| ours(path)) {
            if let Ok(target) = self.open(path) {
                attach(&clone_tree(CWD, "/dev/null")?, target.as_fd(), "")?;
            }
        }
        for path in MASKED_DIRECTORIES.into_iter().filter(|path| ours(path)) {
            if let Ok(target) = self.open(path) {
                let read_only = NO_EXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
                attach(
                    &new_filesystem("tmpfs", &[], read_only)?,
                    target.as_fd(),
                    "",
                )?;
            }
        }
        for path in READ_ONLY.into_iter().filter(|path| ours(path)) {
            if let Ok(target) = self.open(path) {
                let tree = clone_tree(&target, "")?;
                attach(&tree, target.as_fd(), "")?;
                make_read_only(&tree)?;
            }
        }
        Ok(())
    }
}

const NO_EXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

pub(super) fn new_filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    let new = || {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    new().to(&format!("make a new {kind}"))
}

/// A devpts whose terminals belong to the group `tty`, or to nobody special where that group is not in the id map.
fn new_terminals() -> Result<OwnedFd, Failure> {
    let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    new_filesystem("devpts", &options, attributes)
        .or_else(|_| new_filesystem("devpts", &options[..2], attributes))
}

pub(super) fn clone_tree(directory: impl AsFd, path: &str) -> Result<OwnedFd, Failure> {
    rustix::mount::open_tree(
        directory.as_fd(),
        path,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .to(&format!("bind `{path}`"))
}

pub(super) fn attach(
    mount: &OwnedFd,
    directory: BorrowedFd<'_>,
    path: &str,
) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount.as_fd(), "", directory, path, flags).to("attach a mount")
}

fn make_read_only(mount: &OwnedFd) -> Result<(), Failure> {
    let flags = MountFlags::BIND
        | MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC;
    rustix::mount::mount_remount(proc_path(mount), flags, "").to("make a part of /proc read-only")
}

pub(super) fn proc_path(mount: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(mount))
}

/// Returns the names of the container's devices.
fn devices() -> Vec<String> {
    // What cannot be read has none to give.
    let found = fs_err::read_dir("/dev").into_iter().flatten().flatten();
    let is_device = |entry: &fs_err::DirEntry| {
        let kind = entry.file_type();
        kind.is_ok_and(|kind| kind.is_char_device() || kind.is_block_device())
    };
    let names = found.filter(is_device).map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).collect()
}

fn make_directory(parent: &OwnedFd, name: &str) -> Result<(), Failure> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        failed => failed.to("create a directory in /dev"),
    }
}

fn write_file(directory: &OwnedFd, name: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let file = rustix::fs::openat(directory, name, flags, mode)?;
        rustix::fs::fchmod(&file, mode)?;
        std::fs::File::from(file).write_all(content)
    };
    write().to("write a file for the command")
}
