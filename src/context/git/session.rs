//! A conversation with a server about one repository, in the version of git's protocol that the server knows.
//!
//! # Spec
//! git's `gitprotocol-v2` and `gitprotocol-pack` (versions 0 and 1).

use std::io::{self, Read, Write};
use std::time::Instant;

use super::address::Address;
use super::pkt_line::{self, DELIMITER, FLUSH, Frame};
use super::reference::{Listing, Reference, value};
use super::talk::{PACK, Talk, endless};
use super::web::Web;
use super::wire::{self, Wire};
use super::{Access, Error, ssh};
use crate::log::transfer::Transfer;
use crate::net::Net;
use crate::net::pace::Pace;

/// Where a repository is and who asks for it.
#[derive(Debug, Clone)]
pub struct Remote<'n> {
    pub net: &'n Net,
    pub address: Address,
    pub access: Access,
}

/// An open conversation.
pub struct Session<'r> {
    remote: &'r Remote<'r>,
    line: Line<'r>,
    server: Server,
}

enum Line<'r> {
    Web(Web<'r>),
    Wire(Box<dyn Wire + 'r>),
}

/// What the server said of itself.
enum Server {
    /// The second version: references are to be asked for.
    New { capabilities: Vec<String> },
    /// An older one: it listed all of them.
    Old(Listing),
}

impl<'n> Remote<'n> {
    /// Opens a conversation.
    pub fn connect(&'n self) -> Result<Session<'n>, Error> {
        let unreachable = |source| Error::Connect {
            url: self.address.to_string(),
            source,
        };
        let (mut line, greeting) = match &self.address {
            Address::Web(url) => {
                let mut web = Web::new(self.net, url, &self.access);
                let greeting = web.greet()?;
                (Line::Web(web), Some(greeting))
            }
            Address::Ssh { user, place } => {
                let files = &self.access.ssh;
                let wire = ssh::connect(self.net, files, user.as_deref(), place)?;
                (Line::Wire(Box::new(wire)), None)
            }
            Address::Daemon(place) => {
                let wire = wire::connect(self.net, place).map_err(unreachable)?;
                (Line::Wire(Box::new(wire)), None)
            }
        };
        let server = match (greeting, &mut line) {
            (Some(mut answer), _) => self.greeting(&mut *answer),
            (None, Line::Wire(wire)) => self.greeting(&mut **wire),
            (None, Line::Web(_)) => Err(self.protocol()),
        };
        let server = server.map_err(|error| self.explain(error, &mut line))?;
        Ok(Session {
            remote: self,
            line,
            server,
        })
    }

    /// Fails if it is known without asking the server that nobody will be let in.
    pub fn check(&self) -> Result<(), Error> {
        match &self.address {
            Address::Ssh { place, .. } => Ok(ssh::check(&self.access.ssh, place)?),
            Address::Web(_) | Address::Daemon(_) => Ok(()),
        }
    }

    /// Returns a submodule's repository; credentials go to the same server only.
    pub fn submodule(&self, url: &str) -> Option<Self> {
        let (address, typed) = self.address.submodule(url)?;
        let mut access = self.access.clone();
        let own = access.login.take();
        let is_beside = address.is_beside(&self.address);
        access.login = typed.or(own.filter(|_| is_beside));
        access.authorization = access.authorization.filter(|_| is_beside);
        Some(Self {
            net: self.net,
            address,
            access,
        })
    }

    /// Reads what a server says first.
    fn greeting(&self, answer: &mut dyn Read) -> Result<Server, Error> {
        let answer = &mut Talk::new(answer);
        let mut listing = Listing::default();
        let mut is_empty = true;
        loop {
            let Some(frame) = self.read(answer)? else {
                return Err(self.protocol());
            };
            let Some(text) = frame.text() else {
                match is_empty {
                    // A web server puts the service's name in a message of its own.
                    true => {
                        is_empty = false;
                        continue;
                    }
                    false => return self.checked(Server::Old(listing)),
                }
            };
            match text {
                "version 2" => {
                    let capabilities = self.lines(answer)?;
                    return self.checked(Server::New { capabilities });
                }
                "version 1" => {}
                text if text.starts_with("# service") => continue,
                text => match text.strip_prefix("ERR ") {
                    Some(message) => return Err(self.refused(message)),
                    None => listing.add(text).ok_or_else(|| self.protocol())?,
                },
            }
            is_empty = false;
        }
    }

    /// Checks that objects are named as we can read them.
    fn checked(&self, server: Server) -> Result<Server, Error> {
        let capabilities = match &server {
            Server::New { capabilities } => capabilities,
            Server::Old(listing) => &listing.capabilities,
        };
        match value(capabilities, "object-format") {
            None | Some("sha1") => Ok(server),
            Some(format) => Err(Error::ObjectFormat {
                url: self.address.to_string(),
                format: format.to_owned(),
            }),
        }
    }

    /// Reads lines to the end of a message.
    fn lines(&self, answer: &mut dyn Read) -> Result<Vec<String>, Error> {
        let answer = &mut Talk::new(answer);
        let mut lines = Vec::new();
        loop {
            match self.read(answer)?.as_ref().map(Frame::text) {
                None => return Err(self.protocol()),
                Some(None) => return Ok(lines),
                Some(Some(text)) => match text.strip_prefix("ERR ") {
                    Some(message) => return Err(self.refused(message)),
                    None => lines.push(text.to_owned()),
                },
            }
        }
    }

    fn read(&self, answer: &mut dyn Read) -> Result<Option<Frame>, Error> {
        pkt_line::read(answer).map_err(|source| self.broken(source))
    }

    /// Prefers what a program at the other end said to how its silence looks from here.
    fn explain(&self, error: Error, line: &mut Line<'_>) -> Error {
        match (&error, line) {
            (Error::Protocol { .. } | Error::Broken { .. }, Line::Wire(wire)) => {
                wire.said().map_or(error, |message| self.refused(&message))
            }
            _ => error,
        }
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Broken {
            url: self.address.to_string(),
            source,
        }
    }

    fn protocol(&self) -> Error {
        Error::Protocol {
            url: self.address.to_string(),
        }
    }

    fn refused(&self, message: &str) -> Error {
        Error::Refused {
            url: self.address.to_string(),
            message: message.trim().to_owned(),
        }
    }
}

impl Line<'_> {
    fn ask(&mut self, remote: &Remote<'_>, message: Vec<u8>) -> Result<Box<dyn Read + '_>, Error> {
        match self {
            Self::Web(web) => Ok(web.post(message)?),
            Self::Wire(wire) => {
                wire.send(&message)
                    .map_err(|source| remote.broken(source))?;
                Ok(Box::new(wire))
            }
        }
    }
}

impl Session<'_> {
    /// Lists the references whose name begins with one of `prefixes`.
    pub fn references(&mut self, prefixes: &[&str]) -> Result<Vec<Reference>, Error> {
        if let Server::Old(listing) = &self.server {
            return Ok(listing.references.clone());
        }
        let mut message = command("ls-refs");
        for line in ["peel", "symrefs"] {
            pkt_line::write(&mut message, line);
        }
        for prefix in prefixes {
            pkt_line::write(&mut message, &format!("ref-prefix {prefix}"));
        }
        message.extend_from_slice(FLUSH);
        let remote = self.remote;
        let answer = self.line.ask(remote, message);
        let lines = answer.and_then(|mut answer| remote.lines(&mut *answer));
        let lines = lines.map_err(|error| remote.explain(error, &mut self.line))?;
        Ok(lines
            .iter()
            .filter_map(|line| Reference::parse(line))
            .collect())
    }

    /// Fetches a commit and, to a depth unless it is 0, what led to it; writes the pack and returns where history was cut off.
    ///
    /// A server of the old version may refuse a commit that is no branch's end; then all branches come, with their history.
    pub fn fetch(
        &mut self,
        id: &str,
        depth: u32,
        pack: &mut dyn Write,
    ) -> Result<Vec<String>, Error> {
        let remote = self.remote;
        let (message, is_new, is_cut) = match &self.server {
            Server::New { capabilities } => {
                let shallow = value(capabilities, "fetch").unwrap_or_default();
                let depth = if shallow.split(' ').any(|word| word == "shallow") {
                    depth
                } else {
                    0
                };
                (new_request(id, depth), true, depth > 0)
            }
            Server::Old(listing) => {
                if !listing.has("side-band-64k") {
                    return Err(remote.protocol());
                }
                let (wishes, depth) = match listing.wish(id) {
                    Some(wish) => (vec![wish], depth),
                    None => (listing.everything(), 0),
                };
                let depth = if listing.has("shallow") { depth } else { 0 };
                if wishes.is_empty() {
                    return Err(remote.protocol());
                }
                (old_request(&wishes, depth), false, depth > 0)
            }
        };
        let transfer = remote
            .net
            .timeline()
            .fetch(&remote.address.to_string(), None);
        let answer = self.line.ask(remote, message);
        let shallow = answer.and_then(|mut answer| {
            let shallow = match is_new {
                true => remote.until_pack(&mut *answer)?,
                false => remote.until_nak(&mut *answer, is_cut)?,
            };
            remote.pack(&mut *answer, pack, &transfer)?;
            Ok(shallow)
        });
        shallow.map_err(|error| remote.explain(error, &mut self.line))
    }
}

impl Remote<'_> {
    /// Reads the second version's sections up to the one with the pack.
    fn until_pack(&self, answer: &mut dyn Read) -> Result<Vec<String>, Error> {
        let answer = &mut Talk::new(answer);
        let mut shallow = Vec::new();
        loop {
            let frame = self.read(answer)?.ok_or_else(|| self.protocol())?;
            match frame.text() {
                Some("packfile") => return Ok(shallow),
                Some(text) => match text.strip_prefix("ERR ") {
                    Some(message) => return Err(self.refused(message)),
                    None => shallow.extend(cut_off(text)),
                },
                None => {}
            }
        }
    }

    /// Reads what an older server says before the pack.
    fn until_nak(&self, answer: &mut dyn Read, is_cut: bool) -> Result<Vec<String>, Error> {
        let shallow = match is_cut {
            true => self.lines(answer)?,
            false => Vec::new(),
        };
        let frame = self.read(answer)?.ok_or_else(|| self.protocol())?;
        match frame.text() {
            Some("NAK") => Ok(shallow.iter().filter_map(|line| cut_off(line)).collect()),
            Some(text) => Err(match text.strip_prefix("ERR ") {
                Some(message) => self.refused(message),
                None => self.protocol(),
            }),
            None => Err(self.protocol()),
        }
    }

    /// Writes the pack, which comes between a server's remarks.
    fn pack(
        &self,
        answer: &mut dyn Read,
        pack: &mut dyn Write,
        transfer: &Transfer,
    ) -> Result<(), Error> {
        let mut pace = Pace::new(PACK);
        loop {
            let asked = Instant::now();
            let Some(frame) = self.read(answer)? else {
                return Err(self.protocol());
            };
            let Frame::Data(data) = frame else {
                return Ok(());
            };
            let bytes = match data.split_first() {
                Some((1, bytes)) => bytes,
                Some((3, text)) => return Err(self.refused(&String::from_utf8_lossy(text))),
                _ => &[],
            };
            transfer.add(bytes.len() as u64);
            pack.write_all(bytes).map_err(Error::Write)?;
            if pace.too_few(bytes.len(), asked.elapsed()).is_some() {
                let after = format!("{} s", PACK.within.as_secs());
                return Err(self.broken(endless(after)));
            }
        }
    }
}

fn cut_off(line: &str) -> Option<String> {
    line.strip_prefix("shallow ").map(str::to_owned)
}

fn command(name: &str) -> Vec<u8> {
    let mut message = Vec::new();
    pkt_line::write(&mut message, &format!("command={name}"));
    pkt_line::write(&mut message, "object-format=sha1");
    message.extend_from_slice(DELIMITER);
    message
}

fn new_request(id: &str, depth: u32) -> Vec<u8> {
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
    message
}

fn old_request(wishes: &[String], depth: u32) -> Vec<u8> {
    let mut message = Vec::new();
    let mut capabilities = " ofs-delta side-band-64k no-progress";
    for wish in wishes {
        pkt_line::write(&mut message, &format!("want {wish}{capabilities}"));
        capabilities = "";
    }
    if depth > 0 {
        pkt_line::write(&mut message, &format!("deepen {depth}"));
    }
    message.extend_from_slice(FLUSH);
    pkt_line::write(&mut message, "done");
    message
}
