//! Where a repository is. Pure.

use std::fmt;

use url::Url;

use crate::net::Secret;
use crate::net::percent::decoded;
use crate::net::redact::redacted;

/// The address of a repository, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// On a web server, without credentials.
    Web(Url),
    /// Reached by ssh.
    Ssh { user: Option<String>, place: Place },
    /// Served by git's own daemon.
    Daemon(Place),
}

/// A path on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub port: Option<u16>,
    /// As the server is to be told; one that begins neither with `/` nor with `~` starts at the user's home directory.
    pub path: String,
}

/// User and password.
pub type Login = (Secret, Secret);

impl Address {
    /// Reads a URL of `http`, `https`, `ssh` or `git`, or `user@host:path`; credentials for a web server come apart.
    pub fn parse(text: &str) -> Option<(Self, Option<Login>)> {
        if let Some((user, rest)) = scp(text) {
            let (host, path) = rest.split_once(':')?;
            let place = Place::new(host, None, path.to_owned())?;
            let user = Some(user.to_owned());
            return Some((Self::Ssh { user, place }, None));
        }
        let mut url: Url = text.parse().ok()?;
        match url.scheme() {
            "http" | "https" => {
                let login = take_login(&mut url);
                Some((Self::Web(url), login))
            }
            // A password has no place where keys are used.
            _ if url.password().is_some() => None,
            "ssh" => {
                let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
                let place = Place::of(&url)?;
                Some((Self::Ssh { user, place }, None))
            }
            "git" if url.username().is_empty() => Some((Self::Daemon(Place::of(&url)?), None)),
            _ => None,
        }
    }

    /// Returns the address of a submodule, which may be given relative to this one.
    pub fn submodule(&self, url: &str) -> Option<(Self, Option<Login>)> {
        if !url.starts_with("./") && !url.starts_with("../") {
            return Self::parse(url);
        }
        let beside = match self {
            Self::Web(base) => {
                let mut base = base.clone();
                base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
                Self::Web(base.join(url).ok()?)
            }
            Self::Ssh { user, place } => Self::Ssh {
                user: user.clone(),
                place: place.beside(url)?,
            },
            Self::Daemon(place) => Self::Daemon(place.beside(url)?),
        };
        Some((beside, None))
    }

    /// Tells whether both are on the same server, so that what opens one may be shown to the other.
    pub fn is_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Web(one), Self::Web(other)) => one.origin() == other.origin(),
            _ => false,
        }
    }

    /// Returns the address as it is written into the repository's configuration.
    pub fn text(&self) -> String {
        match self {
            Self::Web(url) => url.to_string(),
            _ => self.to_string(),
        }
    }
}

/// Tells whether a text is `user@host:path`, and neither a URL nor a path.
pub fn is_scp(text: &str) -> bool {
    scp(text).is_some()
}

/// Cuts the user off `user@host:path`.
fn scp(text: &str) -> Option<(&str, &str)> {
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !name.is_empty() && name.chars().all(fits)
    };
    let fits = is_name(user) && is_name(host) && !path.is_empty() && !path.starts_with("//");
    fits.then_some((user, rest))
}

fn take_login(url: &mut Url) -> Option<Login> {
    let user = Secret::new(decoded(url.username()));
    let password = Secret::new(decoded(url.password().unwrap_or_default()));
    let is_given = !url.username().is_empty() || url.password().is_some();
    // Both fail for a URL without a host only, and that one has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    is_given.then_some((user, password))
}

impl Place {
    fn new(host: &str, port: Option<u16>, path: String) -> Option<Self> {
        // A server would take these for options of its own program.
        let is_option = host.starts_with('-') || path.starts_with('-');
        let is_whole = !host.is_empty() && !path.is_empty() && !path.contains('\0');
        (is_whole && !is_option).then(|| Self {
            host: host.to_owned(),
            port,
            path,
        })
    }

    fn of(url: &Url) -> Option<Self> {
        let path = decoded(url.path());
        let path = match path.strip_prefix("/~") {
            Some(home) => format!("~{home}"),
            None => path,
        };
        let host = url.host_str()?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Self::new(host, url.port(), path).filter(|place| place.path != "/")
    }

    /// Follows a relative path from here, as git does: `..` takes one part off.
    fn beside(&self, relative: &str) -> Option<Self> {
        let mut path = self.path.trim_end_matches('/');
        let mut rest = relative;
        loop {
            if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else if let Some(after) = rest.strip_prefix("../") {
                path = match path.rsplit_once('/') {
                    Some((parent, _)) => parent,
                    None if !path.is_empty() => "",
                    None => return None,
                };
                rest = after;
            } else {
                break;
            }
        }
        let is_relative = !self.path.starts_with('/') && path.is_empty();
        let path = match is_relative {
            true => rest.to_owned(),
            false => format!("{path}/{rest}"),
        };
        Self::new(&self.host, self.port, path)
    }

    /// Returns the host as known hosts and messages name it, with a port that is not `usual`.
    fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    fn rooted(&self) -> String {
        match self.path.starts_with('/') {
            true => self.path.clone(),
            false => format!("/{}", self.path),
        }
    }
}

/// As logs and errors may show it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(&redacted(url)),
            Self::Daemon(place) => write!(f, "git://{}{}", place.authority(), place.rooted()),
            Self::Ssh { user, place } => {
                let user = user.as_ref().map(|user| format!("{user}@"));
                let user = user.unwrap_or_default();
                match place.path.starts_with(['/', '~']) {
                    true => write!(f, "ssh://{user}{}{}", place.authority(), place.rooted()),
                    false => write!(f, "{user}{}:{}", place.authority(), place.path),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // typed                        shown                         the server's path
            ("https://t:p@h/a.git",         "https://h/a.git",            ""),
            ("ssh://git@h:2222/a/b.git",    "ssh://git@h:2222/a/b.git",   "/a/b.git"),
            ("ssh://h/~me/a%20b",           "ssh://h/~me/a b",            "~me/a b"),
            ("git@h.io:o/a.git",            "git@h.io:o/a.git",           "o/a.git"),
            ("git@h:/srv/a",                "ssh://git@h/srv/a",          "/srv/a"),
            ("git://h/a",                   "git://h/a",                  "/a"),
            ("ssh://[::1]:22/a",            "ssh://[::1]:22/a",           "/a"),
            ("ssh://me:secret@h/a",         "none",                       ""),
            ("ssh://h",                     "none",                       ""),
            ("ssh://-oProxyCommand=x/a",    "none",                       ""),
            ("git@h:-a",                    "none",                       ""),
            ("file:///etc",                 "none",                       ""),
            ("/srv/a.git",                  "none",                       ""),
            ("ext::sh -c x",                "none",                       ""),
        ];
        for (text, shown, path) in cases {
            let found = Address::parse(text).map(|(address, _)| address);
            let place = match &found {
                Some(Address::Ssh { place, .. } | Address::Daemon(place)) => &*place.path,
                _ => "",
            };
            assert_eq!(place, path, "{text}");
            let found = found.map_or("none".to_owned(), |address| address.to_string());
            assert_eq!(found, shown, "{text}");
        }
    }

    #[test]
    fn paths_are_no_addresses() {
        for text in [
            "git@h",
            "a@b/c:d",
            "./git@h:a",
            "/a@b:c",
            "c:\\a",
            "git@h://x",
            "@h:a",
        ] {
            assert!(!is_scp(text), "{text}");
        }
        assert!(is_scp("git@github.com:o/r.git#main:sub"));
    }

    #[test]
    fn submodules() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("https://h/o/a.git",    "../b.git",          "https://h/o/b.git"),
            ("ssh://git@h/o/a.git",  "../b.git",          "ssh://git@h/o/b.git"),
            ("ssh://git@h/o/a.git/", "../../p/b.git",     "ssh://git@h/p/b.git"),
            ("git@h:o/a.git",        "../b.git",          "git@h:o/b.git"),
            ("git@h:a.git",          "../b.git",          "git@h:b.git"),
            ("git@h:a.git",          "../../b.git",       "none"),
            ("git://h/a",            "./b",               "git://h/a/b"),
            ("https://h/o/a.git",    "git@g:o/b.git",     "git@g:o/b.git"),
            ("git@h:o/a.git",        "https://h/b.git",   "https://h/b.git"),
            ("git@h:o/a.git",        "/srv/b.git",        "none"),
            ("git@h:o/a.git",        "file:///etc",       "none"),
        ];
        for (outer, url, want) in cases {
            let outer = Address::parse(outer).unwrap().0;
            let found = outer.submodule(url).map(|(address, _)| address.to_string());
            assert_eq!(found.unwrap_or("none".into()), want, "{outer} {url}");
        }
    }
}
