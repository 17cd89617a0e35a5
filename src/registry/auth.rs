//! What a registry wants to know about us: challenges, scopes, and whom it may send us to.

use std::net::IpAddr;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::Url;

use super::Error;
use super::server::Server;

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the challenges of an answer, in the order of preference; unknown schemes are left out.
    pub(super) fn parse(headers: &HeaderMap) -> Vec<Self> {
        let mut challenges = Vec::new();
        for header in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = header.to_str() else { continue };
            let Ok(parsed) = http_auth::parse_challenges(text) else {
                tracing::debug!("a WWW-Authenticate header is malformed");
                continue;
            };
            for challenge in parsed {
                let param = |name: &str| {
                    let mut params = challenge.params.iter();
                    let found = params.find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    challenges.push(Self::Basic);
                } else if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = param("realm")
                {
                    challenges.push(Self::Bearer {
                        realm,
                        service: param("service"),
                        scope: param("scope").filter(|scope| !scope.is_empty()),
                    });
                }
            }
        }
        challenges.sort_by_key(|challenge| matches!(challenge, Self::Basic));
        challenges
    }
}

/// What a request is allowed to do: the `scope` parameters of its token, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) repository: String,
    actions: Vec<String>,
}

impl Scope {
    pub(super) fn pull(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            actions: vec![format!("repository:{repository}:pull")],
        }
    }

    pub(super) fn push(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            actions: vec![format!("repository:{repository}:pull,push")],
        }
    }

    /// Allows to delete from a repository, and to look at it.
    pub(super) fn delete(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            actions: vec![format!("repository:{repository}:delete,pull")],
        }
    }

    /// Allows to push to one repository and to mount from another.
    pub(super) fn mount(repository: &str, source: &str) -> Self {
        let mut scope = Self::push(repository);
        scope.actions.push(format!("repository:{source}:pull"));
        scope.actions.sort();
        scope
    }

    /// Adds what the registry itself asked for, if it is not covered.
    pub(super) fn with_challenge(&self, scope: Option<&String>) -> Vec<String> {
        let mut all = self.actions.clone();
        for one in scope.iter().flat_map(|scope| scope.split(' ')) {
            let covered = all
                .iter()
                .any(|own| own == one || own.strip_suffix(",push") == Some(one));
            if !covered && !one.is_empty() {
                all.push(one.to_owned());
            }
        }
        all
    }
}

/// Returns where a registry's tokens are made, if that place may see our credentials.
///
/// A registry, or who stands in for it, could otherwise have us send a password in the clear, or use us to reach into
/// the private network.
pub(super) fn check_realm(realm: &str, server: &Server) -> Result<Url, Error> {
    let base = &server.base;
    let refuse = |reason| Error::Realm {
        registry: server.registry.clone(),
        realm: realm.split('?').next().unwrap_or_default().to_owned(),
        reason,
    };
    let url = base.join(realm).map_err(|_| refuse("it is not a URL"))?;
    if url.origin() == base.origin() {
        return Ok(url);
    }
    match (url.scheme(), base.scheme()) {
        ("https", _) | ("http", "http") => {}
        ("http", _) => return Err(refuse("it is not encrypted, but the registry is")),
        _ => return Err(refuse("it is neither http nor https")),
    }
    let same_host = url.host() == base.host();
    let private = match url.host() {
        Some(url::Host::Ipv4(ip)) => is_private(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => is_private(IpAddr::V6(ip)),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => return Err(refuse("it has no host")),
    };
    if private && !same_host {
        return Err(refuse("it is another host with a private address"));
    }
    Ok(url)
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenges(headers: &[&str]) -> Vec<Challenge> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        Challenge::parse(&map)
    }

    #[test]
    fn bearer_is_preferred_among_several_challenges() {
        let bearer = |service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: "https://a.io/token".to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        #[rustfmt::skip] // a table keeps its columns
        let cases: &[(&[&str], Vec<Challenge>)] = &[
            (&[],                                                                vec![]),
            (&[r#"Basic realm="x""#],                                            vec![Challenge::Basic]),
            (&[r#"Bearer realm="https://a.io/token",service="s""#],              vec![bearer(Some("s"), None)]),
            (&[r#"BEARER Realm="https://a.io/token",scope="""#],                 vec![bearer(None, None)]),
            (&[r#"Basic realm="x", Bearer realm="https://a.io/token",scope="repository:a:pull""#],
             vec![bearer(None, Some("repository:a:pull")), Challenge::Basic]),
            (&[r#"Basic realm="x""#, r#"Bearer realm="https://a.io/token""#],    vec![bearer(None, None), Challenge::Basic]),
            (&["Negotiate", r#"Bearer service="no realm""#, "=broken="],         vec![]),
        ];
        for (headers, want) in cases {
            assert_eq!(challenges(headers), *want, "{headers:?}");
        }
    }

    #[test]
    fn a_realm_must_not_be_less_private_than_the_registry() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // registry               realm                       allowed
            ("https://a.io",          "https://auth.a.io/token",  true),
            ("https://a.io",          "https://b.io/token",       true),
            ("https://a.io",          "http://a.io/token",        false),
            ("https://a.io",          "https://10.0.0.1/token",   false),
            ("https://a.io",          "https://169.254.169.254/", false),
            ("https://a.io",          "https://[::1]/token",      false),
            ("https://a.io",          "https://[::ffff:10.0.0.1]/", false),
            ("https://a.io",          "https://localhost/token",  false),
            ("https://a.io",          "file:///etc/passwd",       false),
            ("https://a.io",          "/token",                   true),
            ("https://10.0.0.1",      "https://10.0.0.1:444/",    true),
            ("http://10.0.0.1",       "http://10.0.0.2/token",    false),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/",   true),
        ];
        for (registry, realm, allowed) in cases {
            let server = Server::for_test(registry);
            assert_eq!(
                check_realm(realm, &server).is_ok(),
                allowed,
                "{registry} {realm}"
            );
        }
    }

    #[test]
    fn the_scope_of_a_challenge_is_added_once() {
        let asked = |text: &str| Scope::push("a").with_challenge(Some(&text.to_owned()));
        assert_eq!(asked("repository:a:pull"), ["repository:a:pull,push"]);
        assert_eq!(asked("x y"), ["repository:a:pull,push", "x", "y"]);
    }
}
