//! Registries for tests: a real one in a process of its own, and one that does exactly what a test says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_err as fs;

use crate::image::{Descriptor, Digest, ImageRef, MediaType};
use crate::net::retry::Retry;
use crate::net::{Environment, Net};

use super::credentials;
use super::{Client, Credentials, Endpoints, Options, Source};

pub(crate) fn net() -> Net {
    Net::new(crate::net::Options { http1_only: false }).unwrap()
}

/// Returns options without any flag, with quick retries, and with this environment.
pub(crate) fn options(variables: &[(&str, &str)]) -> Options {
    let variables = variables.iter();
    let environment = variables.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let credentials = Credentials::load(credentials::Options {
        environment: Environment(environment.collect()),
        helpers: None,
    });
    Options {
        insecure: false,
        insecure_registries: Default::default(),
        skip_tls_verify: false,
        skip_tls_verify_registries: Default::default(),
        certificates: Default::default(),
        client_certificates: Default::default(),
        endpoints: Endpoints::default(),
        retry: Retry {
            attempts: ATTEMPTS,
            first_delay: Duration::from_millis(1),
            ..Retry::DEFAULT
        },
        user_agent: super::user_agent(None),
        credentials: Arc::new(credentials),
        store: None,
    }
}

/// Tries that [`options`] allow, quick enough for tests of what goes wrong every time.
pub(crate) const ATTEMPTS: u32 = 8;

pub(crate) fn client(net: &Net, variables: &[(&str, &str)]) -> Client {
    Client::new(net, options(variables)).unwrap()
}

/// Returns a source of these bytes.
pub(crate) fn source(bytes: &[u8]) -> Source {
    let bytes = bytes.to_vec();
    Source {
        open: Arc::new(move || Ok(Box::new(std::io::Cursor::new(bytes.clone())))),
        mount_from: None,
    }
}

pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    let media_type = MediaType::from(crate::image::media_type::OCI_LAYER);
    Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
}

/// Bytes that look like a blob, different for each seed.
pub(crate) fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(size)
        .collect()
}

/// Makes a shell script that can be started.
///
/// Another process writes it: what this one has open for writing, and with it a child of any other thread that is about to start,
/// nobody can execute.
pub(crate) fn script(path: &Path, text: &str) {
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", write]).arg(path).arg(text);
    assert!(shell.status().unwrap().success());
}

/// A `docker-registry` process on a free port; it ends with the test.
pub(crate) struct DockerRegistry {
    pub(crate) address: String,
    process: Child,
    dir: tempfile::TempDir,
}

/// How a [`DockerRegistry`] protects itself.
#[derive(Default)]
pub(crate) struct Protection {
    /// One user, `me` with the password `secret`.
    pub(crate) password: bool,
    /// Certificate and key, in PEM.
    pub(crate) tls: Option<(String, String)>,
    /// Asks for a certificate of this authority.
    pub(crate) client_authority: Option<String>,
    /// A token server's URL, and the certificate of its key.
    pub(crate) token: Option<(String, String)>,
}

impl DockerRegistry {
    pub(crate) fn start(protection: &Protection) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n",
            path("data")
        );
        config += "http:\n  addr: 127.0.0.1:0\n  secret: test\n";
        if let Some((certificate, key)) = &protection.tls {
            fs::write(path("cert.pem"), certificate).unwrap();
            fs::write(path("key.pem"), key).unwrap();
            let (certificate, key) = (path("cert.pem"), path("key.pem"));
            config += &format!("  tls:\n    certificate: '{certificate}'\n    key: '{key}'\n");
            if let Some(authority) = &protection.client_authority {
                fs::write(path("clients.pem"), authority).unwrap();
                config += &format!("    clientcas: ['{}']\n", path("clients.pem"));
            }
        }
        if protection.password {
            let output = Command::new("htpasswd")
                .args(["-nbB", "-C", "4", "me", "secret"])
                .output();
            fs::write(path("htpasswd"), output.unwrap().stdout).unwrap();
            config += &format!(
                "auth: {{htpasswd: {{realm: test, path: '{}'}}}}\n",
                path("htpasswd")
            );
        }
        if let Some((realm, certificate)) = &protection.token {
            fs::write(path("token.pem"), certificate).unwrap();
            let bundle = path("token.pem");
            config += &format!(
                "auth: {{token: {{realm: '{realm}', service: test, issuer: test, rootcertbundle: '{bundle}'}}}}\n"
            );
        }
        fs::write(path("config.yml"), config).unwrap();
        let mut process = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the Debian package docker-registry is installed");
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "docker-registry ended: {seen}"
            );
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split([',', '"']).next().unwrap().trim().to_owned();
            }
            seen += &line;
        };
        // it stops when nobody reads its log
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            address,
            process,
            dir,
        }
    }

    pub(crate) fn image(&self, name: &str) -> ImageRef {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    /// Returns the file in which the bytes of a blob are.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let blobs = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A request as a [`Scripted`] server received it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What a [`Scripted`] server does with a request.
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection ends, counted from the body's beginning.
    cut: Option<usize>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut: None,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Announces the whole body but ends after some of it.
    pub(crate) fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    /// Ends the connection without a word.
    pub(crate) fn hang_up() -> Self {
        Self::new(0)
    }
}

/// A server that answers each request as a function says, by plain HTTP on a bare socket.
pub(crate) struct Scripted {
    pub(crate) address: String,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Scripted {
    /// Starts a server; the function also gets the number of requests before with the same method and path.
    pub(crate) fn start(
        script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (script, kept) = (Arc::new(script), Arc::clone(&log));
        // the thread lives as long as the test process
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    let Some(request) = receive(&stream) else {
                        return;
                    };
                    let before = {
                        let mut log = log.lock().unwrap();
                        let before = log
                            .iter()
                            .filter(|r: &&Received| r.line() == request.line())
                            .count();
                        log.push(request.clone());
                        before
                    };
                    // the client may be gone, if the test is about that
                    let _ = send(&stream, &script(&request, before), &request.method);
                });
            }
        });
        Self { address, log }
    }

    pub(crate) fn image(&self, name: &str) -> ImageRef {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    pub(crate) fn log(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    /// Returns the requests so far, as `METHOD path`, without those that only ask for the scheme.
    pub(crate) fn lines(&self) -> Vec<String> {
        let log = self.log();
        let lines = log.iter().map(Received::line);
        lines.filter(|line| line != "GET /v2/").collect()
    }
}

fn receive(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    if reader.fill_buf().ok()?.first()? == &0x16 {
        return None; // a TLS greeting
    }
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        method,
        path,
        headers,
        body,
    })
}

fn send(mut stream: &TcpStream, reply: &Reply, method: &str) -> std::io::Result<()> {
    if reply.status == 0 {
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", reply.status);
    if !reply
        .headers
        .iter()
        .any(|(name, _)| name == "Content-Length")
    {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if method != "HEAD" {
        let end = reply.cut.unwrap_or(reply.body.len());
        stream.write_all(&reply.body[..end])?;
    }
    stream.flush()
}
