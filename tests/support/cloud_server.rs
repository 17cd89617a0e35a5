//! Real servers that speak as the clouds do: moto for Amazon, Azurite, and an emulator of Google's storage.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::internet::relay;
use super::sockets;
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
        let mut command = Command::new(program("python/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", free.to_string());
        Self::start(command)
    }

    /// Starts Azure's storage, which knows the account `devstoreaccount1`.
    pub fn azure() -> Self {
        let mut command = Command::new(program("node_modules/.bin/azurite-blob"));
        command.args([
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]);
        Self::start(command)
    }

    /// Starts Google's storage with a bucket.
    pub fn google(bucket: &str) -> Self {
        let mut command = Command::new(program("python/bin/gcp-storage-emulator"));
        command.args(["start", "--host=127.0.0.1", "--in-memory", "--port=0"]);
        command.arg(format!("--default-bucket={bucket}"));
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let mut process = command
            .current_dir("/tmp")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{}", sockets::wait_for_port(&mut process));
        Self { process, address }
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
