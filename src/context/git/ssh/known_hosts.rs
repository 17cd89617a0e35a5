//! Which keys of which hosts are known. Pure.
//!
//! # Spec
//! `sshd(8)`, "SSH_KNOWN_HOSTS FILE FORMAT", without certificate authorities.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use russh::keys::{Algorithm, PublicKey};

/// The lines of known-hosts files.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts(Vec<Line>);

#[derive(Debug, Clone)]
struct Line {
    hosts: String,
    key: PublicKey,
    is_revoked: bool,
    place: Place,
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
}

/// What the lines say of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Known,
    /// The host is not there, or only with keys of these other kinds.
    Unknown(Vec<Algorithm>),
    /// The host has another key of the same kind.
    Changed(Place),
    Revoked(Place),
}

impl KnownHosts {
    /// Adds the lines of a file; those that cannot be read are left out, as ssh does.
    pub fn add(&mut self, file: &Path, text: &str) {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace().peekable();
            let marker = words.next_if(|word| word.starts_with('@'));
            let (Some(hosts), Some(_), Some(key)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let is_comment = line.trim_start().starts_with('#');
            let is_usable = matches!(marker, None | Some("@revoked")) && !is_comment;
            let Ok(key) = russh::keys::parse_public_key_base64(key) else {
                continue;
            };
            if is_usable {
                self.0.push(Line {
                    hosts: hosts.to_owned(),
                    key,
                    is_revoked: marker.is_some(),
                    place: Place {
                        file: file.to_owned(),
                        line: number + 1,
                    },
                });
            }
        }
    }

    /// Returns the kinds of keys that are known of a host.
    pub fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let mut found: Vec<Algorithm> = Vec::new();
        for line in self.of(host, port).filter(|line| !line.is_revoked) {
            let algorithm = line.key.algorithm();
            if !found.contains(&algorithm) {
                found.push(algorithm);
            }
        }
        found
    }

    /// Judges a host's key.
    pub fn judge(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let is_it = |line: &&Line| line.key.key_data() == key.key_data();
        let mut revoked = self.0.iter().filter(|line| line.is_revoked);
        if let Some(line) = revoked.find(is_it) {
            return Verdict::Revoked(line.place.clone());
        }
        let lines: Vec<&Line> = self.of(host, port).filter(|l| !l.is_revoked).collect();
        if lines.iter().any(is_it) {
            return Verdict::Known;
        }
        let same_kind = |line: &&&Line| line.key.algorithm() == key.algorithm();
        match lines.iter().find(same_kind) {
            Some(line) => Verdict::Changed(line.place.clone()),
            None => Verdict::Unknown(self.algorithms(host, port)),
        }
    }

    /// Finds a host's lines; with an unusual port those that name it, else those that name none.
    fn of(&self, host: &str, port: u16) -> impl Iterator<Item = &Line> {
        let host = host.to_lowercase();
        let name = match port {
            22 => host.clone(),
            port => format!("[{host}]:{port}"),
        };
        let is_named = self.0.iter().any(|line| matches(&line.hosts, &name));
        let name = if is_named { name } else { host };
        let lines = self.0.iter();
        lines.filter(move |line| matches(&line.hosts, &name))
    }
}

fn matches(hosts: &str, host: &str) -> bool {
    match hosts.strip_prefix("|1|") {
        Some(hashed) => is_hash_of(hashed, host),
        None => fits(hosts.split(','), host),
    }
}

/// Tells whether a host is meant by patterns with `*`, `?` and `!`.
pub fn fits<'a>(patterns: impl Iterator<Item = &'a str>, host: &str) -> bool {
    let mut is_meant = false;
    for pattern in patterns {
        let lower = pattern.to_lowercase();
        match lower.strip_prefix('!') {
            Some(pattern) if glob(pattern.as_bytes(), host.as_bytes()) => return false,
            Some(_) => {}
            None => is_meant |= glob(lower.as_bytes(), host.as_bytes()),
        }
    }
    is_meant
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        (Some((b'?', pattern)), Some((_, text))) => glob(pattern, text),
        (Some((one, pattern)), Some((other, text))) if one == other => glob(pattern, text),
        _ => false,
    }
}

/// Checks a name that is only there as a salted hash.
fn is_hash_of(hashed: &str, host: &str) -> bool {
    let decode = |text: &str| STANDARD.decode(text).ok();
    let parts = hashed.split_once('|');
    let Some((Some(salt), Some(hash))) = parts.map(|(s, h)| (decode(s), decode(h))) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    hmac::verify(&key, host.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    #[test]
    fn verdicts() {
        // `ssh-keygen -H` made the hashed lines.
        let text = format!(
            "# a.io ssh-ed25519 {TWO}\n\
             a.io,b.io ssh-ed25519 {ONE} comment\n\
             [a.io]:2222\tssh-ed25519\t{TWO}\n\
             *.c.io,!x.c.io ssh-ed25519 {ONE}\n\
             @cert-authority d.io ssh-ed25519 {ONE}\n\
             e.io ssh-ed25519 rubbish\n\
             |1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= ssh-ed25519 {TWO}\n"
        );
        let mut known = KnownHosts::default();
        known.add(Path::new("f"), &text);
        let at = |line| {
            let file = PathBuf::from("f");
            Verdict::Changed(Place { file, line })
        };
        let unknown = || Verdict::Unknown(Vec::new());
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a.io",         22,    ONE, Verdict::Known),
            ("A.io",         22,    ONE, Verdict::Known),
            ("b.io",         22,    TWO, at(2)),
            ("a.io",         2222,  TWO, Verdict::Known),
            ("a.io",         2222,  ONE, at(3)),
            ("a.io",         2223,  ONE, Verdict::Known),
            ("y.c.io",       22,    ONE, Verdict::Known),
            ("x.c.io",       22,    ONE, unknown()),
            ("d.io",         22,    ONE, unknown()),
            ("e.io",         22,    ONE, unknown()),
            ("example.com",  22,    TWO, Verdict::Known),
            ("example.com",  22,    ONE, at(7)),
            ("example.org",  22,    TWO, unknown()),
        ];
        for (host, port, key, want) in cases {
            let key = russh::keys::parse_public_key_base64(key).unwrap();
            assert_eq!(known.judge(host, port, &key), want, "{host}:{port}");
        }
        known.add(Path::new("g"), &format!("@revoked * ssh-ed25519 {ONE}\n"));
        let key = russh::keys::parse_public_key_base64(ONE).unwrap();
        assert!(matches!(known.judge("a.io", 22, &key), Verdict::Revoked(_)));
        assert_eq!(known.algorithms("a.io", 22), [Algorithm::Ed25519]);
    }
}
