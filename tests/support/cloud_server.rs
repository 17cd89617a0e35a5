//! Real servers that speak as the clouds do: moto for Amazon, Azurite, and an emulator of Google's storage.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::internet::relay;
use super::web::{Reply, Request};

/// A running server; it ends with the value.
pub struct CloudServer {
    process: Child,
    pub address: String,
}

/// Tells whether `.ci/test` has installed the servers.
pub fn installed() -> bool {
    program("python/bin/moto_server").exists() && program("node_modules/.bin/azurite-blob").exists()
}

fn program(path: &str) -> PathBuf {
    let house = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    house.join("target/servers").join(path)
}

impl CloudServer {
    /// Starts Amazon; after so many questions each must be signed by somebody it knows.
    pub fn amazon(free: usize) -> Self {
        Self::start(|port| {
            let mut command = Command::new(program("python/bin/moto_server"));
            command.args(["-H", "127.0.0.1", "-p", port]);
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", free.to_string());
            command
        })
    }

    /// Starts Azure's storage, which knows the account `devstoreaccount1`.
    pub fn azure() -> Self {
        Self::start(|port| {
            let mut command = Command::new(program("node_modules/.bin/azurite-blob"));
            command.args(["--blobHost", "127.0.0.1", "--blobPort", port]);
            command.args([
                "--inMemoryPersistence",
                "--skipApiVersionCheck",
                "--disableTelemetry",
            ]);
            command
        })
    }

    /// Starts Google's storage with a bucket.
    pub fn google(bucket: &str) -> Self {
        Self::start(|port| {
            let mut command = Command::new(program("python/bin/gcp-storage-emulator"));
            command.args(["start", "--host=127.0.0.1", "--in-memory", "--port", port]);
            command.arg(format!("--default-bucket={bucket}"));
            command
        })
    }

    fn start(command: impl Fn(&str) -> Command) -> Self {
        // a port that was free a moment ago may be taken by another test meanwhile
        (0..5)
            .find_map(|_| Self::try_start(&command))
            .expect("the server starts within 5 attempts")
    }

    fn try_start(command: &impl Fn(&str) -> Command) -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let mut process = command(&port)
            .current_dir("/tmp")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        let deadline = Instant::now() + Duration::from_secs(90);
        while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
            if TcpStream::connect(&address).is_ok() {
                return Some(Self { process, address });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _gone = process.kill();
        let _status = process.wait();
        None
    }

    /// Asks the server, under the name of a host.
    #[track_caller]
    pub fn ask(
        &self,
        method: &str,
        host: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        let body = body.into();
        let length = body.len().to_string();
        let all = [("host", host), ("content-length", &length)];
        let all = all.iter().chain(headers).copied();
        let reply = relay(
            &self.address,
            &Request {
                method: method.to_owned(),
                target: target.to_owned(),
                headers: all.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
                body,
            },
        );
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status < 300, "{target}: {} {text}", reply.status);
        reply
    }
}

impl Drop for CloudServer {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }
}
