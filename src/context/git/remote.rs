//! A git repository on a web server, as the second version of git's protocol tells of it.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use url::Url;

use super::Error;
use super::pkt_line::{self, DELIMITER, FLUSH, Frame};
use crate::net::redact::redacted;
use crate::net::{Download, Get, Net, Profile, Secret};

/// Where a repository is and who asks for it.
#[derive(Debug, Clone)]
pub struct Remote<'n> {
    pub net: &'n Net,
    /// Without credentials.
    pub url: Url,
    /// User and password.
    pub login: Option<(Secret, Secret)>,
    pub skip_verify: bool,
}

/// A branch, a tag, or `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub id: String,
    /// The commit behind an annotated tag.
    pub peeled: Option<String>,
    /// What `HEAD` stands for.
    pub target: Option<String>,
}

impl Remote<'_> {
    /// Lists the references whose name begins with one of `prefixes`.
    pub fn references(&self, prefixes: &[&str]) -> Result<Vec<Reference>, Error> {
        self.greet()?;
        let mut message = command("ls-refs");
        for line in ["peel", "symrefs"] {
            pkt_line::write(&mut message, line);
        }
        for prefix in prefixes {
            pkt_line::write(&mut message, &format!("ref-prefix {prefix}"));
        }
        message.extend_from_slice(FLUSH);
        let mut answer = self.post(message)?;
        let mut references = Vec::new();
        while let Some(frame @ Frame::Data(_)) = self.read(&mut answer)? {
            let text = frame.text().unwrap_or_default();
            references.extend(Reference::parse(text));
        }
        Ok(references)
    }

    /// Fetches a commit and, to a depth unless it is 0, what led to it; writes the pack and returns where history was cut off.
    pub fn fetch(&self, id: &str, depth: u32, pack: &mut dyn Write) -> Result<Vec<String>, Error> {
        let mut message = command("fetch");
        for line in ["ofs-delta", "no-progress"] {
            pkt_line::write(&mut message, line);
        }
        if depth > 0 {
            pkt_line::write(&mut message, &format!("deepen {depth}"));
        }
        for line in [&format!("want {id}"), "done"] {
            pkt_line::write(&mut message, line);
        }
        message.extend_from_slice(FLUSH);
        let mut answer = self.post(message)?;
        let mut shallow = Vec::new();
        loop {
            let frame = self.read(&mut answer)?.ok_or_else(|| self.protocol())?;
            match frame.text() {
                Some("packfile") => break,
                Some(text) => {
                    if let Some(message) = text.strip_prefix("ERR ") {
                        return Err(self.refused(message));
                    }
                    shallow.extend(text.strip_prefix("shallow ").map(str::to_owned));
                }
                None => {}
            }
        }
        while let Some(Frame::Data(data)) = self.read(&mut answer)? {
            match data.split_first() {
                Some((1, bytes)) => pack.write_all(bytes).map_err(|e| self.broken(e))?,
                Some((3, text)) => return Err(self.refused(&String::from_utf8_lossy(text))),
                _ => {}
            }
        }
        Ok(shallow)
    }

    /// Returns a submodule's repository; credentials go to the same host only.
    pub fn submodule(&self, url: &str) -> Option<Self> {
        let url = match url.starts_with("./") || url.starts_with("../") {
            true => {
                let mut base = self.url.clone();
                base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
                base.join(url).ok()?
            }
            false => url.parse().ok()?,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let same = url.origin() == self.url.origin();
        Some(Self {
            login: self.login.clone().filter(|_| same),
            url,
            ..self.clone()
        })
    }

    /// Asks whether there is a repository that speaks this protocol.
    fn greet(&self) -> Result<(), Error> {
        let url = self.below("info/refs", Some("service=git-upload-pack"));
        let mut answer = self.send(Get::new(url))?;
        loop {
            match self.read(&mut answer)?.as_ref().map(Frame::text) {
                Some(Some("version 2")) => return Ok(()),
                Some(Some(text)) if text.starts_with("# service") => {}
                Some(None) => {}
                _ => return Err(self.protocol()),
            }
        }
    }

    fn post(&self, message: Vec<u8>) -> Result<Box<dyn Read + Send>, Error> {
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
        if let Some((user, password)) = &self.login {
            let pair = STANDARD.encode(format!("{}:{}", user.reveal(), password.reveal()));
            get.headers
                .push((AUTHORIZATION, Secret::new(format!("Basic {pair}"))));
        }
        get.profile = Profile {
            skip_verify: self.skip_verify,
            ..Profile::default()
        };
        let download: Download = self.net.get(&get).map_err(Error::Net)?;
        match download.status.as_u16() {
            200 => Ok(download.decoded()),
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

    fn read(&self, answer: &mut dyn Read) -> Result<Option<Frame>, Error> {
        pkt_line::read(answer).map_err(|e| self.broken(e))
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Broken {
            url: redacted(&self.url),
            source,
        }
    }

    fn protocol(&self) -> Error {
        Error::Protocol {
            url: redacted(&self.url),
        }
    }

    fn refused(&self, message: &str) -> Error {
        Error::Refused {
            url: redacted(&self.url),
            message: message.trim().to_owned(),
        }
    }
}

fn command(name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    pkt_line::write(&mut message, &format!("command={name}"));
    pkt_line::write(&mut message, "object-format=sha1");
    message.extend_from_slice(DELIMITER);
    message
}

impl Reference {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut reference = Self {
            id: words.next()?.to_owned(),
            name: words.next()?.to_owned(),
            peeled: None,
            target: None,
        };
        for word in words {
            match word.split_once(':') {
                Some(("peeled", id)) => reference.peeled = Some(id.to_owned()),
                Some(("symref-target", name)) => reference.target = Some(name.to_owned()),
                _ => {}
            }
        }
        Some(reference)
    }
}
