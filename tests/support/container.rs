//! A container as an ordinary runtime starts it: overlayfs on a directory, runc, a capability set, a seccomp profile.
//!
//! For what only shows where a program may do little. Needs root, runc and overlayfs; says so by [`possible`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a runtime lets root do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capabilities {
    /// Docker's and containerd's fourteen.
    Docker,
    /// CRI-O's nine: no device nodes, no file capabilities, no chroot.
    CriO,
    None,
}

/// Where the kernel's calls are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seccomp {
    /// `testdata/container/seccomp.json`: no namespaces, no mounts, as the usual profiles.
    Default,
    Unconfined,
}

/// A directory or file of the machine at a path of the container.
#[derive(Debug, Clone)]
pub struct Volume {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

/// What to start, all but the program.
pub struct Container<'a> {
    /// An unpacked image; it is not changed.
    pub image: &'a Path,
    pub capabilities: Capabilities,
    pub seccomp: Seccomp,
    pub user: (u32, u32),
    pub no_new_privileges: bool,
    pub read_only: bool,
    pub volumes: Vec<Volume>,
    /// Paths at which an empty tmpfs is mounted.
    pub tmpfs: Vec<&'a str>,
    /// Beside or instead of `PATH`, `HOME` and `container`.
    pub env: Vec<(&'a str, String)>,
    pub working_dir: &'a str,
    /// Further options of overlayfs, such as `redirect_dir=on`.
    pub overlay: &'a str,
    /// Keeps what the program left behind in its container: overlayfs' upper directory.
    pub upper: Option<PathBuf>,
}

/// Tells whether this machine can start containers, by trying.
pub fn possible() -> bool {
    let runc = Command::new("runc").arg("--version").output();
    if !rustix::process::geteuid().is_root() || runc.is_err() {
        return false;
    }
    let dir = tempfile::tempdir().unwrap();
    let overlay = Overlay::mount(dir.path(), dir.path(), None, "");
    overlay.is_ok()
}

impl<'a> Container<'a> {
    /// Returns a container with Docker's rights and no volumes.
    pub fn new(image: &'a Path) -> Self {
        Self {
            image,
            capabilities: Capabilities::Docker,
            seccomp: Seccomp::Default,
            user: (0, 0),
            no_new_privileges: false,
            read_only: false,
            volumes: Vec::new(),
            tmpfs: Vec::new(),
            env: Vec::new(),
            working_dir: "/",
            overlay: "",
            upper: None,
        }
    }

    /// Adds a volume.
    pub fn volume(&mut self, source: &Path, target: &str, read_only: bool) {
        self.volumes.push(Volume {
            source: source.into(),
            target: target.into(),
            read_only,
        });
    }

    /// Runs a program to its end. Network and time are the machine's.
    pub fn run<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let bundle = self.bundle(args);
        let mut run = bundle.runc(["run", "--bundle"]);
        run.arg(bundle.dir.path()).arg(&bundle.name);
        run.output().unwrap()
    }

    /// Looks at what the program left behind, if that is kept: the container's root without its mounts.
    pub fn look<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let upper = self.upper.as_deref();
        let overlay = Overlay::mount(dir.path(), self.image, upper, self.overlay).unwrap();
        look(&overlay.root)
    }

    /// Starts a program that waits for the end of its input, so that others can be run beside it.
    pub fn start<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        let bundle = self.bundle(args);
        let mut create = bundle.runc(["create", "--bundle"]);
        create.arg(bundle.dir.path()).arg(&bundle.name);
        let null = (Stdio::null(), Stdio::null());
        create.stdin(Stdio::piped()).stdout(null.0).stderr(null.1);
        let mut create = create.spawn().unwrap();
        let input = create.stdin.take().unwrap();
        assert!(create.wait().unwrap().success());
        let started = bundle.runc(["start"]).arg(&bundle.name).status();
        assert!(started.unwrap().success());
        Running {
            bundle,
            _input: input,
        }
    }

    /// Makes what the runtime starts from: the overlay and the configuration.
    fn bundle<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Bundle {
        let args: Vec<String> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
        let dir = tempfile::Builder::new()
            .prefix("container-")
            .tempdir()
            .unwrap();
        let overlay = Overlay::mount(dir.path(), self.image, self.upper.as_deref(), self.overlay);
        let overlay = overlay.unwrap_or_else(|error| panic!("cannot mount an overlay: {error}"));
        let config = serde_json::to_vec(&self.config(&overlay.root, &args)).unwrap();
        fs_err::write(dir.path().join("config.json"), config).unwrap();
        Bundle {
            name: dir.path().file_name().unwrap().to_owned(),
            _overlay: overlay,
            dir,
        }
    }

    /// Returns the runtime's configuration (runtime-spec 1.0 `config.md`).
    fn config(&self, root: &Path, args: &[String]) -> Value {
        let capabilities = self.capabilities();
        let effective = match self.user.0 {
            0 => capabilities.clone(),
            _ => Vec::new(),
        };
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/kaniko";
        let env = [("PATH", path), ("HOME", "/root"), ("container", "oci")];
        let given = |name: &str| self.env.iter().any(|(own, _)| *own == name);
        let env = env
            .iter()
            .filter(|(name, _)| !given(name))
            .map(|(name, value)| format!("{name}={value}"));
        let own = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let seccomp: Value = match self.seccomp {
            Seccomp::Default => {
                let profile = include_str!("../../testdata/container/seccomp.json");
                serde_json::from_str(profile).unwrap()
            }
            Seccomp::Unconfined => Value::Null,
        };
        let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "hostname": "container",
            "root": { "path": root, "readonly": self.read_only },
            "mounts": self.mounts(),
            "process": {
                "terminal": false,
                "user": { "uid": self.user.0, "gid": self.user.1 },
                "args": args,
                "cwd": self.working_dir,
                "env": env.chain(own).collect::<Vec<_>>(),
                "noNewPrivileges": self.no_new_privileges,
                "capabilities": {
                    "bounding": capabilities,
                    "permitted": effective,
                    "effective": effective,
                },
            },
            "linux": {
                "namespaces": namespaces,
                "resources": { "devices": [{ "allow": true, "access": "rwm" }] },
                "seccomp": seccomp,
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        })
    }

    fn capabilities(&self) -> Vec<String> {
        let common = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETGID SETPCAP SETUID";
        let more = "AUDIT_WRITE MKNOD NET_RAW SETFCAP SYS_CHROOT";
        let names = match self.capabilities {
            Capabilities::Docker => format!("{common} {more}"),
            Capabilities::CriO => common.to_owned(),
            Capabilities::None => String::new(),
        };
        names
            .split_whitespace()
            .map(|name| format!("CAP_{name}"))
            .collect()
    }

    fn mounts(&self) -> Vec<Value> {
        let mount = |target: &str, kind: &str, source: &Path, options: &str| {
            json!({
                "destination": target,
                "type": kind,
                "source": source,
                "options": options.split(',').collect::<Vec<_>>(),
            })
        };
        let plain =
            |target: &str, kind: &str, options: &str| mount(target, kind, Path::new(kind), options);
        let mut mounts = vec![
            plain("/proc", "proc", "nosuid,noexec,nodev"),
            plain("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            plain(
                "/dev/pts",
                "devpts",
                "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
            ),
            plain(
                "/dev/shm",
                "tmpfs",
                "nosuid,noexec,nodev,mode=1777,size=65536k",
            ),
            plain("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount(
                "/sys",
                "bind",
                Path::new("/sys"),
                "rbind,nosuid,noexec,nodev,ro",
            ),
        ];
        let tmpfs = self.tmpfs.iter();
        mounts.extend(tmpfs.map(|target| plain(target, "tmpfs", "nosuid,nodev,mode=1777")));
        mounts.extend(self.volumes.iter().map(|volume| {
            let access = if volume.read_only { "ro" } else { "rw" };
            let options = format!("rbind,rprivate,{access}");
            mount(&volume.target, "bind", &volume.source, &options)
        }));
        mounts
    }
}

/// A directory from which the runtime starts a container.
struct Bundle {
    name: OsString,
    // Before the directory goes.
    _overlay: Overlay,
    dir: TempDir,
}

impl Bundle {
    fn runc<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.dir.path().join("state"));
        runc.args(args).stdin(Stdio::null());
        runc
    }
}

/// A container whose own program waits; it ends with the value.
pub struct Running {
    bundle: Bundle,
    _input: ChildStdin,
}

impl Running {
    /// Runs another program in it.
    pub fn exec(&self, working_dir: &str, env: &[String], args: &[&str]) -> Output {
        let mut exec = self.bundle.runc(["exec", "--cwd", working_dir]);
        for variable in env {
            exec.args(["--env", variable]);
        }
        exec.arg(&self.bundle.name).args(args).output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut delete = self.bundle.runc(["delete", "--force"]);
        let deleted = delete.arg(&self.bundle.name).status().unwrap();
        assert!(deleted.success() || std::thread::panicking());
    }
}

/// A mounted overlay, unmounted at the end.
struct Overlay {
    root: PathBuf,
    // Before the directories go.
    _upper: Option<TempDir>,
}

impl Overlay {
    fn mount(
        dir: &Path,
        image: &Path,
        upper: Option<&Path>,
        options: &str,
    ) -> std::io::Result<Self> {
        let own = match upper {
            Some(_) => None,
            None => Some(tempfile::tempdir()?),
        };
        let upper = upper.map_or_else(
            || own.as_ref().unwrap().path().join("upper"),
            Path::to_owned,
        );
        let mut work = OsString::from(&upper);
        work.push(".work");
        let root = dir.join("rootfs");
        for dir in [upper.as_path(), work.as_ref(), &root] {
            fs_err::create_dir_all(dir)?;
        }
        let mut data = format!(
            "lowerdir={},upperdir={},workdir={}",
            image.display(),
            upper.display(),
            Path::new(&work).display()
        );
        if !options.is_empty() {
            data = format!("{data},{options}");
        }
        let data = std::ffi::CString::new(data)?;
        mount(
            "overlay",
            &root,
            "overlay",
            MountFlags::empty(),
            data.as_c_str(),
        )?;
        Ok(Self { root, _upper: own })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // A runtime that failed half-way may have left something mounted below.
        let _ = unmount(&self.root, UnmountFlags::DETACH);
    }
}
