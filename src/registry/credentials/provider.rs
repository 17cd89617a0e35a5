//! Built-in helpers that ask a cloud: which registries each of them answers for, and what it answers.

use std::collections::HashMap;
use std::time::Instant;

use crate::cloud::{Surroundings, Token, google};

use super::{Credential, Error, acr, ecr};

/// A cloud whose registries we can log in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Provider {
    Google,
    Ecr,
    Acr,
}

/// A credential that ends.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) credential: Credential,
    pub(super) expires: Instant,
    since: Instant,
}

/// What Google's registries want as the user of an access token.
const GOOGLE_USER: &str = "_token";

impl Provider {
    pub(super) const ALL: [Self; 3] = [Self::Google, Self::Ecr, Self::Acr];

    /// Returns the name that `--credential-helpers` knows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Ecr => "ecr",
            Self::Acr => "acr",
        }
    }

    /// Returns the provider that does what a program `docker-credential-<name>` would.
    pub(super) fn of_program(name: &str) -> Option<Self> {
        match name {
            "gcr" | "gcloud" => Some(Self::Google),
            "ecr-login" => Some(Self::Ecr),
            "acr-env" => Some(Self::Acr),
            _ => None,
        }
    }

    /// Tells whether a registry belongs to this cloud; no other is ever told anything.
    pub(super) fn serves(self, registry: &str) -> bool {
        let Some(host) = host(registry) else {
            return false;
        };
        match self {
            Self::Google => is_google(host),
            Self::Ecr => ecr::Endpoint::of(host).is_some(),
            Self::Acr => acr::realm(host).is_some(),
        }
    }

    /// Logs in; `None` if there is nothing to log in with.
    async fn ask(self, at: &Surroundings, registry: &str) -> Result<Option<Lease>, Error> {
        let Some(host) = host(registry) else {
            return Ok(None);
        };
        let found = match self {
            Self::Google if is_google(host) => {
                let token = google::token(at, google::SCOPE).await;
                token.map(|token| token.map(google_user))
            }
            Self::Google => return Ok(None),
            Self::Ecr => match ecr::Endpoint::of(host) {
                Some(endpoint) => endpoint.credential(at).await,
                None => return Ok(None),
            },
            Self::Acr => acr::credential(at, host).await,
        };
        let found = found.map_err(|source| Error::Cloud {
            registry: registry.to_owned(),
            source: Box::new(source),
        })?;
        Ok(found.map(|(credential, expires)| Lease {
            credential,
            expires,
            since: Instant::now(),
        }))
    }
}

fn google_user(token: Token) -> (Credential, Instant) {
    let credential = Credential::Basic {
        username: GOOGLE_USER.to_owned(),
        password: token.secret,
    };
    (credential, token.expires)
}

fn is_google(host: &str) -> bool {
    host == "gcr.io"
        || [".gcr.io", ".pkg.dev", ".google.com"]
            .iter()
            .any(|suffix| is_below(host, suffix))
}

/// Tells whether a host has the suffix, and labels before it.
pub(super) fn is_below(host: &str, suffix: &str) -> bool {
    let labels = host.strip_suffix(suffix);
    labels.is_some_and(|labels| !labels.is_empty() && labels.split('.').all(is_label))
}

/// Tells whether a text may stand between two dots of a host name.
pub(super) fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-')
}

/// Returns the host of a registry that is reached over TLS at its usual port; clouds have no others.
fn host(registry: &str) -> Option<&str> {
    match registry.split_once(':') {
        None => Some(registry),
        Some((host, "443")) => Some(host),
        Some(_) => None,
    }
}

/// What providers answered, by registry. One question at a time for each provider; they do not wait for each other.
#[derive(Default)]
pub(super) struct Leases([tokio::sync::Mutex<HashMap<String, Lease>>; 3]);

impl Leases {
    /// Returns what is known, or asks.
    pub(super) async fn get(
        &self,
        provider: Provider,
        at: &Surroundings,
        registry: &str,
    ) -> Result<Option<Lease>, Error> {
        let mut known = self.0[provider as usize].lock().await;
        if let Some(lease) = known.get(registry)
            && lease.expires > Instant::now()
        {
            return Ok(Some(lease.clone()));
        }
        let lease = provider.ask(at, registry).await?;
        if let Some(lease) = &lease {
            known.insert(registry.to_owned(), lease.clone());
        }
        Ok(lease)
    }

    /// Forgets what a registry has refused, unless it is fresh.
    pub(super) async fn forget(&self, registry: &str) {
        for known in &self.0 {
            let mut known = known.lock().await;
            known.retain(|other, lease| other != registry || lease.since.elapsed() < super::YOUNG);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registry_has_its_own_cloud_only() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("gcr.io",                                              Some(Provider::Google)),
            ("gcr.io:443",                                          Some(Provider::Google)),
            ("gcr.io:8443",                                         None),
            ("eu.gcr.io",                                           Some(Provider::Google)),
            ("europe-docker.pkg.dev",                               Some(Provider::Google)),
            ("cloud.google.com",                                    Some(Provider::Google)),
            ("pkg.dev",                                             None),
            (".pkg.dev",                                            None),
            ("evil-gcr.io",                                         None),
            ("gcr.io.evil.example",                                 None),
            ("a/b.gcr.io",                                          None),
            ("me@evil.example#.gcr.io",                             None),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com",        Some(Provider::Ecr)),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Some(Provider::Ecr)),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",    Some(Provider::Ecr)),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",       Some(Provider::Ecr)),
            ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",    Some(Provider::Ecr)),
            ("123456789012.dkr-ecr.eu-west-1.on.aws",               Some(Provider::Ecr)),
            ("public.ecr.aws",                                      Some(Provider::Ecr)),
            ("ecr-public.aws.com",                                  Some(Provider::Ecr)),
            ("x.dkr.ecr.us-east-1.amazonaws.com",                   None),
            ("12345678901.dkr.ecr.us-east-1.amazonaws.com",         None),
            ("1234567890123.dkr.ecr.us-east-1.amazonaws.com",       None),
            ("a.123456789012.dkr.ecr.us-east-1.amazonaws.com",      None),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example", None),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com.cn",     None),
            ("123456789012.dkr.ecr.evil.example.amazonaws.com",     None),
            ("123456789012.dkr.ecr.US_1.amazonaws.com",             None),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com:5000",   None),
            ("my.public.ecr.aws",                                   None),
            ("mine.azurecr.io",                                     Some(Provider::Acr)),
            ("mine-abc123.azurecr.cn",                              Some(Provider::Acr)),
            ("mine.azurecr.us",                                     Some(Provider::Acr)),
            ("mine.azurecr.de",                                     Some(Provider::Acr)),
            ("azurecr.io",                                          None),
            ("mine.azurecr.io.evil.example",                        None),
            ("mine-azurecr.io",                                     None),
            ("mine.azurecr.com",                                    None),
            ("mcr.microsoft.com",                                   None),
            ("index.docker.io",                                     None),
            ("127.0.0.1:5000",                                      None),
        ];
        for (registry, want) in cases {
            let mut all = Provider::ALL.iter().copied();
            let found: Vec<_> = all.by_ref().filter(|one| one.serves(registry)).collect();
            assert_eq!(found, want.into_iter().collect::<Vec<_>>(), "{registry}");
        }
    }

    #[test]
    fn a_provider_keeps_its_leases_to_itself() {
        for (place, provider) in Provider::ALL.iter().enumerate() {
            assert_eq!(*provider as usize, place);
        }
    }
}
