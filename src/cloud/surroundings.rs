//! What credentials are found in: variables, files, programs, services of the machine, and the network.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqsign::{CommandExecute, CommandOutput, Context, Env, FileRead, HttpSend};
use reqwest::header::RETRY_AFTER;
use tokio::net::TcpStream;
use url::{Host, Url};

use super::{Error, aws};
use crate::net::redact::redacted;
use crate::net::retry::{Backoff, Retry, is_transient, retry_after};
use crate::net::{Environment, Net, Profile, Redirects};

/// The environment of this process and the ways out of it; clones share what was learned.
///
/// Files are read and programs run under the [host lock](Net::host): while a command has another root, they would be the image's.
#[derive(Clone)]
pub struct Surroundings(Arc<Inner>);

struct Inner {
    net: Net,
    environment: Environment,
    /// Which services of the machine answer.
    services: Mutex<HashMap<SocketAddr, bool>>,
}

/// How long a service of the machine itself may take to accept a connection; elsewhere nothing is at its address.
const SERVICE_CONNECT_LIMIT: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);
const SIZE_LIMIT: usize = 1 << 20;
const RETRY: Retry = Retry {
    attempts: 5,
    budget: Duration::from_secs(30),
    first_delay: Duration::from_millis(200),
    extra: 0,
};

impl Surroundings {
    pub fn new(net: &Net, environment: &Environment) -> Self {
        Self(Arc::new(Inner {
            net: net.clone(),
            environment: environment.clone(),
            services: Mutex::default(),
        }))
    }

    pub fn net(&self) -> &Net {
        &self.0.net
    }

    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// Returns the value of a variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.0.environment.get(name)
    }

    /// Returns a path below the home directory.
    pub(super) fn at_home(&self, path: &str) -> Option<String> {
        Some(format!("{}/{path}", self.variable("HOME")?))
    }

    /// Returns what the signing library is given.
    pub fn context(&self) -> Context {
        Context::new()
            .with_env(self.clone())
            .with_file_read(self.clone())
            .with_http_send(self.clone())
            .with_command_execute(self.clone())
    }

    /// Reads a file of the container itself.
    pub(super) async fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let _guard = self.0.net.host().lock().await;
        fs_err::read(path)
    }

    /// Tells whether a service that belongs to the machine is there; asked once.
    pub(super) async fn has_service(&self, address: SocketAddr) -> bool {
        let known = |services: &Mutex<HashMap<_, _>>| {
            let services = services.lock().expect("never poisoned");
            services.get(&address).copied()
        };
        if let Some(known) = known(&self.0.services) {
            return known;
        }
        let connecting = TcpStream::connect(address);
        let connected = tokio::time::timeout(SERVICE_CONNECT_LIMIT, connecting).await;
        let is_there = matches!(connected, Ok(Ok(_)));
        tracing::debug!(%address, is_there, "looked for a service of this machine");
        let mut services = self.0.services.lock().expect("never poisoned");
        services.insert(address, is_there);
        is_there
    }

    /// Sends a request for credentials and returns the answer, whatever its status.
    ///
    /// Redirects are not followed, and what passes is tried again. No proxy stands between us and a service of the machine.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Error> {
        let (parts, body) = request.into_parts();
        let url: Url = parts.uri.to_string().parse().map_err(|_| Error::Answer {
            url: parts.uri.to_string(),
            expected: "a URL",
        })?;
        let url = aws::at_configured_endpoint(&self.0.environment, url)?;
        let client = self.0.net.http(&Profile {
            direct: is_own_machine(&url),
            redirects: Redirects::Manual,
            ..Profile::default()
        })?;
        let mut backoff = Backoff::new(RETRY);
        loop {
            let request = client
                .request(parts.method.clone(), url.clone())
                .headers(parts.headers.clone())
                .body(body.clone());
            let asking = answer(request, parts.method.as_str(), &url);
            let result = tokio::time::timeout(LIMIT, asking).await;
            let result = result.unwrap_or_else(|_| {
                Err(Error::Timeout {
                    method: parts.method.to_string(),
                    url: redacted(&url),
                    limit: LIMIT,
                })
            });
            let wish = match &result {
                Ok(response) if !is_transient(response.status()) => return result,
                Ok(response) => {
                    let wish = response.headers().get(RETRY_AFTER);
                    wish.and_then(|wish| retry_after(wish.to_str().ok()?))
                }
                Err(Error::Request { .. }) => None,
                Err(_) => return result,
            };
            let Some(delay) = backoff.next(wish) else {
                return result;
            };
            tracing::debug!("asking {} again after {delay:.1?}", redacted(&url));
            tokio::time::sleep(delay).await;
        }
    }
}

async fn answer(
    request: reqwest::RequestBuilder,
    method: &str,
    url: &Url,
) -> Result<http::Response<Bytes>, Error> {
    let failed = |source: reqwest::Error| Error::Request {
        method: method.to_owned(),
        url: redacted(url),
        source: source.without_url(),
    };
    let mut response = request.send().await.map_err(failed)?;
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&piece);
        if body.len() > SIZE_LIMIT {
            return Err(Error::Answer {
                url: redacted(url),
                expected: "a short text",
            });
        }
    }
    let mut answer = http::Response::new(body.freeze());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    Ok(answer)
}

/// Tells whether a URL means this machine or the services that a provider gives each of its machines.
pub(super) fn is_own_machine(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(name)) => {
            return matches!(name, "localhost" | "metadata" | "metadata.google.internal");
        }
        None => return false,
    };
    /// The instance and the container service of Amazon, by IPv6.
    const SERVICES: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    ];
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || SERVICES.contains(&address),
    }
}

/// Where every provider answers its machines' questions about themselves.
pub(super) const METADATA: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Surroundings")
            .field(&self.0.environment)
            .finish()
    }
}

impl Env for Surroundings {
    fn var(&self, key: &str) -> Option<String> {
        self.variable(key).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        let variables = self.0.environment.0.clone().into_iter();
        variables.filter(|(_, value)| !value.is_empty()).collect()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }
}

impl FileRead for Surroundings {
    async fn file_read(&self, path: &str) -> reqsign::Result<Vec<u8>> {
        Ok(self.read(path).await?)
    }
}

impl HttpSend for Surroundings {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign::Result<http::Response<Bytes>> {
        let sent = self.send(request).await;
        sent.map_err(|error| reqsign::Error::unexpected("a request failed").with_source(error))
    }
}

impl CommandExecute for Surroundings {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> reqsign::Result<CommandOutput> {
        let _guard = self.0.net.host().lock().await;
        let running = tokio::process::Command::new(program)
            .args(args)
            .env_clear()
            .envs(&self.0.environment.0)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, running).await.map_err(|_| {
            let limit = LIMIT.as_secs();
            reqsign::Error::unexpected(format!("`{program}` did not end within {limit} s"))
        })??;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_the_machine_are_told_from_hosts_elsewhere() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("http://169.254.169.254/latest",         true),
            ("http://169.254.170.2/v2/credentials",   true),
            ("http://[fd00:ec2::254]/latest",         true),
            ("http://[fd00:ec2::23]/v1/credentials",  true),
            ("http://127.0.0.1:1/x",                  true),
            ("http://[::1]:1/x",                      true),
            ("http://metadata.google.internal/x",     true),
            ("http://metadata.google.internal.evil.example/x", false),
            ("https://sts.amazonaws.com/",            false),
            ("http://10.0.0.1/",                      false),
        ];
        for (url, want) in cases {
            assert_eq!(is_own_machine(&url.parse().unwrap()), want, "{url}");
        }
    }
}
