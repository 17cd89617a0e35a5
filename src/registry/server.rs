//! A registry as it answers: its scheme, its challenge, and the clients that speak to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_err as fs;
use reqwest::{Method, Response, StatusCode};
use url::Url;

use crate::net::retry::is_transient;
use crate::net::{Identity, Net, Profile, Redirects, Secret};

use super::auth::Challenge;
use super::client::lock;
use super::{ClientCertificate, Error, Options, transfer};

/// A registry that has answered once.
pub(super) struct Server {
    pub(super) registry: String,
    /// Scheme, host and port, without a path.
    pub(super) base: Url,
    pub(super) user_agent: String,
    /// Follows redirects.
    pub(super) client: reqwest::Client,
    /// Returns redirects, for requests whose body cannot be sent twice.
    pub(super) uploads: reqwest::Client,
    /// Never leaves the token server.
    pub(super) tokens: reqwest::Client,
    challenges: Mutex<Challenges>,
}

/// What a registry wants to know about us.
#[derive(Default)]
struct Challenges {
    /// In the order of preference.
    known: Vec<Challenge>,
    /// What the tokens for a repository shall allow, as it said when it was asked; that of no name is said to all.
    scopes: BTreeMap<String, String>,
}

/// How a registry is to be reached; clients that would do it in the same way share what they find out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Approach {
    registry: String,
    profile: Profile,
    /// Plain HTTP is tried too.
    plain_http: bool,
    user_agent: String,
}

/// A plain HTTP attempt starts this much after the encrypted one, where it is allowed at all.
const HEAD_START: Duration = Duration::from_millis(300);

impl Server {
    /// Finds out how a registry is reached, and what it wants to know about us.
    pub(super) async fn connect(net: &Net, approach: &Approach) -> Result<Self, Error> {
        let registry = approach.registry.as_str();
        let client = |redirects| {
            let profile = Profile {
                redirects,
                ..approach.profile.clone()
            };
            net.http(&profile).map_err(|source| Error::Tls {
                registry: registry.to_owned(),
                source,
            })
        };
        let server = |scheme: &str| -> Result<Self, Error> {
            Ok(Self {
                registry: registry.to_owned(),
                base: base(scheme, registry)?,
                user_agent: approach.user_agent.clone(),
                client: client(Redirects::Follow)?,
                uploads: client(Redirects::Manual)?,
                tokens: client(Redirects::SameOrigin)?,
                challenges: Mutex::default(),
            })
        };
        let https = server("https")?;
        let (server, response) = if approach.plain_http {
            let http = server("http")?;
            let (plain, response) = either(&https, &http).await?;
            (if plain { http } else { https }, response)
        } else {
            let response = https.ping().await?;
            (https, response)
        };
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            // what came in the clear, after a redirect, may be anybody's
            let is_encrypted = response.url().scheme() == "https";
            if is_encrypted || server.base.scheme() == "http" {
                server.set_challenges(Challenge::parse(response.headers()), "");
            }
        } else if status.is_server_error() || is_transient(status) {
            let line = server.ping_line();
            transfer::check(response, &line, super::credentials::ANONYMOUS).await?;
        }
        tracing::debug!(registry, url = %server.base, %status, "registry answers");
        Ok(server)
    }

    async fn ping(&self) -> Result<Response, Error> {
        let request = self
            .client
            .request(Method::GET, self.ping_url())
            .header("user-agent", &self.user_agent);
        transfer::answer(request.send(), &self.ping_line()).await
    }

    fn ping_url(&self) -> Url {
        self.base
            .join("/v2/")
            .expect("an absolute path joins any base")
    }

    fn ping_line(&self) -> super::answer::RequestLine {
        transfer::line(&self.registry, "", &Method::GET, &self.ping_url())
    }

    /// Returns what a request has to meet first, and the scope that was asked for when the repository was asked.
    pub(super) fn challenge(&self, repository: &str) -> Option<(Challenge, Option<String>)> {
        let challenges = lock(&self.challenges);
        let scopes = &challenges.scopes;
        let scope = scopes.get(repository).or_else(|| scopes.get(""));
        Some((challenges.known.first()?.clone(), scope.cloned()))
    }

    /// Remembers the challenges that came when a repository was asked; what they want for it is of no concern to others.
    pub(super) fn set_challenges(&self, new: Vec<Challenge>, repository: &str) {
        let mut challenges = lock(&self.challenges);
        if let Some(Challenge::Bearer {
            scope: Some(scope), ..
        }) = new.first()
        {
            let scopes = &mut challenges.scopes;
            scopes.insert(repository.to_owned(), scope.clone());
        }
        challenges.known = new;
    }

    /// Tells whether a URL belongs to this registry, so that it may see our credentials.
    pub(super) fn owns(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    #[cfg(test)]
    pub(super) fn for_test(base: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_certs_only(Vec::new())
            .build()
            .unwrap();
        Self {
            registry: "test".to_owned(),
            base: base.parse().unwrap(),
            user_agent: "test".to_owned(),
            client: client.clone(),
            uploads: client.clone(),
            tokens: client,
            challenges: Mutex::default(),
        }
    }
}

fn base(scheme: &str, registry: &str) -> Result<Url, Error> {
    Url::parse(&format!("{scheme}://{registry}/")).map_err(|_| {
        Error::Reference(crate::image::Error::Reference {
            text: registry.to_owned(),
            reason: "the registry is not a host name",
        })
    })
}

/// Asks by HTTPS, and a little later, or when that failed, by plain HTTP; the first that is understood is taken.
///
/// Returns whether it was plain HTTP. If neither is understood, the error is that of HTTPS, unless nothing there speaks TLS.
async fn either(https: &Server, http: &Server) -> Result<(bool, Response), Error> {
    let mut secure = pin!(https.ping());
    let early = tokio::time::timeout(HEAD_START, &mut secure).await;
    let mut plain = pin!(async {
        match http.ping().await {
            // a TLS server answers 400 to plain HTTP, which says nothing about the registry behind it
            Ok(response) if response.status() == StatusCode::BAD_REQUEST => Err(None),
            result => result.map_err(Some),
        }
    });
    let secure_error = match early {
        Ok(Ok(response)) => return Ok((false, response)),
        Ok(Err(error)) => error,
        Err(_) => tokio::select! {
            secure = &mut secure => match secure {
                Ok(response) => return Ok((false, response)),
                Err(error) => error,
            },
            plain = &mut plain => match plain {
                Ok(response) => return Ok((true, response)),
                Err(_) => return secure.await.map(|response| (false, response)),
            },
        },
    };
    match plain.await {
        Ok(response) => Ok((true, response)),
        Err(Some(error)) if secure_error.is_not_tls() => Err(error),
        Err(_) => Err(secure_error),
    }
}

/// Tells whether a registry is so near that plain HTTP is tried without being asked for: on this machine, or in a private network.
pub(super) fn is_local(registry: &str) -> bool {
    let Some(host) = host(registry) else {
        return false;
    };
    match host {
        url::Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(ip) => ip.is_loopback() || ip.is_private(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    }
}

fn is_loopback(registry: &str) -> bool {
    match host(registry) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

fn host(registry: &str) -> Option<url::Host<String>> {
    let url = Url::parse(&format!("http://{registry}/")).ok()?;
    url.host().map(|host| host.to_owned())
}

/// Certificates by registry, read when the client is made.
#[derive(Default)]
pub(super) struct Trust {
    certificates: Vec<(String, Arc<[u8]>)>,
    identities: Vec<(String, Identity)>,
}

impl Trust {
    /// Reads the files that the options name.
    ///
    /// # Errors
    /// [`Error::Certificate`] for a file that cannot be read.
    pub(super) fn read(options: &Options) -> Result<Self, Error> {
        let mut trust = Self::default();
        for (registry, path) in &options.certificates {
            let pem = fs::read(path).map_err(|source| Error::Certificate {
                path: path.clone(),
                source,
            })?;
            let begin = b"-----BEGIN CERTIFICATE-----";
            if !pem.windows(begin.len()).any(|window| window == begin) {
                tracing::warn!(path = %path.display(), registry, "the file holds no certificate in PEM");
            }
            trust.certificates.push((registry.clone(), pem.into()));
        }
        for (registry, ClientCertificate { certificate, key }) in &options.client_certificates {
            let mut pem = String::new();
            for path in [certificate, key] {
                pem += &fs::read_to_string(path).map_err(|source| Error::Certificate {
                    path: path.clone(),
                    source,
                })?;
                pem.push('\n');
            }
            trust
                .identities
                .push((registry.clone(), Identity(Secret::new(pem))));
        }
        Ok(trust)
    }

    pub(super) fn approach(&self, registry: &str, options: &Options) -> Approach {
        Approach {
            registry: registry.to_owned(),
            profile: self.profile(registry, options),
            plain_http: options.allows_plain_http(registry),
            user_agent: options.user_agent.clone(),
        }
    }

    fn profile(&self, registry: &str, options: &Options) -> Profile {
        let skip_verify =
            options.skip_tls_verify || options.skip_tls_verify_registries.contains(registry);
        let certificates = find(&self.certificates, registry).filter(|_| !skip_verify);
        Profile {
            skip_verify,
            certificates,
            identity: find(&self.identities, registry),
            direct: is_loopback(registry),
            redirects: Redirects::Follow,
        }
    }
}

fn find<T: Clone>(entries: &[(String, T)], registry: &str) -> Option<T> {
    let mut entries = entries.iter();
    entries
        .find(|(name, _)| name == registry)
        .map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_near_registries() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("localhost",           true),
            ("localhost:5000",      true),
            ("a.localhost:5000",    true),
            ("127.0.0.1:5000",      true),
            ("[::1]:5000",          true),
            ("10.1.2.3",            true),
            ("172.16.0.1:80",       true),
            ("192.168.1.1",         true),
            ("172.32.0.1",          false),
            ("8.8.8.8",             false),
            ("index.docker.io",     false),
            ("localhost.example",   false),
        ];
        for (registry, want) in cases {
            assert_eq!(is_local(registry), want, "{registry}");
        }
    }
}
