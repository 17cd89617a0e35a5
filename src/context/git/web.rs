//! Repositories on web servers: a request for each question.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use tracing::info;
use url::Url;

use super::address::Login;
use super::{Access, Error};
use crate::net::redact::redacted;
use crate::net::{Download, Get, Net, Profile, Secret};

/// A repository and who asks for it.
pub struct Web<'r> {
    net: &'r Net,
    url: Url,
    access: &'r Access,
    /// The repository has moved to another server, which is not shown our login.
    is_elsewhere: bool,
}

/// What a server is greeted by.
const REFERENCES: &str = "info/refs";

impl<'r> Web<'r> {
    pub fn new(net: &'r Net, url: &Url, access: &'r Access) -> Self {
        Self {
            net,
            url: url.clone(),
            access,
            is_elsewhere: false,
        }
    }

    /// Asks whether there is a repository, and what its server knows; what follows is asked where the answer came from.
    pub fn greet(&mut self) -> Result<Box<dyn Read + Send>, Error> {
        let asked = self.below(REFERENCES, Some("service=git-upload-pack"));
        let download = self.send(Get::new(asked.clone()))?;
        let kind = download.headers.get(CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-git-")) {
            // a page to log in at, or the file of a repository that nobody but a web server serves
            let url = redacted(&self.url);
            return Err(Error::Protocol { url });
        }
        if download.url != asked {
            self.follow(&download.url);
        }
        Ok(download.decoded())
    }

    /// Takes the repository to be where a greeting was answered, as git does, if that looks like a greeting.
    fn follow(&mut self, answered: &Url) {
        let Some(path) = answered.path().strip_suffix(REFERENCES) else {
            return;
        };
        let mut moved = answered.clone();
        moved.set_path(path);
        moved.set_query(None);
        // both fail for a URL without a host only, and that one has no credentials
        let _ = moved.set_username("");
        let _ = moved.set_password(None);
        info!("The repository has moved to {}", redacted(&moved));
        self.is_elsewhere = moved.origin() != self.url.origin();
        self.url = moved;
    }

    /// Asks a question.
    pub fn post(&self, message: Vec<u8>) -> Result<Box<dyn Read + Send>, Error> {
        let mut get = Get::new(self.below("git-upload-pack", None));
        get.body = Some(message.into());
        let kind = Secret::new("application/x-git-upload-pack-request");
        get.headers.push((CONTENT_TYPE, kind));
        let kind = Secret::new("application/x-git-upload-pack-result");
        get.headers.push((ACCEPT, kind));
        Ok(self.send(get)?.decoded())
    }

    fn send(&self, mut get: Get) -> Result<Download, Error> {
        let version = HeaderName::from_static("git-protocol");
        get.headers.push((version, Secret::new("version=2")));
        let login = || self.access.login.as_ref().map(basic);
        let header = self.access.authorization.clone().or_else(login);
        if let Some(header) = header.filter(|_| !self.is_elsewhere) {
            get.headers.push((AUTHORIZATION, header));
        }
        get.profile = Profile {
            skip_verify: self.access.skip_verify,
            ..Profile::default()
        };
        let download = self.net.get(&get).map_err(Error::Net)?;
        match download.status.as_u16() {
            200 => Ok(download),
            status => Err(Error::Status {
                url: redacted(&self.url),
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
