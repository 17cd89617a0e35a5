//! Repositories on web servers: a request for each question.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use url::Url;

use super::address::Login;
use super::{Access, Error};
use crate::net::redact::redacted;
use crate::net::{Download, Get, Net, Profile, Secret};

/// A repository and who asks for it.
pub struct Web<'r> {
    pub net: &'r Net,
    pub url: &'r Url,
    pub access: &'r Access,
}

impl Web<'_> {
    /// Asks whether there is a repository, and what its server knows.
    pub fn greet(&self) -> Result<Box<dyn Read + Send>, Error> {
        let url = self.below("info/refs", Some("service=git-upload-pack"));
        self.send(Get::new(url))
    }

    /// Asks a question.
    pub fn post(&self, message: Vec<u8>) -> Result<Box<dyn Read + Send>, Error> {
        let mut get = Get::new(self.below("git-upload-pack", None));
        get.body = Some(message.into());
        let kind = Secret::new("application/x-git-upload-pack-request");
        get.headers.push((CONTENT_TYPE, kind));
        let kind = Secret::new("application/x-git-upload-pack-result");
        get.headers.push((ACCEPT, kind));
        self.send(get)
    }

    fn send(&self, mut get: Get) -> Result<Box<dyn Read + Send>, Error> {
        let version = HeaderName::from_static("git-protocol");
        get.headers.push((version, Secret::new("version=2")));
        let login = || self.access.login.as_ref().map(basic);
        if let Some(header) = self.access.authorization.clone().or_else(login) {
            get.headers.push((AUTHORIZATION, header));
        }
        get.profile = Profile {
            skip_verify: self.access.skip_verify,
            ..Profile::default()
        };
        let download: Download = self.net.get(&get).map_err(Error::Net)?;
        match download.status.as_u16() {
            200 => Ok(download.decoded()),
            status => Err(Error::Status {
                url: redacted(self.url),
                status,
            }),
        }
    }

    fn below(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }
}

/// Returns the `Authorization` header for a user and a password.
pub fn basic((user, password): &Login) -> Secret {
    let pair = STANDARD.encode(format!("{}:{}", user.reveal(), password.reveal()));
    Secret::new(format!("Basic {pair}"))
}
