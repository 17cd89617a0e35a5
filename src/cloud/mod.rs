//! Who we are to Amazon, Google and Azure, by what the environment of this process says.
//!
//! Keys in variables, profiles, tokens that a cluster mounts, and services that only the machine itself can reach are tried in
//! the order of each provider's own tools. Nothing is asked for before somebody wants to speak to that provider, and what is
//! learned goes to that provider's own hosts alone.

pub mod aws;
pub mod azure;
pub mod google;
pub mod surroundings;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::net::{self, Secret};

pub use surroundings::Surroundings;

/// Something that may be had for a while.
#[derive(Debug, Clone)]
pub struct Token {
    pub secret: Secret,
    pub expires: Instant,
}

/// A token is not used any more when this much of its life is left.
const LEEWAY: Duration = Duration::from_secs(120);

impl Token {
    /// Makes a token that lives for `seconds` from now.
    fn living(secret: impl Into<String>, seconds: u64) -> Self {
        let life = Duration::from_secs(seconds.min(24 * 3600));
        Self {
            secret: Secret::new(secret),
            expires: Instant::now() + life.saturating_sub(LEEWAY).max(life / 2),
        }
    }
}

/// Adds a token to a request.
///
/// # Errors
/// [`Error::Answer`] if it is no token that a header can hold.
pub fn bearer(request: &mut http::request::Parts, token: &Token) -> Result<(), Error> {
    let value = format!("Bearer {}", token.secret.reveal());
    let mut value = http::HeaderValue::from_str(&value).map_err(|_| Error::Answer {
        url: "the token service".into(),
        expected: "a token",
    })?;
    value.set_sensitive(true);
    request.headers.insert(http::header::AUTHORIZATION, value);
    Ok(())
}

/// Returns the body of a form, as `application/x-www-form-urlencoded`.
pub fn form(pairs: &[(&str, &str)]) -> Bytes {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    Bytes::from(form.extend_pairs(pairs).finish())
}

/// Why a provider's credentials could not be had; that there are none is no error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot take credentials from {from}")]
    Credentials {
        from: String,
        source: Box<reqsign::Error>,
    },
    #[error("cannot sign a request")]
    Sign { source: Box<reqsign::Error> },
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error("{method} {url} failed")]
    Request {
        method: String,
        url: String,
        source: reqwest::Error,
    },
    #[error("{method} {url} did not answer within {} s", .limit.as_secs())]
    Timeout {
        method: String,
        url: String,
        limit: Duration,
    },
    #[error("{method} {url} answered {status}{}", reason(.message))]
    Status {
        method: String,
        url: String,
        status: u16,
        message: String,
    },
    #[error("{url} answered something else than {expected}")]
    Answer { url: String, expected: &'static str },
    #[error("the AWS profile `{name}` does not exist")]
    NoProfile { name: String },
    #[error("the AWS profile `{name}` {what}")]
    Profile { name: String, what: &'static str },
    #[error("cannot read `{path}`, which {variable} names")]
    File {
        path: String,
        variable: &'static str,
        source: std::io::Error,
    },
    #[error("{variable} names `{value}`, to which credentials are not sent")]
    Untrusted {
        variable: &'static str,
        value: String,
    },
    #[error("{variable} has no meaning: `{value}`")]
    Variable {
        variable: &'static str,
        value: String,
    },
    #[error("{variable} is set, but logging in to Azure that way is not supported")]
    Unsupported { variable: &'static str },
}

fn reason(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

impl Error {
    /// Wraps an error of the library that speaks to the providers.
    fn unusable(from: impl Into<String>) -> impl FnOnce(reqsign::Error) -> Self {
        let from = from.into();
        move |source| Self::Credentials {
            from,
            source: Box::new(source),
        }
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoProfile { .. } => Some(
                "AWS_PROFILE chooses it; it is looked for in ~/.aws/credentials and ~/.aws/config, or in the files named by AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE".into(),
            ),
            Self::Untrusted { .. } => Some(
                "it must be an https URL, or one of the container's own host".into(),
            ),
            Self::Unsupported { .. } => Some(
                "use AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE or a managed identity".into(),
            ),
            Self::Net(error) => error.help(),
            _ => None,
        }
    }
}
