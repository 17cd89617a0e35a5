//! What is sent somewhere, once and in one piece: a digest, a trace.

use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

use super::{Error, Net, Profile, Secret, redact};

const PUT_LIMIT: Duration = Duration::from_secs(120);
const POST_LIMIT: Duration = Duration::from_secs(10);

/// What a request of [`Net`]'s own brings.
struct Body {
    media_type: &'static str,
    bytes: Vec<u8>,
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
        let body = Body {
            media_type: "text/plain",
            bytes: text.to_vec(),
        };
        self.send(reqwest::Method::PUT, &url, &[], body, PUT_LIMIT)
    }

    /// Sends a JSON document to a URL with POST, as collectors of traces take it; waits on the calling thread.
    ///
    /// # Errors
    /// As [`Net::put`].
    pub fn post_json(
        &self,
        url: &Url,
        headers: &[(HeaderName, Secret)],
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let body = Body {
            media_type: "application/json",
            bytes,
        };
        self.send(reqwest::Method::POST, url, headers, body, POST_LIMIT)
    }

    fn send(
        &self,
        method: reqwest::Method,
        url: &Url,
        headers: &[(HeaderName, Secret)],
        body: Body,
        limit: Duration,
    ) -> Result<(), Error> {
        let shown = format!("{method} {}", redact::redacted(url));
        let mut request = self
            .http(&Profile::default())?
            .request(method, url.clone())
            .timeout(limit)
            .header("content-type", body.media_type)
            .body(body.bytes);
        for (name, value) in headers {
            request = request.header(name, value.reveal());
        }
        match self.block_on(async { request.send().await }) {
            Err(source) => Err(Error::Put {
                request: shown,
                source: source.without_url(),
            }),
            Ok(response) if response.status().as_u16() >= 400 => Err(Error::PutStatus {
                request: shown,
                status: response.status(),
            }),
            Ok(_) => Ok(()),
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
