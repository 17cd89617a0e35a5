//! nginx on free ports: files for everybody, and over TLS for those who know a password.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::registry::{PASSWORD, USER, write_certificates};

/// A running server; it ends with the value.
pub struct Nginx {
    process: Child,
    dir: TempDir,
    ports: [u16; 2],
}

impl Nginx {
    /// Serves the files below `root`; over TLS also, below `/git/`, what is asked of the server `behind`.
    pub fn new(root: &Path, behind: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_certificates(dir.path());
        let line = super::tool("htpasswd", ["-bnm", USER, PASSWORD]);
        fs_err::write(dir.path().join("htpasswd"), line).unwrap();
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap().port());
        let (at, root, [plain, secure]) = (dir.path().display(), root.display(), ports);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {at}/{kind};"));
        let config = format!(
            "daemon off; user root; pid {at}/pid; error_log stderr;
             events {{}}
             http {{
               access_log off; root {root}; {}
               server {{ listen 127.0.0.1:{plain}; }}
               server {{
                 listen 127.0.0.1:{secure} ssl http2;
                 ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key;
                 auth_basic files; auth_basic_user_file {at}/htpasswd;
                 location /git/ {{ proxy_pass http://{behind}/; proxy_set_header Authorization ''; }}
               }}
             }}",
            temporary.join(" ")
        );
        let path = dir.path().join("nginx.conf");
        fs_err::write(&path, config).unwrap();
        let log = fs_err::File::create(dir.path().join("log")).unwrap();
        // It takes over sockets that listen already, and connections to them wait until it does.
        let [plain, secure] = listeners.map(OwnedFd::from);
        let process = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(path)
            .args(["-e", "stderr"])
            .env("NGINX", "0;1;")
            .stdin(plain)
            .stdout(secure)
            .stderr(Stdio::from(log.into_file()))
            .spawn()
            .expect("the tests need Debian's package nginx-light");
        Self {
            process,
            dir,
            ports,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[0])
    }

    /// Returns an address of the server over TLS, with `login` and an `@` before the host.
    pub fn secure_url(&self, login: &str, path: &str) -> String {
        format!("https://{login}127.0.0.1:{}{path}", self.ports[1])
    }

    /// Returns the file that holds the private CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // its worker ends with it only if it is told
        let process = rustix::process::Pid::from_child(&self.process);
        let _already_gone = kill_process(process, Signal::TERM);
        let _reaped = self.process.wait();
    }
}
