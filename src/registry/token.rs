//! Bearer tokens: asked for once, kept until they end or are refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;
use url::Url;

use crate::net::Secret;

use super::auth::{Challenge, Scope, check_realm};
use super::credentials::{Credential, Resolved};
use super::server::Server;
use super::{Error, transfer};

/// Bearer tokens by registry, scopes and credential; a token is asked for once, however many requests wait for it.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<Key, Arc<OnceCell<Token>>>>);

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
        let Some((challenge, asked)) = server.challenge(&scope.repository) else {
            return Ok(None);
        };
        if let Credential::Bearer { token } = &resolved.credential {
            return Ok(Some(bearer(token)));
        }
        match challenge {
            Challenge::Basic => Ok(basic(&resolved.credential)),
            Challenge::Bearer { realm, service, .. } => {
                let key = Key {
                    registry: server.registry.clone(),
                    scopes: scope.with_challenge(asked.as_ref()),
                    credential: resolved.credential.clone(),
                };
                let request = TokenRequest {
                    server,
                    realm: check_realm(&realm, server)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_has_ended_leaves_its_place() {
        let tokens = Tokens::default();
        let key = |registry: &str| Key {
            registry: registry.to_owned(),
            scopes: Vec::new(),
            credential: Credential::Anonymous,
        };
        let token = |expires| Token {
            secret: Secret::new("t"),
            expires,
        };
        let now = Instant::now();
        assert!(tokens.cell(key("old")).set(token(now)).is_ok());
        assert!(!tokens.cell(key("old")).initialized());
        assert!(tokens.cell(key("new")).set(token(now + LEEWAY)).is_ok());
        assert!(tokens.cell(key("new")).initialized());
        tokens.forget(&bearer(&Secret::new("t")));
        assert!(!tokens.cell(key("new")).initialized());
    }
}
