//! Real servers that are started for each connection: OpenSSH's and git's own, on a free port.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tool;

/// Listens, and hands each connection to a program of its own as standard input and output. Returns the port.
pub fn listen(command: impl Fn() -> Command + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let input = OwnedFd::from(stream.unwrap());
            let output = input.try_clone().unwrap();
            let mut child = command().stdin(input).stdout(output).spawn().unwrap();
            std::thread::spawn(move || child.wait());
        }
    });
    port
}

/// Serves the repositories below `root` by git's own protocol.
pub fn git_daemon(root: &Path) -> u16 {
    let root = root.to_owned();
    listen(move || {
        let mut command = Command::new("git");
        let base = format!("--base-path={}", root.display());
        command.args(["daemon", "--inetd", "--export-all", &base]);
        command.stderr(Stdio::null());
        command
    })
}

/// OpenSSH's server with a host key and a list of keys of its own; the machine's is not touched.
pub struct Sshd {
    pub port: u16,
    dir: PathBuf,
}

impl Sshd {
    /// Starts it in a directory, with further lines of its configuration.
    pub fn new(dir: PathBuf, settings: &str) -> Self {
        Self::with_host_key(dir, settings, &["-t", "ed25519"])
    }

    /// Starts it with a host key of its own kind, as `ssh-keygen` makes it.
    pub fn with_host_key(dir: PathBuf, settings: &str, kind: &[&str]) -> Self {
        fs_err::create_dir(&dir).unwrap();
        keygen(&dir.join("host"), kind);
        fs_err::write(dir.join("authorized_keys"), "").unwrap();
        let shown = dir.display();
        let config = format!(
            "HostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n{settings}\n"
        );
        let path = dir.join("config");
        fs_err::write(&path, config).unwrap();
        if rustix::process::geteuid().is_root() {
            // The server wants this empty directory, which an init script makes.
            fs_err::create_dir_all("/run/sshd").unwrap();
        }
        let log = dir.join("log");
        let port = listen(move || {
            let mut command = Command::new("/usr/sbin/sshd");
            command.arg("-i").arg("-f").arg(&path).arg("-E").arg(&log);
            command.stderr(Stdio::null());
            command
        });
        Self { port, dir }
    }

    /// Lets in who has the key of which `path` is the private part.
    pub fn admit(&self, path: &Path) {
        let mut public = path.as_os_str().to_owned();
        public.push(".pub");
        let list = self.dir.join("authorized_keys");
        let known = fs_err::read_to_string(&list).unwrap();
        let public = fs_err::read_to_string(public).unwrap();
        fs_err::write(&list, known + &public).unwrap();
    }

    /// Returns a line for a file of known hosts.
    pub fn known_host(&self) -> String {
        let key = fs_err::read_to_string(self.dir.join("host.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    /// Returns a repository's URL.
    pub fn url(&self, path: &Path) -> String {
        let (user, port) = (user(), self.port);
        format!("ssh://{user}@127.0.0.1:{port}{}", path.display())
    }
}

/// Makes a pair of keys.
pub fn keygen(path: &Path, args: &[&str]) {
    let path = path.to_str().unwrap();
    let given = ["-q", "-N", "", "-C", "test", "-f", path];
    let has_own = args.contains(&"-N");
    let given = if has_own { &given[3..] } else { &given[..] };
    let quiet = if has_own { &["-q"][..] } else { &[] };
    tool("ssh-keygen", quiet.iter().chain(given).chain(args));
}

/// Returns the name under which this process may log in to its own machine.
pub fn user() -> String {
    tool("id", ["-un"]).trim().to_owned()
}
