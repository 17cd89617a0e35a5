//! What a registry refused or failed to do, with all that is needed to find out why.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use crate::causes;
use crate::image::{self, Digest, Platform};
use crate::net::retry::is_transient;
use crate::net::{UNREACHED, is_no_tls, tls_error};

use super::answer::{Answer, Code, RequestLine};
use super::credentials;

/// Why an image could not be pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Status(Box<Answer>),
    #[error("{request} failed")]
    Transport {
        request: Box<RequestLine>,
        source: reqwest::Error,
    },
    #[error("{request}: nothing moved for {} seconds", .limit.as_secs())]
    Stalled {
        request: Box<RequestLine>,
        limit: Duration,
    },
    #[error("{request}: no more than {received} bytes came in {} seconds", .within.as_secs())]
    Slow {
        request: Box<RequestLine>,
        received: u64,
        within: Duration,
    },
    #[error("{request}: the answer is longer than {limit} bytes")]
    TooLong {
        request: Box<RequestLine>,
        limit: u64,
    },
    #[error("{request}: the answer breaks off after {received} bytes")]
    BrokenOff {
        request: Box<RequestLine>,
        received: usize,
    },
    #[error("{request}: {reason}")]
    Protocol {
        request: Box<RequestLine>,
        reason: String,
    },
    #[error("the list of tags of `{repository}` cannot be had: {reason}")]
    EndlessList {
        repository: String,
        reason: &'static str,
    },
    #[error("registry `{registry}` sends credentials to `{realm}`: {reason}")]
    Realm {
        registry: String,
        realm: String,
        reason: &'static str,
    },
    #[error("{what} of `{reference}` is not valid")]
    Document {
        reference: String,
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("a web page came in place of the {what} of `{reference}`")]
    WebPage {
        reference: String,
        what: &'static str,
    },
    #[error("`{reference}` has the media type `{media_type}`, which is not an image")]
    NotAnImage {
        reference: String,
        media_type: String,
    },
    #[error("the manifest of `{reference}` lists {layers} layers, its config {diff_ids}")]
    Layers {
        reference: String,
        layers: usize,
        diff_ids: usize,
    },
    #[error("no child with platform {wanted} in index `{reference}`")]
    NoPlatform {
        reference: String,
        wanted: Box<Platform>,
        available: Vec<String>,
    },
    #[error("{what} in `{repository}` has the digest `{got}` instead of `{expected}`")]
    WrongDigest {
        what: &'static str,
        repository: String,
        expected: Digest,
        got: Digest,
    },
    #[error("blob `{digest}` in `{repository}` has {got} bytes instead of {expected}")]
    WrongSize {
        repository: String,
        digest: Digest,
        expected: u64,
        got: u64,
    },
    #[error(
        "`{repository}` has a damaged copy of blob `{digest}` and keeps it in place of what is uploaded"
    )]
    KeptDamaged { repository: String, digest: Digest },
    #[error("cannot read blob `{digest}` for its upload")]
    Source { digest: Digest, source: io::Error },
    #[error("image not found on any configured mapped registries for {reference}")]
    NotMapped {
        reference: String,
        source: Option<Box<Error>>,
    },
    #[error("checking push permission for \"{reference}\"")]
    Permission {
        reference: String,
        source: Box<Error>,
    },
    #[error("invalid registry {what} `{text}`: {reason}")]
    Map {
        /// A map or a mirror.
        what: &'static str,
        text: String,
        reason: &'static str,
    },
    #[error("failed to load certificate `{}`", .path.display())]
    Certificate { path: PathBuf, source: io::Error },
    #[error("certificates for registry `{registry}`")]
    Tls {
        registry: String,
        source: crate::net::Error,
    },
    #[error(transparent)]
    Reference(#[from] image::Error),
    #[error("credentials for registry `{registry}`")]
    Credentials {
        registry: String,
        source: Arc<credentials::Error>,
    },
}

impl Error {
    /// Returns the error with its causes on one line, for a warning.
    pub fn chain(&self) -> String {
        causes::in_one_line(self)
    }

    /// Returns the error of a registry that is behind another one: it came through a reader, as the inside of an I/O error.
    pub fn behind<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let io_errors = causes::of(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
        io_errors
            .filter_map(|cause| cause.get_ref()?.downcast_ref())
            .next()
    }

    /// Returns the HTTP status, if it was one that failed the request.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status(answer) => Some(answer.status),
            _ => None,
        }
    }

    /// Tells whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status(answer) => is_transient(answer.status),
            Self::Transport { source, .. } => {
                let definite = source.is_builder() || source.is_redirect();
                !definite && tls_error(source).is_none()
            }
            Self::Stalled { .. } | Self::Slow { .. } | Self::BrokenOff { .. } => true,
            Self::WrongSize { expected, got, .. } => got < expected, // it broke off without a word
            _ => false,
        }
    }

    /// Tells whether the registry said no, and might say otherwise to who insists.
    pub(super) fn is_refusal(&self) -> bool {
        // What is too large, or not known at all, stays so.
        const FOR_GOOD: [StatusCode; 2] = [
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::METHOD_NOT_ALLOWED,
        ];
        let may_change = self
            .status()
            .is_some_and(|status| !FOR_GOOD.contains(&status));
        may_change && !self.is_transient() && !self.is_immutable_tag()
    }

    /// Tells whether the registry says that it does not have what it was asked for.
    pub(super) fn is_absence(&self) -> bool {
        let unknown = |code: &Code| matches!(&code.code[..], "MANIFEST_UNKNOWN" | "NAME_UNKNOWN");
        matches!(self, Self::Status(answer)
            if answer.status == StatusCode::NOT_FOUND || answer.codes.iter().any(unknown))
    }

    /// Tells whether a manifest was refused because a blob it lists is not there.
    pub(super) fn misses_a_blob(&self) -> bool {
        let unknown =
            |code: &Code| matches!(&code.code[..], "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN");
        matches!(self, Self::Status(answer) if answer.codes.iter().any(unknown))
    }

    /// Tells whether nothing answers where the registry should be.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Transport { source, .. } if source.is_connect())
    }

    /// Tells whether nobody even refused the connection.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Transport { source, .. } if source.is_timeout())
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// Tells whether something is there that is not what it should be, rather than nothing or no answer.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Document { .. }
                | Self::WebPage { .. }
                | Self::NotAnImage { .. }
                | Self::Layers { .. }
                | Self::NoPlatform { .. }
                | Self::WrongDigest { .. }
                | Self::WrongSize { .. }
                | Self::TooLong { .. }
        )
    }

    /// Tells whether the registry refused to move a tag that it declares immutable.
    ///
    /// There is no code for this, so the two phrases that `--push-ignore-immutable-tag-errors` documents are looked for.
    pub fn is_immutable_tag(&self) -> bool {
        let Self::Status(answer) = self else {
            return false;
        };
        answer.codes.iter().any(|code| {
            code.message
                .contains("The repository has enabled tag immutability")
                || code
                    .message
                    .contains("cannot be overwritten because the tag is immutable")
        })
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Status(answer) => answer.help(),
            Self::Transport { request, source } => transport_help(&request.registry, source),
            Self::NoPlatform { available, .. } => Some(match available.as_slice() {
                [] => "the index lists no platform".to_owned(),
                all => format!(
                    "it has {}; choose one with --custom-platform",
                    all.join(", ")
                ),
            }),
            Self::Permission { source, .. } => source.help().or_else(|| {
                Some("check the name of the destination and its credentials".to_owned())
            }),
            Self::WebPage { .. } => Some(
                "is that address a registry? a proxy or a page to log in at may stand before it".to_owned(),
            ),
            Self::EndlessList { .. } => Some(
                "this is what the registry, or a proxy before it, answers; registries have ways of their own to remove old tags".to_owned(),
            ),
            Self::KeptDamaged { .. } => Some(
                "nobody can pull that blob until it is removed from the registry's storage; another --compression-level makes another blob of the same layer".to_owned(),
            ),
            Self::NotMapped { source, .. } => source.as_ref().and_then(|source| source.help()),
            Self::Credentials { source, .. } => source.help(),
            Self::Tls { source, .. } => source.help(),
            Self::Realm { .. } => Some(
                "a token server must be reachable over https and have a public address or name"
                    .to_owned(),
            ),
            Self::Stalled { .. } | Self::Slow { .. } | Self::BrokenOff { .. } => Some(
                "try again, or elsewhere (--registry-mirror); the registry, or what is between here and there, is too slow, or broken"
                    .to_owned(),
            ),
            error if error.is_damage() => Some(
                "this is what the registry, or a mirror or proxy before it, answers: push that image again, or take it from elsewhere"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

fn transport_help(registry: &str, source: &reqwest::Error) -> Option<String> {
    let Some(error) = tls_error(source) else {
        return source.is_connect().then(|| UNREACHED.to_owned());
    };
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext,
    };
    match error {
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => Some(format!(
            "have its certificate renewed, or look whether the clock is right here; --skip-tls-verify-registry {registry} skips the check"
        )),
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            Some(format!(
                "call it by a name that its certificate is for, or skip the check with --skip-tls-verify-registry {registry}"
            ))
        }
        rustls::Error::InvalidCertificate(_) => Some(format!(
            "trust its authority with --registry-certificate {registry}=/path/ca.pem, or skip the check with --skip-tls-verify-registry {registry}"
        )),
        error if is_no_tls(error) => Some(format!(
            "if it speaks plain HTTP, allow that with --insecure-registry {registry}"
        )),
        _ => None,
    }
}

impl Error {
    /// Tells whether the other side does not speak TLS at all.
    pub(super) fn is_not_tls(&self) -> bool {
        let Self::Transport { source, .. } = self else {
            return false;
        };
        tls_error(source).is_some_and(is_no_tls)
    }
}
