//! A web server that answers as a test says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked; header names are in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// An answer; the connection is closed after it.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Breaks off after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(200)
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// Serves until the process ends.
pub struct Web {
    address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    pub fn new(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Handler> = Arc::new(handler);
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, record) = (Arc::clone(&handler), Arc::clone(&record));
                std::thread::spawn(move || drop(serve(stream.unwrap(), &*handler, &record)));
            }
        });
        Self { address, seen }
    }

    /// Serves the same body whatever is asked.
    pub fn with(body: impl Into<Vec<u8>>) -> Self {
        let reply = Reply::ok(body);
        Self::new(move |_| reply.clone())
    }

    /// Returns a URL of this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns what was asked so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    handler: &Handler,
    record: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let request = read(&mut BufReader::new(&stream))?;
    record.lock().unwrap().push(request.clone());
    write(&mut stream, &handler(&request))
}

pub fn write(stream: &mut impl Write, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", reply.status);
    head += &format!("Content-Length: {}\r\n", reply.body.len());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let end = reply.cut.unwrap_or(reply.body.len());
    stream.write_all(&reply.body[..end])
}

pub fn read(input: &mut impl BufRead) -> std::io::Result<Request> {
    let mut first = String::new();
    input.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        input.take(length.parse().unwrap()).read_to_end(&mut body)?;
    }
    Ok(Request {
        method,
        target: target.unwrap_or_default(),
        headers,
        body,
    })
}

/// Reads one request as it came, head and body, asking for the connection to be closed after the answer; `None` for a TLS greeting.
pub fn message(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut input = BufReader::new(stream);
    if input.fill_buf().ok()?.first()? == &0x16 {
        return None;
    }
    let mut message = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        let (name, value) = line.trim_end().split_once(':').unwrap_or_default();
        match name.to_lowercase().as_str() {
            "connection" => continue,
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
        if line.trim_end().is_empty() {
            message.extend_from_slice(b"Connection: close\r\n\r\n");
            break;
        }
        message.extend_from_slice(line.as_bytes());
    }
    input.take(length).read_to_end(&mut message).ok()?;
    Some(message)
}
