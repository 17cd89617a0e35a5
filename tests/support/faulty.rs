//! A registry that fails: what stands between it and the client spoils some of the requests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::Registry;

/// A way into a registry that spoils a share of all requests, by a seed; it serves as long as the test process lives.
pub struct Faulty {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// What becomes of a request that is to fail.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// 429, to be tried again at once.
    TooMany,
    Status(u16),
    /// The connection is reset, and the registry never hears of it.
    Unheard,
    /// The connection is reset after the registry did what it was asked.
    Unanswered,
    /// The answer ends early.
    Truncated,
    /// The answer says that it is shorter than it is.
    WrongLength,
}

impl Faulty {
    /// Starts to let `percent` of the requests to a registry fail.
    pub fn new(registry: &Registry, percent: u8, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (upstream, counted) = (registry.host(), Arc::clone(&requests));
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (upstream, counted) = (upstream.clone(), Arc::clone(&counted));
                let random = Arc::clone(&random);
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    let Some(request) = super::web::message(&stream) else {
                        return; // a TLS greeting
                    };
                    let line = request.split(|byte| *byte == b'\r').next();
                    let line = String::from_utf8_lossy(line.unwrap_or_default());
                    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                    counted.lock().unwrap().push(line);
                    let fault = fault(&mut random.lock().unwrap(), percent);
                    // the client may have given up
                    let _ = answer(stream, &request, &upstream, fault);
                });
            }
        });
        Self { address, requests }
    }

    /// Returns `127.0.0.1:port`.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// Returns the requests that came, as `METHOD target`, those that failed included.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn fault(random: &mut fastrand::Rng, percent: u8) -> Option<Fault> {
    let hit = random.u8(0..100) < percent;
    let fault = match random.u8(0..6) {
        0 => Fault::TooMany,
        1 => Fault::Status([500, 502, 503, 504][random.usize(0..4)]),
        2 => Fault::Unheard,
        3 => Fault::Unanswered,
        4 => Fault::Truncated,
        _ => Fault::WrongLength,
    };
    hit.then_some(fault)
}

fn answer(
    mut client: TcpStream,
    request: &[u8],
    upstream: &str,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let status = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} Fault\r\nConnection: close\r\nContent-Length: 0\r\n{more}\r\n")
    };
    match fault {
        Some(Fault::TooMany) => {
            return client.write_all(status(429, "Retry-After: 0\r\n").as_bytes());
        }
        Some(Fault::Status(code)) => return client.write_all(status(code, "").as_bytes()),
        Some(Fault::Unheard) => return reset(client),
        _ => {}
    }
    let mut registry = TcpStream::connect(upstream)?;
    registry.write_all(request)?;
    let mut answer = Vec::new();
    registry.read_to_end(&mut answer)?;
    let head = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(answer.len(), |at| at + 4);
    let (head, body) = answer.split_at(head);
    match fault {
        Some(Fault::Unanswered) => reset(client),
        Some(Fault::Truncated) if body.is_empty() => {
            client.write_all(&head[..head.len() / 2])?;
            reset(client)
        }
        Some(Fault::Truncated) => {
            client.write_all(head)?;
            client.write_all(&body[..body.len() / 2])
        }
        Some(Fault::WrongLength) => {
            let text = String::from_utf8_lossy(head);
            let lines = text.split_inclusive("\r\n");
            let shorter =
                lines.map(
                    |line| match line.to_lowercase().starts_with("content-length:") {
                        true => format!("Content-Length: {}\r\n", body.len() / 2),
                        false => line.to_owned(),
                    },
                );
            client.write_all(shorter.collect::<String>().as_bytes())?;
            client.write_all(&body[..body.len() / 2])
        }
        _ => client.write_all(&answer),
    }
}

/// Ends a connection so that the other side's next read or write fails.
fn reset(stream: TcpStream) -> std::io::Result<()> {
    let now = Some(std::time::Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(&stream, now)?;
    Ok(())
}
