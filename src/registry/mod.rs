//! The distribution protocol: images and blobs from and to registries.
//!
//! [`Client`] is the way in. One `send` does what every request needs: the registry's scheme and challenge, credentials,
//! tokens, one answer to a 401, retries, limits, and errors that say all that is known. `pull` and `push` are built on it.
//!
//! Pulling and pushing follow different options (plain HTTP, mirrors, retries), so a build has a client for each; they
//! share credentials and connections.
//!
//! # Spec
//! distribution-spec v1.1; Docker's token authentication; compat spec 6.

pub mod credentials;

mod answer;
mod auth;
mod blob;
mod catalog;
mod client;
mod damage;
mod documents;
mod endpoints;
mod error;
mod every;
#[cfg(test)]
mod faults;
mod insistence;
mod manifests;
mod mount;
mod permission;
mod presence;
mod pull;
mod push;
#[cfg(test)]
mod push_faults;
mod reach;
#[cfg(test)]
mod refusals;
mod server;
mod spare;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token;
#[cfg(test)]
mod token_tests;
mod transfer;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::net::retry::Retry;
use crate::store::SharedStore;

pub use answer::{Answer, Code, RequestLine};
pub use blob::Blob;
pub use client::Client;
pub use credentials::Credentials;
pub use endpoints::Endpoints;
pub use error::Error;
pub use every::Member;
pub use pull::RemoteImage;
pub use push::{Pushed, Source};

/// How registries are reached, for one direction.
///
/// Registries are named `host[:port]`, exactly as in an [`ImageRef`](crate::image::ImageRef).
#[derive(Debug, Clone)]
pub struct Options {
    /// Tries plain HTTP with every registry (`--insecure` when pushing, `--insecure-pull` when pulling).
    pub insecure: bool,
    /// Tries plain HTTP with these.
    pub insecure_registries: BTreeSet<String>,
    /// Accepts every certificate.
    pub skip_tls_verify: bool,
    /// Accepts every certificate of these; their `certificates` do not matter then.
    pub skip_tls_verify_registries: BTreeSet<String>,
    /// A file with further roots in PEM, by registry.
    pub certificates: BTreeMap<String, PathBuf>,
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// Mirrors and maps; empty when pushing, and for the cache.
    pub endpoints: Endpoints,
    pub retry: Retry,
    /// See [`user_agent`].
    pub user_agent: String,
    pub credentials: Arc<Credentials>,
    /// Where documents and blobs are looked for first, and kept.
    pub store: Option<SharedStore>,
}

/// The two PEM files with which we prove who we are (`--registry-client-cert`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Options {
    fn allows_plain_http(&self, registry: &str) -> bool {
        self.insecure || self.insecure_registries.contains(registry) || server::is_local(registry)
    }
}

/// Returns what we call ourselves to registries; `upstream` is `UPSTREAM_CLIENT_TYPE`.
///
/// # Spec
/// compat spec 6.3; the same when pulling, where kaniko shows its library's name instead.
pub fn user_agent(upstream: Option<&str>) -> String {
    let own = concat!("kaniko/", env!("CARGO_PKG_VERSION"));
    let printable =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match upstream.filter(printable) {
        Some(upstream) => format!("{own},{upstream}"),
        None => own.to_owned(),
    }
}
