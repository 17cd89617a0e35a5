//! HTTP clients: one for each set of TLS, proxy and redirect settings.

use std::io;
use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;

use super::resolve::Resolver;
use super::{CONNECT_TIMEOUT, Error, Options, Secret, tls};

/// What makes two connections incompatible; clients with equal profiles are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Accepts any certificate; additional roots then do not matter.
    pub skip_verify: bool,
    /// Certificates in PEM that are trusted besides the system's.
    pub certificates: Option<Arc<[u8]>>,
    pub identity: Option<Identity>,
    /// Never uses a proxy, whatever the environment says.
    pub direct: bool,
    pub redirects: Redirects,
}

/// A client certificate and its key, as PEM texts one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(pub Secret);

/// Which redirects are followed; secrets never travel to another host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Redirects {
    /// Ten at most, to any host.
    #[default]
    Follow,
    /// Within scheme, host and port; for requests whose body is a secret.
    SameOrigin,
    /// None; the caller sees the answer. For uploads, whose body cannot be sent twice.
    Manual,
}

const REDIRECT_LIMIT: usize = 10;

impl Redirects {
    fn policy(self) -> Policy {
        match self {
            Self::Follow => Policy::limited(REDIRECT_LIMIT),
            Self::Manual => Policy::none(),
            Self::SameOrigin => Policy::custom(|attempt| {
                let previous = attempt.previous();
                let same = previous
                    .last()
                    .is_some_and(|from| from.origin() == attempt.url().origin());
                if same && previous.len() <= REDIRECT_LIMIT {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }),
        }
    }
}

/// Reads the system's root certificates, honouring `SSL_CERT_FILE` and `SSL_CERT_DIR`; unusable ones are left out.
pub(super) fn system_roots() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "root certificates left out");
    }
    let mut usable = rustls::RootCertStore::empty();
    let roots: Vec<_> = found
        .certs
        .into_iter()
        .filter(|certificate| usable.add(certificate.clone()).is_ok())
        .collect();
    tracing::debug!(count = roots.len(), "root certificates loaded");
    roots
}

pub(super) fn build(
    profile: &Profile,
    options: &Options,
    roots: &[CertificateDer<'static>],
    resolver: &Resolver,
) -> Result<reqwest::Client, Error> {
    let tls = tls::config(profile, roots, options.http1_only);
    let tls = tls.map_err(|source| Error::Certificate { source })?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(resolver.clone()))
        .redirect(profile.redirects.policy())
        .connect_timeout(CONNECT_TIMEOUT)
        .referer(false)
        // blobs are hashed as they are stored, whatever features another crate switches on
        .no_gzip()
        .no_deflate()
        .no_zstd()
        .no_brotli();
    if profile.direct {
        builder = builder.no_proxy();
    }
    if options.http1_only {
        builder = builder.http1_only();
    }
    builder.build().map_err(|source| Error::Client { source })
}

/// Tells whether what a server said is no TLS at all: its first byte begins no message. One that is broken further on is another matter.
pub fn is_no_tls(error: &rustls::Error) -> bool {
    use rustls::{Error::InvalidMessage, InvalidMessage::InvalidContentType};
    matches!(error, InvalidMessage(InvalidContentType))
}

/// Returns the TLS error at the end of a chain of causes.
pub fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // an I/O error's `source` is that of the error inside it, which would be skipped
        cause = match current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use rustls::{Error, InvalidMessage};

    use super::*;

    #[test]
    fn what_is_no_tls() {
        let invalid = |what| is_no_tls(&Error::InvalidMessage(what));
        assert!(invalid(InvalidMessage::InvalidContentType));
        assert!(!invalid(InvalidMessage::MessageTooLarge));
        assert!(!is_no_tls(&Error::DecryptError));
    }
}
