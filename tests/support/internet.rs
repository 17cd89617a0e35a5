//! The rest of the internet: a proxy behind which every host name, over TLS too, answers as a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use super::web::{self, Reply, Request};

type Handler = dyn Fn(&str, &Request) -> Reply + Send + Sync;

/// Serves until the process ends.
pub struct Internet {
    address: String,
    seen: Arc<Mutex<Vec<(String, Request)>>>,
    dir: TempDir,
}

struct Server {
    issuer: Issuer<'static, KeyPair>,
    handler: Box<Handler>,
    seen: Arc<Mutex<Vec<(String, Request)>>>,
}

impl Internet {
    /// Makes an internet in which `handler` answers, told the host name.
    pub fn new(handler: impl Fn(&str, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = ca.self_signed(&key).unwrap();
        fs_err::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = Arc::new(Server {
            issuer: Issuer::new(ca, key),
            handler: Box::new(handler),
            seen: Arc::clone(&seen),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || drop(server.serve(stream.unwrap())));
            }
        });
        Self { address, seen, dir }
    }

    /// Returns the variables that send a process here.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        let proxy = format!("http://{}", self.address);
        [
            ("HTTPS_PROXY", proxy.clone()),
            ("HTTP_PROXY", proxy),
            ("SSL_CERT_FILE", self.ca().display().to_string()),
        ]
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Returns who was asked what so far.
    pub fn seen(&self) -> Vec<(String, Request)> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the hosts that were asked, in order.
    pub fn hosts(&self) -> Vec<String> {
        self.seen().into_iter().map(|(host, _)| host).collect()
    }
}

impl Server {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut input = BufReader::new(stream.try_clone()?);
        let mut request = web::read(&mut input)?;
        if request.method == "CONNECT" {
            let host = request.target.rsplit_once(':').unwrap().0.to_owned();
            return self.serve_tls(stream, &host);
        }
        let url = request.target.strip_prefix("http://").unwrap_or_default();
        let (host, path) = url.split_once('/').unwrap_or((url, ""));
        let (host, path) = (host.to_owned(), format!("/{path}"));
        request.target = path;
        self.answer(&host, request, &mut &stream)
    }

    fn serve_tls(&self, mut stream: TcpStream, host: &str) -> std::io::Result<()> {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut input = BufReader::new(rustls::StreamOwned::new(connection, stream));
        let request = web::read(&mut input)?;
        let mut stream = input.into_inner();
        self.answer(host, request, &mut stream)?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn answer(&self, host: &str, request: Request, stream: &mut impl Write) -> std::io::Result<()> {
        let asked = (host.to_owned(), request.clone());
        self.seen.lock().unwrap().push(asked);
        web::write(stream, &(self.handler)(host, &request))
    }
}

/// Passes a request on to a server on loopback and returns its answer.
pub fn relay(address: &str, request: &Request) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        if name != "connection" {
            head += &format!("{name}: {value}\r\n");
        }
    }
    stream
        .write_all(format!("{head}connection: close\r\n\r\n").as_bytes())
        .unwrap();
    stream.write_all(&request.body).unwrap();
    let mut input = BufReader::new(stream);
    let mut first = String::new();
    input.read_line(&mut first).unwrap();
    let mut reply = Reply::new(first.split(' ').nth(1).unwrap().parse().unwrap());
    let mut is_chunked = false;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "content-length" | "connection" | "keep-alive" => {}
            "transfer-encoding" => is_chunked = true,
            _ => reply.headers.push((name.to_owned(), value.to_owned())),
        }
    }
    reply.body = match is_chunked {
        true => dechunked(&mut input),
        false => {
            let mut body = Vec::new();
            std::io::Read::read_to_end(&mut input, &mut body).unwrap();
            body
        }
    };
    reply
}

fn dechunked(input: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        input.read_exact(&mut chunk).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
