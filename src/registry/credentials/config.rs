//! Docker's `config.json`: entries, helper programs, and which of them answers for a repository.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::image::reference::DOCKER_HUB;
use crate::net::Secret;

use super::{Credential, Error, Malformed};

/// A config file, or the text of `DOCKER_AUTH_CONFIG`.
#[derive(Debug, Clone)]
pub(super) struct ConfigFile {
    /// `file:<path>` or `env:DOCKER_AUTH_CONFIG`.
    pub(super) origin: String,
    document: Document,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Hidden,
    username: Option<String>,
    password: Hidden,
    identitytoken: Hidden,
    registrytoken: Hidden,
}

/// A secret as JSON holds it; an empty one is none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Option<String>")]
struct Hidden(Option<Secret>);

impl From<Option<String>> for Hidden {
    fn from(text: Option<String>) -> Self {
        Self(text.filter(|text| !text.is_empty()).map(Secret::new))
    }
}

/// Who may know the credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Credential(Credential),
    /// The name behind `docker-credential-`, and what to ask for.
    Program {
        name: String,
        key: String,
    },
}

/// The key under which Docker files its hub.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

impl ConfigFile {
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let document = serde_json::from_str(text).map_err(|error| Error::Config {
            origin: origin.to_owned(),
            source: Malformed::from(error),
        })?;
        Ok(Self {
            origin: origin.to_owned(),
            document,
        })
    }

    /// Reads the value of `DOCKER_AUTH_CONFIG`; only its `auths` count.
    pub(super) fn parse_inline(text: &str) -> Result<Self, Error> {
        let mut config = Self::parse(text, "env:DOCKER_AUTH_CONFIG")?;
        config.document.cred_helpers = None;
        config.document.creds_store = None;
        Ok(config)
    }

    /// Returns who is to be asked for a repository's credential, in order.
    ///
    /// The helpers named for it, from its whole path to the registry; then the store; then the entries, likewise.
    pub(super) fn answers(&self, registry: &str, repository: &str) -> Result<Vec<Answer>, Error> {
        let scopes = scopes(registry, repository);
        let mut answers = Vec::new();
        for scope in &scopes {
            let mut helpers = self.document.cred_helpers.iter().flatten();
            if let Some((key, name)) = helpers.find(|(key, _)| normal(key) == Some(scope.as_str()))
            {
                answers.push(Answer::Program {
                    name: name.clone(),
                    key: key.clone(),
                });
            }
        }
        let store = self.document.creds_store.as_ref();
        if let Some(name) = store.filter(|name| !name.is_empty()) {
            answers.push(Answer::Program {
                name: name.clone(),
                key: key(registry).to_owned(),
            });
        }
        answers.extend(self.auth(registry, repository)?.map(Answer::Credential));
        Ok(answers)
    }

    /// Returns what `auths` has for a repository: the entry with the longest path that it lies in.
    pub(super) fn auth(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, Error> {
        for scope in scopes(registry, repository) {
            if let Some(credential) = self.entry(&scope)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn entry(&self, scope: &str) -> Result<Option<Credential>, Error> {
        let Some(auths) = &self.document.auths else {
            return Ok(None);
        };
        let exact = auths.get_key_value(scope);
        let alias = || auths.iter().find(|(key, _)| normal(key) == Some(scope));
        let Some((key, entry)) = exact.or_else(alias) else {
            return Ok(None);
        };
        entry.credential().map_err(|InvalidAuth| Error::Auth {
            origin: self.origin.clone(),
            key: key.clone(),
        })
    }

    /// Returns the helper that keeps a registry's credential, if one does.
    pub(super) fn keeper(&self, registry: &str) -> Option<String> {
        let mut helpers = self.document.cred_helpers.iter().flatten();
        let named = helpers.find(|(key, _)| normal(key) == Some(registry));
        let store = self.document.creds_store.as_ref();
        let name = named.map(|(_, name)| name).or(store)?;
        Some(name.clone()).filter(|name| !name.is_empty())
    }
}

struct InvalidAuth;

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, InvalidAuth> {
        if let Some(token) = &self.registrytoken.0 {
            return Ok(Some(Credential::Bearer {
                token: token.clone(),
            }));
        }
        let (username, password) = match &self.auth.0 {
            Some(auth) => {
                let (username, password) = decode(auth.reveal()).ok_or(InvalidAuth)?;
                (username, Some(password))
            }
            None => (
                self.username.clone().unwrap_or_default(),
                self.password.0.clone(),
            ),
        };
        if let Some(token) = &self.identitytoken.0 {
            return Ok(Some(Credential::Identity {
                username,
                token: token.clone(),
            }));
        }
        // `docker login` with a store leaves an empty entry behind
        Ok(password
            .filter(|_| !username.is_empty())
            .map(|password| Credential::Basic { username, password }))
    }
}

/// Reads `auth`: base64 of `user:password`, with or without padding; some tools end the password with NUL bytes.
fn decode(auth: &str) -> Option<(String, Secret)> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let bytes = engine.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = password.trim_end_matches('\0');
    Some((username.to_owned(), Secret::new(password)))
}

/// Returns the key under which a registry's credential is filed.
pub(super) fn key(registry: &str) -> &str {
    match normal(registry) {
        Some(DOCKER_HUB) => HUB_KEY,
        _ => registry,
    }
}

/// Returns the names under which a repository may be configured, the longest first.
fn scopes(registry: &str, repository: &str) -> Vec<String> {
    let mut scopes = Vec::new();
    let mut path = repository;
    while !path.is_empty() {
        scopes.push(format!("{registry}/{path}"));
        path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    scopes.push(registry.to_owned());
    scopes
}

/// Returns the scope that a key means: a URL means its host, and Docker Hub has one name.
pub(super) fn normal(key: &str) -> Option<&str> {
    let bare = key.strip_prefix("https://").or(key.strip_prefix("http://"));
    let scope = bare.unwrap_or(key).trim_end_matches('/');
    let host = scope.split('/').next()?;
    let old_form = scope == format!("{host}/v1") || scope == format!("{host}/v2");
    let scope = if bare.is_some() || old_form {
        host
    } else {
        scope
    };
    match scope {
        "docker.io" | "registry-1.docker.io" => Some(DOCKER_HUB),
        "" => None,
        scope => Some(scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(username: &str, password: &str) -> Answer {
        Answer::Credential(Credential::Basic {
            username: username.to_owned(),
            password: Secret::new(password),
        })
    }

    fn program(name: &str, key: &str) -> Answer {
        Answer::Program {
            name: name.to_owned(),
            key: key.to_owned(),
        }
    }

    fn check(config: &str, image: &str, want: &[Answer]) {
        let (registry, repository) = image.split_once('/').unwrap();
        let config = ConfigFile::parse(config, "file:x").unwrap();
        let got = config.answers(registry, repository).unwrap();
        assert_eq!(got, want, "{image}");
    }

    #[test]
    fn the_longest_path_answers() {
        let config = r#"{"auths":{
            "r.io":{"auth":"aG9zdDpw"},
            "r.io/org-a":{"auth":"b3JnOnA="},
            "r.io/org-a/deep/repo":{"username":"deep","password":"p"},
            "https://u.io/v1/":{"auth":"dXJsOnA"},
            "only.io/org-a":{"auth":"b3JnOnA="},
            "empty.io":{}
        }}"#;
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("r.io/x",                 Some("host")),
            ("r.io/org-b/x",           Some("host")),
            ("r.io/org-a/x",           Some("org")),
            ("r.io/org-a/deep/repo",   Some("deep")),
            ("r.io/org-a/deep/repo2",  Some("org")),
            ("u.io/x",                 Some("url")),
            ("only.io/org-a/x",        Some("org")),
            ("only.io/org-b/x",        None),
            ("empty.io/x",             None),
            ("other.io/x",             None),
        ];
        for (image, username) in cases {
            let want: Vec<_> = username.into_iter().map(|name| basic(name, "p")).collect();
            check(config, image, &want);
        }
    }

    #[test]
    fn every_name_of_docker_hub_matches() {
        for key in [
            "docker.io",
            "index.docker.io",
            "index.docker.io/v1/",
            HUB_KEY,
            "registry-1.docker.io",
            "https://docker.io",
        ] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"aHViOnA6cQ=="}}}}}}"#);
            check(&config, "index.docker.io/library/a", &[basic("hub", "p:q")]);
        }
    }

    #[test]
    fn programs_come_before_entries() {
        let config = r#"{"auths":{"r.io":{"auth":"aG9zdDpw"},"s.io":{}},
            "credHelpers":{"r.io":"one"},"credsStore":"all"}"#;
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("r.io/x",                     vec![program("one", "r.io"), program("all", "r.io"), basic("host", "p")]),
            ("s.io/x",                     vec![program("all", "s.io")]),
            ("index.docker.io/library/a",  vec![program("all", HUB_KEY)]),
        ];
        for (image, want) in cases {
            check(config, image, &want);
        }
    }

    #[test]
    fn tokens_are_told_from_passwords() {
        let config = r#"{"auths":{"i.io":{"auth":"dTo=","identitytoken":"t"},"b.io":{"registrytoken":"t"}}}"#;
        let token = Secret::new("t");
        let identity = Credential::Identity {
            username: "u".to_owned(),
            token: token.clone(),
        };
        check(config, "i.io/x", &[Answer::Credential(identity)]);
        let bearer = Credential::Bearer { token };
        check(config, "b.io/x", &[Answer::Credential(bearer)]);
    }

    #[test]
    fn broken_files_are_errors_that_show_no_secret() {
        assert!(ConfigFile::parse("{", "x").is_err());
        for empty in ["", "{}", r#"{"auths":null,"credsStore":null}"#] {
            check(empty, "r.io/x", &[]);
        }
        let text = r#"{"auths":{"r.io":{"auth":"c2VjcmV0"}}}"#; // `secret`, without a colon
        let config = ConfigFile::parse(text, "file:x").unwrap();
        let error = config.auth("r.io", "x").unwrap_err();
        let shown = format!("{error} {error:?} {config:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("c2VjcmV0"),
            "{shown}"
        );
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (r#"{"auths":{"r.io":{"password":12345}}}"#, "something else than expected at line 1 column 34"),
            (r#"{"auths":{"r.io":"c2VjcmV0"}}"#,         "something else than expected at line 1 column 27"),
            (r#"{"auths":{"r.io":{"auth":"c2VjcmV0"#,    "it ends at line 1 column 34"),
            ("c2VjcmV0",                                 "it is no JSON at line 1 column 1"),
        ];
        for (text, want) in cases {
            let error = ConfigFile::parse(text, "file:x").unwrap_err();
            let source = std::error::Error::source(&error).unwrap();
            assert_eq!(source.to_string(), want, "{text}");
        }
    }
}
