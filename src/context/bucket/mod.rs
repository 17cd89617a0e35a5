//! A context that is an archive in the object storage of Amazon, Google or Azure: one download, which authenticates itself.
//!
//! # Spec
//! Compat spec 4.5 to 4.7. Deviations: profiles, roles and identities serve for all three, SAS tokens and identities for Azure;
//! what is public can be had without credentials.

mod advice;
mod azure;
mod google;
mod s3;

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use reqwest::Request;
use url::Url;

use super::Error as ContextError;
use crate::cloud::{self, Surroundings};
use crate::net::redact::redacted;
use crate::net::{self, Download, Get, Profile, Redirects, Sign};
use advice::Provider;

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    S3 {
        bucket: String,
        key: String,
    },
    Google {
        bucket: String,
        name: String,
    },
    /// With what authenticates it, if it came with that.
    Azure(Url),
}

/// The object where only a bucket is named.
const DEFAULT_NAME: &str = "context.tar.gz";
/// How much of an error's text is read.
const REASON_LIMIT: u64 = 4096;

/// Why an object cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Cloud(#[from] cloud::Error),
    #[error("there is nothing to authenticate with")]
    NoProof {
        source: Box<cloud::Error>,
        /// What would be.
        missing: &'static str,
    },
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error("{url} answered {status}{}", reason(.code))]
    Status {
        provider: Provider,
        url: String,
        status: u16,
        code: String,
        /// What would have authenticated us.
        missing: Option<&'static str>,
    },
    #[error("{variable} is no key: it is not in base64")]
    Key { variable: &'static str },
    #[error("{variable} cannot be used: `{value}`")]
    Endpoint {
        variable: &'static str,
        value: String,
    },
}

fn reason(code: &str) -> String {
    match code {
        "" => String::new(),
        code => format!(" ({code})"),
    }
}

impl Error {
    /// Says what would authenticate us where nothing was to be had.
    fn no_proof(missing: &'static str) -> impl FnOnce(cloud::Error) -> Self {
        move |source| Self::NoProof {
            source: Box::new(source),
            missing,
        }
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Cloud(error) => error.help(),
            Self::NoProof { source, missing } => {
                source.help().or_else(|| Some((*missing).to_owned()))
            }
            Self::Net(error) => error.help(),
            Self::Status {
                provider,
                status,
                code,
                missing,
                ..
            } => advice::advice(*provider, *status, code, *missing),
            Self::Key { .. } => Some(
                "it is one of the storage account's access keys, as it is shown there".to_owned(),
            ),
            Self::Endpoint { .. } => None,
        }
    }
}

impl Object {
    /// Reads what follows `s3://`.
    pub fn s3(path: &str) -> Result<Self, ContextError> {
        let (bucket, key) = parts(path)?;
        Ok(Self::S3 { bucket, key })
    }

    /// Reads what follows `gs://`.
    pub fn google(path: &str) -> Result<Self, ContextError> {
        let (bucket, name) = parts(path)?;
        Ok(Self::Google { bucket, name })
    }

    /// Returns the object that a URL means if its host belongs to Azure's storage.
    pub fn azure(url: &Url) -> Option<Self> {
        azure::realm(url).map(|_| Self::Azure(url.clone()))
    }

    /// Asks for the object and returns the answer, which is to be read.
    ///
    /// # Errors
    /// Anything but the object is one.
    pub fn open(&self, at: &Surroundings) -> Result<Download, Error> {
        match self {
            Self::S3 { bucket, key } => s3::open(at, bucket, key),
            Self::Google { bucket, name } => google::open(at, bucket, name),
            Self::Azure(url) => azure::open(at, url),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Google { bucket, name } => write!(f, "gs://{bucket}/{name}"),
            Self::Azure(url) => f.write_str(&redacted(url)),
        }
    }
}

fn parts(path: &str) -> Result<(String, String), ContextError> {
    let (bucket, name) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err(ContextError::NoBucket);
    }
    // as parts of a URL they would be gone before it is sent
    if bucket == "." || name.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(ContextError::NoUrl);
    }
    let name = if name.is_empty() { DEFAULT_NAME } else { name };
    Ok((bucket.to_owned(), name.to_owned()))
}

/// Makes the request for an object; what authenticates it goes to that one server.
fn get(url: Url, sign: Option<Sign>) -> Get {
    Get {
        profile: Profile {
            redirects: Redirects::Manual,
            ..Profile::default()
        },
        sign,
        ..Get::new(url)
    }
}

/// Makes what authenticates requests from a function that adds headers to one.
fn signing<F, R>(add: F) -> Sign
where
    F: Fn(http::request::Parts) -> R + Send + Sync + 'static,
    R: Future<Output = Result<http::request::Parts, cloud::Error>> + Send + 'static,
{
    Sign(Arc::new(move |mut request: Request| {
        let bare = http::Request::builder()
            .method(request.method().clone())
            .uri(request.url().as_str())
            .body(());
        let with_headers = bare.map(|bare| {
            let (mut parts, ()) = bare.into_parts();
            parts.headers = request.headers().clone();
            add(parts)
        });
        Box::pin(async move {
            let parts = with_headers?.await?;
            *request.headers_mut() = parts.headers;
            Ok(request)
        })
    }))
}

/// Turns an answer that is not the object into an error.
fn refused(
    provider: Provider,
    url: &Url,
    download: Download,
    missing: Option<&'static str>,
) -> Error {
    let status = download.status.as_u16();
    let mut text = String::new();
    // a body that cannot be read says nothing
    let _ = download.take(REASON_LIMIT).read_to_string(&mut text);
    Error::Status {
        provider,
        url: redacted(url),
        status,
        code: code(&text).unwrap_or_default(),
        missing,
    }
}

/// Returns the word by which storage says what is wrong: XML of Amazon and Azure, JSON of Google.
fn code(text: &str) -> Option<String> {
    let xml = || Some(text.split_once("<Code>")?.1.split_once("</Code>")?.0);
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let json = || value.as_ref()?["error"]["errors"][0]["reason"].as_str();
    let code = xml().or_else(json)?;
    let is_word = code.len() < 100 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("<Error><Code>NoSuchKey</Code><Message>x</Message></Error>", Some("NoSuchKey")),
            (r#"{"error":{"errors":[{"reason":"notFound"}]}}"#,           Some("notFound")),
            ("<Code>not a word</Code>",                                   None),
            ("No such object: b/o",                                       None),
            ("",                                                          None),
        ];
        for (text, want) in cases {
            assert_eq!(code(text).as_deref(), want, "{text}");
        }
    }
}
