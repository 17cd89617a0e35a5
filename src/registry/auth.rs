//! Who we are to a registry: challenges, and the tokens that answer them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::Url;

use crate::net::Secret;

use super::credentials::{Credential, Resolved};
use super::server::Server;
use super::{Error, transfer};

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

    /// Allows to push to one repository and to mount from another.
    pub(super) fn mount(repository: &str, source: &str) -> Self {
        let mut scope = Self::push(repository);
        scope.actions.push(format!("repository:{source}:pull"));
        scope.actions.sort();
        scope
    }

    /// Adds what the registry itself asked for, if it is not covered.
    fn with_challenge(&self, scope: Option<&String>) -> Vec<String> {
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

#[derive(PartialEq, Eq, Hash)]
struct Key {
    registry: String,
    scopes: Vec<String>,
    credential: Credential,
}

struct Token {
    secret: Secret,
    expires: Instant,
}

/// Bearer tokens by registry, scopes and credential; a token is asked for once, however many requests wait for it.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Key, Arc<OnceCell<Token>>>>);

/// A token this near to its end is not used any more.
const LEEWAY: Duration = Duration::from_secs(30);
/// What the token specification says where a server does not.
const DEFAULT_LIFETIME: u64 = 60;
const TOKEN_LIMIT: u64 = 1 << 20;

impl Tokens {
    /// Returns the `Authorization` header for a request, or `None` if it goes out without one.
    pub(super) async fn header(
        &self,
        server: &Server,
        scope: &Scope,
        resolved: &Resolved,
    ) -> Result<Option<HeaderValue>, Error> {
        let challenges = server.challenges();
        if let Credential::Bearer { token } = &resolved.credential
            && !challenges.is_empty()
        {
            return Ok(Some(bearer(token)));
        }
        match challenges.first() {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(basic(&resolved.credential)),
            Some(Challenge::Bearer {
                realm,
                service,
                scope: asked,
            }) => {
                let key = Key {
                    registry: server.registry.clone(),
                    scopes: scope.with_challenge(asked.as_ref()),
                    credential: resolved.credential.clone(),
                };
                let request = TokenRequest {
                    server,
                    realm: check_realm(realm, server)?,
                    service: service.as_deref(),
                    scopes: key.scopes.clone(),
                    repository: &scope.repository,
                    resolved,
                };
                let cell = self.cell(key);
                let token = cell.get_or_try_init(|| request.fetch()).await?;
                Ok(Some(bearer(&token.secret)))
            }
        }
    }

    /// Returns the place for a token; one that is about to expire has been removed from it.
    fn cell(&self, key: Key) -> Arc<OnceCell<Token>> {
        let mut tokens = self.0.lock().expect("nothing panics while it is held");
        let cell = tokens.entry(key).or_default();
        let expired = |token: &Token| token.expires <= Instant::now();
        if cell.get().is_some_and(expired) {
            *cell = Arc::default();
        }
        Arc::clone(cell)
    }

    /// Drops a token that a registry did not accept, unless it has been replaced already.
    pub(super) fn forget(&self, refused: &HeaderValue) {
        let mut tokens = self.0.lock().expect("nothing panics while it is held");
        tokens.retain(|_, cell| {
            cell.get()
                .is_none_or(|token| bearer(&token.secret) != refused)
        });
    }
}

struct TokenRequest<'a> {
    server: &'a Server,
    realm: Url,
    service: Option<&'a str>,
    scopes: Vec<String>,
    repository: &'a str,
    resolved: &'a Resolved,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl TokenRequest<'_> {
    async fn fetch(&self) -> Result<Token, Error> {
        if let Credential::Identity { token, .. } = &self.resolved.credential {
            match self.post(token).await {
                // not every token server knows the POST form
                Err(error)
                    if matches!(
                        error.status(),
                        Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
                    ) => {}
                result => return result,
            }
        }
        self.get().await
    }

    /// Asks for a token in Docker's way: a query, and basic authentication if there is a password.
    async fn get(&self) -> Result<Token, Error> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in &self.scopes {
                query.append_pair("scope", scope);
            }
        }
        let mut request = self.server.tokens.request(Method::GET, url.clone());
        if let Some(header) = basic(&self.resolved.credential) {
            request = request.header(AUTHORIZATION, header);
        }
        self.exchange(Method::GET, url, request).await
    }

    /// Exchanges an identity token, an OAuth2 refresh token.
    async fn post(&self, identity: &Secret) -> Result<Token, Error> {
        let body = self.form(identity);
        let request = self
            .server
            .tokens
            .request(Method::POST, self.realm.clone())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        self.exchange(Method::POST, self.realm.clone(), request)
            .await
    }

    fn form(&self, identity: &Secret) -> String {
        let scopes = self.scopes.join(" ");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", identity.reveal())
            .append_pair("client_id", "kaniko")
            .append_pair("scope", &scopes);
        if let Some(service) = self.service {
            form.append_pair("service", service);
        }
        form.finish()
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        request: reqwest::RequestBuilder,
    ) -> Result<Token, Error> {
        let line = transfer::line(&self.server.registry, self.repository, &method, &url);
        let started = Instant::now();
        let request = request.header("user-agent", &self.server.user_agent);
        let response = transfer::answer(request.send(), &line).await?;
        let response = transfer::check(response, &line, &self.resolved.source).await?;
        let body = transfer::read(response, &line, TOKEN_LIMIT).await?;
        let protocol = |reason: &str| Error::Protocol {
            request: Box::new(line.clone()),
            reason: reason.to_owned(),
        };
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| protocol("the token server's answer is not the JSON of a token"))?;
        let secret = answer.token.filter(|token| !token.is_empty());
        let secret = secret
            .or(answer.access_token)
            .filter(|token| HeaderValue::from_str(token).is_ok())
            .ok_or_else(|| protocol("the token server's answer holds no token"))?;
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFETIME).max(1));
        let usable = lifetime.saturating_sub(LEEWAY).max(lifetime / 2);
        Ok(Token {
            secret: Secret::new(secret),
            expires: started + usable.min(Duration::from_secs(24 * 3600)),
        })
    }
}

fn bearer(token: &Secret) -> HeaderValue {
    sensitive(&format!("Bearer {}", token.reveal()))
}

/// Returns the header of basic authentication, if there is a password.
fn basic(credential: &Credential) -> Option<HeaderValue> {
    use base64::Engine;
    let (username, password) = match credential {
        Credential::Basic { username, password } => (username, password),
        Credential::Identity { username, token } => (username, token),
        Credential::Anonymous | Credential::Bearer { .. } => return None,
    };
    let pair = format!("{username}:{}", password.reveal());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    Some(sensitive(&format!("Basic {encoded}")))
}

fn sensitive(text: &str) -> HeaderValue {
    // a token with bytes that no header can hold goes out empty, and is refused with the usual error
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Returns where a registry's tokens are made, if that place may see our credentials.
///
/// A registry, or who stands in for it, could otherwise have us send a password in the clear, or use us to reach into
/// the private network.
fn check_realm(realm: &str, server: &Server) -> Result<Url, Error> {
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
