//! What is sent somewhere, once and in one piece: a digest, a trace.

use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

use super::{Error, Net, Profile, Redirects, Secret, redact};

const PUT_LIMIT: Duration = Duration::from_secs(120);
const POST_LIMIT: Duration = Duration::from_secs(10);

/// A request of [`Net`]'s own.
struct Request<'a> {
    method: reqwest::Method,
    url: &'a Url,
    headers: &'a [(HeaderName, Secret)],
    media_type: &'static str,
    bytes: Vec<u8>,
    redirects: Redirects,
    limit: Duration,
}

impl Net {
    /// Sends a text to a URL with PUT, as digest files ask for; waits on the calling thread.
    ///
    /// # Errors
    /// [`Error::Put`] if there is no answer, [`Error::PutStatus`] for one of 400 or more.
    ///
    /// # Spec
    /// compat spec 9.6.
    pub fn put(&self, url: &str, text: &[u8]) -> Result<(), Error> {
        let url: Url = url.parse().map_err(|_| Error::Url {
            url: redact::shown(url),
        })?;
        self.send(Request {
            method: reqwest::Method::PUT,
            url: &url,
            headers: &[],
            media_type: "text/plain",
            bytes: text.to_vec(),
            redirects: Redirects::Follow,
            limit: PUT_LIMIT,
        })
    }

    /// Sends a JSON document to a URL with POST, as collectors of traces take it; waits on the calling thread. No redirect is followed:
    /// the headers are meant for this place.
    ///
    /// # Errors
    /// As [`Net::put`]; and [`Error::PutStatus`] for a redirect.
    pub fn post_json(
        &self,
        url: &Url,
        headers: &[(HeaderName, Secret)],
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        self.send(Request {
            method: reqwest::Method::POST,
            url,
            headers,
            media_type: "application/json",
            bytes,
            redirects: Redirects::Manual,
            limit: POST_LIMIT,
        })
    }

    fn send(&self, asked: Request) -> Result<(), Error> {
        let shown = format!("{} {}", asked.method, redact::redacted(asked.url));
        let profile = Profile {
            redirects: asked.redirects,
            ..Profile::default()
        };
        let mut request = self
            .http(&profile)?
            .request(asked.method, asked.url.clone())
            .timeout(asked.limit)
            .header("content-type", asked.media_type)
            .body(asked.bytes);
        for (name, value) in asked.headers {
            request = request.header(name, value.reveal());
        }
        let answer = self.block_on(async { request.send().await });
        let status = match answer {
            Ok(response) => response.status(),
            Err(source) => {
                return Err(Error::Put {
                    request: shown,
                    source: source.without_url(),
                });
            }
        };
        let is_good = match asked.redirects {
            Redirects::Manual => status.is_success(),
            _ => status.as_u16() < 400,
        };
        match is_good {
            true => Ok(()),
            false => Err(Error::PutStatus {
                request: shown,
                status,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::net::Options;

    #[test]
    fn a_text_is_put() {
        let net = Net::new(Options { http1_only: false }).unwrap();
        for (answer, good) in [("201 Created", true), ("403 Forbidden", false)] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/d?key=secret", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"sha256:1") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    seen.push(byte[0]);
                }
                let reply = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(reply.as_bytes()).unwrap();
                String::from_utf8(seen).unwrap()
            });
            let result = net.put(&url, b"sha256:1");
            assert_eq!(result.is_ok(), good, "{answer}");
            let seen = server.join().unwrap();
            assert!(seen.starts_with("PUT /d?key=secret HTTP/1.1\r\n"), "{seen}");
            assert!(seen.contains("content-type: text/plain\r\n"), "{seen}");
            if let Err(error) = result {
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
    }
}
