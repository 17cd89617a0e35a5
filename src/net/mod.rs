//! The network edge: the only runtime, HTTP clients, name resolution, and values that must not be shown.
//!
//! Everything that depends on the container's own files (root certificates, `/etc/resolv.conf`, `/etc/hosts`) is read once,
//! by [`Net::new`]; afterwards no file is opened here, because a command may just then see another root filesystem.

pub mod download;
pub mod environment;
pub mod http;
pub mod pace;
pub mod percent;
pub mod redact;
pub mod retry;
pub mod secret;

mod get;
mod host;
mod resolve;
mod send;
mod tcp;
mod tls;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::log::timeline::Timeline;

pub use download::Download;
pub use environment::Environment;
pub use get::{Get, Sign};
pub use host::{HostGuard, HostLock};
pub use http::{Identity, Profile, Redirects, is_no_tls, tls_error};
pub use secret::Secret;

/// Limits how long it may take to open a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What can be done where no connection comes about.
pub const UNREACHED: &str = "check its name and port, and whether it can be reached from here; HTTPS_PROXY and HTTP_PROXY name a proxy";

/// What may go wrong with the network itself, and with requests that are not about registries.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start the network runtime")]
    Runtime { source: io::Error },
    #[error("cannot set up the name resolver")]
    Resolver {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot set up an HTTP client")]
    Client { source: reqwest::Error },
    #[error("cannot use a certificate or key")]
    Certificate {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{url}` is not a URL")]
    Url { url: String },
    #[error("{request} failed")]
    Put {
        request: String,
        source: reqwest::Error,
    },
    #[error("GET {url} failed")]
    Get { url: String, source: reqwest::Error },
    #[error("cannot authenticate to {url}")]
    Sign {
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("GET {url}: nothing received for {} s", .limit.as_secs())]
    Stalled { url: String, limit: Duration },
    #[error("GET {url}: no more than {received} bytes came in {} s", .within.as_secs())]
    Slow {
        url: String,
        received: u64,
        within: Duration,
    },
    #[error("GET {url}: the connection broke after {received} bytes, and the rest cannot be had")]
    Changed { url: String, received: u64 },
    #[error("{request} answered {status}")]
    PutStatus {
        request: String,
        status: reqwest::StatusCode,
    },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Client { .. } => Some("check HTTP_PROXY and HTTPS_PROXY".to_owned()),
            Self::Certificate { .. } => Some(
                "--registry-certificate and --registry-client-cert name files in PEM; a client's certificate must be one of \
                 X.509 version 3, and the key its own"
                    .to_owned(),
            ),
            Self::Get { source, .. } if is_plain(source) => Some(
                "if the server speaks plain HTTP, write http:// in place of https://, in S3_ENDPOINT and the like, too; for a repository set GIT_PULL_METHOD=http"
                    .to_owned(),
            ),
            Self::Get { source, .. } if is_certificate(source) => Some(
                "if its authority is a private one, name the file with the authority's certificate by SSL_CERT_FILE, or its \
                 directory by SSL_CERT_DIR; flags about registries are about registries only"
                    .to_owned(),
            ),
            Self::Get { source, .. } if source.is_connect() && tls_error(source).is_none() => {
                Some(UNREACHED.to_owned())
            }
            Self::Stalled { .. } | Self::Slow { .. } | Self::Changed { .. } => Some(
                "try again; if it stays so, the server or what is between here and there is too slow, or broken"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Returns the error with what is at the bottom of it, in one line.
    fn in_short(&self) -> String {
        let source = std::error::Error::source(self);
        let last = std::iter::successors(source, |error| error.source()).last();
        match last {
            Some(last) => format!("{self}: {last}"),
            None => self.to_string(),
        }
    }

    /// Returns the URL that was to be read, as far as messages show it.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url { url }
            | Self::Get { url, .. }
            | Self::Sign { url, .. }
            | Self::Stalled { url, .. }
            | Self::Slow { url, .. }
            | Self::Changed { url, .. } => Some(url),
            _ => None,
        }
    }

    /// Tells whether the same request may succeed later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Get { source, .. } => {
                let definite = is_certificate(source) || is_plain(source);
                !source.is_builder() && !source.is_redirect() && !definite
            }
            Self::Stalled { .. } | Self::Slow { .. } => true,
            _ => false,
        }
    }
}

/// Tells whether a server's certificate was not accepted.
fn is_certificate(error: &reqwest::Error) -> bool {
    matches!(tls_error(error), Some(rustls::Error::InvalidCertificate(_)))
}

/// Tells whether what a server said is no TLS at all.
fn is_plain(error: &reqwest::Error) -> bool {
    tls_error(error).is_some_and(is_no_tls)
}

/// Settings of the whole process's network.
#[derive(Debug, Clone)]
pub struct Options {
    /// Never offers HTTP/2 (`FF_KANIKO_DISABLE_HTTP2`).
    pub http1_only: bool,
}

/// The runtime and the HTTP clients; clones share them.
///
/// The rest of the program is blocking and calls [`Net::block_on`]. A runtime that is dropped abandons its tasks.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    runtime: Option<Runtime>, // taken only by `drop`
    options: Options,
    resolver: resolve::Resolver,
    roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    clients: Mutex<HashMap<Profile, reqwest::Client>>,
    host: HostLock,
    timeline: OnceLock<Timeline>,
}

impl Net {
    /// Starts the runtime and reads what the container says about certificates and name resolution.
    ///
    /// # Errors
    /// [`Error::Runtime`] or [`Error::Resolver`]. Missing certificates and a missing `/etc/resolv.conf` are no error: plain
    /// HTTP, addresses and `/etc/hosts` still work.
    pub fn new(options: Options) -> Result<Self, Error> {
        // fails only if another part of the process was first, which then has installed the same one
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("net")
            .enable_all()
            .build()
            .map_err(|source| Error::Runtime { source })?;
        let resolver = {
            let _entered = runtime.enter();
            resolve::Resolver::from_system()?
        };
        Ok(Self(Arc::new(Inner {
            runtime: Some(runtime),
            options,
            resolver,
            roots: http::system_roots(),
            clients: Mutex::default(),
            host: HostLock::default(),
            timeline: OnceLock::new(),
        })))
    }

    /// Tells what is transferred to `timeline`, from now on; the first call counts.
    pub fn report_to(&self, timeline: &Timeline) {
        let _first = self.0.timeline.set(timeline.clone());
    }

    /// Returns whom transfers are told to.
    pub fn timeline(&self) -> &Timeline {
        self.0.timeline.get_or_init(Timeline::begin)
    }

    fn runtime(&self) -> &Runtime {
        let runtime = self.0.runtime.as_ref();
        runtime.expect("the runtime is taken only when the last handle is dropped")
    }

    /// Runs a future to its end on the calling thread, which must not be one of the runtime's.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }

    /// Starts a future in the background.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime().spawn(future)
    }

    /// Runs blocking work on a thread of its own and returns a handle that async code can wait for.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.runtime().spawn_blocking(work)
    }

    /// Returns the HTTP client for a profile; the same profile shares one connection pool.
    ///
    /// # Errors
    /// [`Error::Client`] or [`Error::Certificate`].
    pub fn http(&self, profile: &Profile) -> Result<reqwest::Client, Error> {
        let mut clients = self
            .0
            .clients
            .lock()
            .expect("building a client never panics");
        if let Some(client) = clients.get(profile) {
            return Ok(client.clone());
        }
        let client = http::build(profile, &self.0.options, &self.0.roots, &self.0.resolver)?;
        clients.insert(profile.clone(), client.clone());
        Ok(client)
    }

    /// Returns the lock under which programs of the container itself may be executed.
    pub fn host(&self) -> &HostLock {
        &self.0.host
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // a plain drop waits for its threads, and panics when a task of its own drops the last handle
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Net").field(&self.0.options).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_handle_may_be_dropped_by_a_task() {
        let net = Net::new(Options { http1_only: false }).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (done, finished) = std::sync::mpsc::channel();
        let last = net.clone();
        net.spawn(async move {
            receiver.recv().unwrap();
            drop(last);
            done.send(()).unwrap(); // not reached after a panic
        });
        drop(net);
        sender.send(()).unwrap();
        assert_eq!(finished.recv(), Ok(()));
    }

    #[test]
    fn a_profile_without_certificates_still_gets_a_client() {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let net = Net::new(Options { http1_only: true }).unwrap();
        let client = http::build(&Profile::default(), &net.0.options, &[], &net.0.resolver);
        assert!(client.is_ok());
        let junk = Profile {
            certificates: Some(b"-----BEGIN CERTIFICATE-----\n?".as_slice().into()),
            ..Profile::default()
        };
        let client = http::build(&junk, &net.0.options, &[], &net.0.resolver);
        let help = client.unwrap_err().help().unwrap();
        assert!(help.contains("PEM"), "{help}");
    }
}
