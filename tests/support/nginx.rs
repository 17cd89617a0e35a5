//! nginx on free ports: files for everybody, and over TLS for those who know a password.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        // a port that was free a moment ago may be taken by another test meanwhile
        (0..20)
            .find_map(|_| Self::try_start(root, behind))
            .expect("nginx (Debian package nginx-light) starts within 20 attempts")
    }

    fn try_start(root: &Path, behind: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        write_certificates(dir.path());
        let line = super::tool("htpasswd", ["-bnm", USER, PASSWORD]);
        fs_err::write(dir.path().join("htpasswd"), line).unwrap();
        let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let (at, root, [plain, secure]) = (dir.path().display(), root.display(), ports);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {at}/{kind};"));
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log stderr;
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
        let mut process = Command::new("/usr/sbin/nginx")
            .arg("-c")
            .arg(path)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stderr(Stdio::from(log.into_file()))
            .spawn()
            .expect("the tests need Debian's package nginx-light");
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
            if ports
                .iter()
                .all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
            {
                return Some(Self {
                    process,
                    dir,
                    ports,
                });
            }
            std::thread::yield_now();
        }
        let _ended = process.kill();
        process.wait().unwrap();
        None
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
        let _already_gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}
