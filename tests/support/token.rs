//! A small token server, as registries with bearer tokens have one (Docker's token authentication).

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, SigningKey};
use serde_json::json;

use super::registry::{PASSWORD, USER};

pub const SERVICE: &str = "test-registry";
const ISSUER: &str = "test-issuer";

/// What token servers of this process were asked.
static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Returns the first lines of the requests for tokens, of all tests.
pub fn asked() -> Vec<String> {
    ASKED.lock().unwrap().clone()
}

/// Starts a server that gives tokens to whoever knows the password, writes the certificate of its key to `certificate`, and
/// returns the registry's configuration for it. It serves as long as the test process lives.
pub fn start(certificate: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&key)
        .unwrap();
    fs_err::write(certificate, own.pem()).unwrap();
    let (key, chain) = (Arc::new(key), STANDARD.encode(own.der()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let realm = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (key, chain) = (Arc::clone(&key), chain.clone());
            // who connects and says nothing must not keep the others waiting
            std::thread::spawn(move || answer(&stream.unwrap(), &key, &chain));
        }
    });
    format!(
        "auth:\n  token: {{realm: \"{realm}\", service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {}}}\n",
        certificate.display()
    )
}

fn answer(mut stream: &TcpStream, key: &KeyPair, chain: &str) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    ASKED.lock().unwrap().push(request.clone());
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let wanted = format!("basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let is_known = headers.iter().any(|header| {
        let (name, value) = header.split_once(':').unwrap_or_default();
        name.eq_ignore_ascii_case("authorization")
            && value.trim().replacen("Basic", "basic", 1) == wanted
    });
    let (status, body) = match is_known {
        true => (
            "200 OK",
            json!({"token": token(&request, key, chain)}).to_string(),
        ),
        false => ("401 Unauthorized", "{}".to_owned()),
    };
    let length = body.len();
    let _gone = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// Returns a signed token for every scope of a request line.
fn token(request: &str, key: &KeyPair, chain: &str) -> String {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let url = url::Url::parse("http://token").unwrap().join(path).unwrap();
    let scopes = url.query_pairs().filter(|(name, _)| name == "scope");
    let scopes: Vec<String> = scopes
        .flat_map(|(_, scope)| scope.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let access: Vec<_> = scopes
        .iter()
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
        })
        .collect();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [chain]});
    let claims = json!({
        "iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": now.to_string(), "access": access,
        "nbf": now - 10, "iat": now - 10, "exp": now + 300,
    });
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = fixed_width(&key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Turns an ASN.1 signature (a sequence of two integers) into the two 32-byte numbers that JWT wants.
fn fixed_width(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number: Vec<u8> = rest[2..2 + length]
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        numbers.extend(std::iter::repeat_n(0, 32 - number.len()));
        numbers.extend(number);
        rest = &rest[2 + length..];
    }
    numbers
}
