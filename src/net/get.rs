//! What is asked for by a GET.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Request;
use reqwest::header::HeaderName;
use url::Url;

use super::pace::Least;
use super::retry::Retry;
use super::{Profile, Secret};

/// One GET; user and password in the URL become its credentials.
#[derive(Debug, Clone)]
pub struct Get {
    pub url: Url,
    pub headers: Vec<(HeaderName, Secret)>,
    /// A question that is sent with POST in its place; an answer that breaks off is then not resumed.
    pub body: Option<Bytes>,
    pub profile: Profile,
    pub retry: Retry,
    /// Not for the answer to a question: who works on it says so now and then.
    pub least: Least,
    pub sign: Option<Sign>,
}

/// Authenticates each request anew: a signature ends after minutes, and may be for one range only.
#[derive(Clone)]
pub struct Sign(pub Arc<Signing>);

type Signing = dyn Fn(Request) -> BoxFuture<'static, Result<Request, Box<dyn std::error::Error + Send + Sync>>>
    + Send
    + Sync;

impl fmt::Debug for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sign")
    }
}

impl Get {
    /// Makes the request that needs nothing but its URL.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            headers: Vec::new(),
            body: None,
            profile: Profile::default(),
            retry: Retry {
                attempts: 5,
                ..Retry::DEFAULT
            },
            least: Least::DEFAULT,
            sign: None,
        }
    }
}
