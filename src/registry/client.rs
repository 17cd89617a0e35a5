//! One client for all registries: sends a request until it is answered for good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::net::Net;

use super::auth::{Challenge, Scope};
use super::damage::Damaged;
use super::insistence::{Insistence, Rounds};
use super::mount::Mounts;
use super::pull::Images;
use super::server::{Approach, Server, Trust};
use super::spare::Spares;
use super::token::Tokens;
use super::{Error, Options, transfer};
use crate::net::retry::{Backoff, Retry};

/// A client of any number of registries; clones share everything.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) net: Net,
    pub(super) options: Options,
    pub(super) images: Images,
    pub(super) shared: Arc<Shared>,
    trust: Trust,
    servers: Mutex<HashMap<String, ServerCell>>,
}

type ServerCell = Arc<OnceCell<Server>>;

/// What is found out about registries once, for all clients of a job.
#[derive(Default)]
pub(super) struct Shared {
    servers: Mutex<HashMap<Approach, ServerCell>>,
    tokens: Tokens,
    pub(super) spares: Spares,
    pub(super) mounts: Mounts,
    pub(super) damaged: Damaged,
    pub(super) insistence: Insistence,
}

/// A request to one registry.
pub(super) struct Request<'a> {
    pub(super) registry: &'a str,
    pub(super) scope: Scope,
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// So many answers that break off are taken for what a registry really has.
const BELIEVED: u32 = 4;

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A path on the registry, with its query.
    Path(String),
    /// What a `Location` said; sees credentials only if it is the registry's.
    Url(Url),
}

impl<'a> Request<'a> {
    pub(super) fn new(registry: &'a str, scope: Scope, method: Method, target: Target) -> Self {
        Self {
            registry,
            scope,
            method,
            target,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // only our own constants and media types that came in a JSON string reach this
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl Client {
    /// Makes a client and reads the certificates that the options name.
    ///
    /// # Errors
    /// [`Error::Certificate`] for a file that cannot be read.
    pub fn new(net: &Net, options: Options) -> Result<Self, Error> {
        Self::with(net, options, Arc::default())
    }

    /// Makes a client with other options that asks no registry again what this one knows.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn sibling(&self, options: Options) -> Result<Self, Error> {
        Self::with(self.net(), options, Arc::clone(&self.0.shared))
    }

    fn with(net: &Net, options: Options, shared: Arc<Shared>) -> Result<Self, Error> {
        let trust = Trust::read(&options)?;
        Ok(Self(Arc::new(Inner {
            net: net.clone(),
            options,
            images: Images::default(),
            shared,
            trust,
            servers: Mutex::default(),
        })))
    }

    /// Returns the network this client lives in.
    pub fn net(&self) -> &Net {
        &self.0.net
    }

    /// Sends a request, as often as the options allow, until it succeeds.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        self.retrying(self.0.options.retry, || self.send_once(request, None))
            .await
    }

    /// Sends a request and reads the whole answer; one that breaks off, or that `is_whole` does not take, is asked for again.
    pub(super) async fn fetch(
        &self,
        request: &Request<'_>,
        retry: Retry,
        limit: u64,
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> Result<(HeaderMap, Bytes), Error> {
        let mut broken = 0;
        self.retrying(retry, async || {
            let response = self.send_once(request, None).await?;
            let line = transfer::line(
                request.registry,
                &request.scope.repository,
                &request.method,
                response.url(),
            );
            let headers = response.headers().clone();
            let body = transfer::read(response, &line, limit).await?;
            broken += u32::from(!is_whole(&body));
            // what is cut short every time is stored so, and the caller finds out what that means
            match is_whole(&body) || broken >= BELIEVED {
                true => Ok((headers, body)),
                false => Err(Error::BrokenOff {
                    request: Box::new(line),
                    received: body.len(),
                }),
            }
        })
        .await
    }

    /// Repeats an operation while it fails in a way that may pass.
    pub(super) async fn retrying<T>(
        &self,
        retry: Retry,
        mut operation: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut backoff = Backoff::new(retry);
        let mut unreachable = 0;
        loop {
            let error = match operation().await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            unreachable += u32::from(error.is_unreachable());
            let Some(delay) = backoff.next(error.retry_after()) else {
                return Err(error);
            };
            if unreachable >= retry.without_answer() {
                return Err(error);
            }
            tracing::warn!(
                "Retrying operation after {delay:.1?} due to {}",
                error.chain()
            );
            tokio::time::sleep(delay).await;
        }
    }

    /// Repeats an operation that failed in a way that `may_change`, as often as there are rounds left.
    pub(super) async fn insisting<T>(
        &self,
        rounds: &Rounds,
        may_change: impl Fn(&Error) -> bool,
        mut operation: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let round = rounds.enter().await;
            let error = match operation().await {
                Err(error) if may_change(&error) => error,
                result => return result,
            };
            let Some(wait) = rounds.refused(round, self.0.options.retry) else {
                return Err(error);
            };
            if !wait.is_zero() {
                tracing::warn!(
                    "Retrying operation after {wait:.1?} due to {}",
                    error.chain()
                );
            }
        }
    }

    /// Sends a request once; a 401 is answered once, with a new token for the challenge that came with it.
    ///
    /// A streamed body cannot be sent again, so its 401 is an error, as its redirect is an answer.
    pub(super) async fn send_once(
        &self,
        request: &Request<'_>,
        stream: Option<Body>,
    ) -> Result<Response, Error> {
        let server = self.server(request.registry).await?;
        let server = server.get().expect("`server` returns it initialised");
        let url = match &request.target {
            Target::Path(path) => server
                .base
                .join(path)
                .map_err(|_| self.no_url(request, path))?,
            Target::Url(url) => url.clone(),
        };
        let line = transfer::line(
            request.registry,
            &request.scope.repository,
            &request.method,
            &url,
        );
        let streamed = stream.is_some();
        let client = if streamed {
            &server.uploads
        } else {
            &server.client
        };
        let build = |authorization: Option<&HeaderValue>, body: Body| {
            let mut builder = client
                .request(request.method.clone(), url.clone())
                .header("user-agent", &server.user_agent)
                .body(body);
            for (name, value) in &request.headers {
                builder = builder.header(name, value);
            }
            match authorization {
                Some(value) => builder.header(AUTHORIZATION, value),
                None => builder,
            }
        };
        let credentials = &self.0.options.credentials;
        let mut resolved = credentials
            .resolve(&self.0.net, request.registry, &request.scope.repository)
            .await
            .map_err(|source| Error::Credentials {
                registry: request.registry.to_owned(),
                source,
            })?;
        let owned = server.owns(&url);
        let mut authorization = None;
        if owned {
            authorization = self
                .0
                .shared
                .tokens
                .header(server, &request.scope, &resolved)
                .await?;
        }
        let body = stream.unwrap_or_else(|| Body::from(request.body.clone()));
        let sending = build(authorization.as_ref(), body).send();
        // an upload takes as long as it takes: `upload` watches that it moves
        let mut response = if streamed {
            sending
                .await
                .map_err(|source| transfer::transport(&line, source))?
        } else {
            transfer::answer(sending, &line).await?
        };
        // who a blob's request was redirected to is not asked where our credentials should go
        let is_own_answer = owned && server.owns(response.url());
        if response.status() == StatusCode::UNAUTHORIZED && is_own_answer && !streamed {
            let challenges = Challenge::parse(response.headers());
            if !challenges.is_empty() {
                server.set_challenges(challenges, &request.scope.repository);
            }
            if let Some(refused) = &authorization {
                self.0.shared.tokens.forget(refused);
                resolved = credentials
                    .refresh(&self.0.net, request.registry, &request.scope.repository)
                    .await
                    .map_err(|source| Error::Credentials {
                        registry: request.registry.to_owned(),
                        source,
                    })?;
            }
            let renewed = self
                .0
                .shared
                .tokens
                .header(server, &request.scope, &resolved)
                .await?;
            if renewed.is_some() && renewed != authorization {
                let sending = build(renewed.as_ref(), Body::from(request.body.clone())).send();
                response = transfer::answer(sending, &line).await?;
            }
        }
        if streamed && response.status().is_redirection() {
            return Ok(response);
        }
        transfer::check(response, &line, &resolved.source).await
    }

    /// Returns the registry's cell, initialised: the first request to it finds out how it is reached.
    pub(super) async fn server(&self, registry: &str) -> Result<ServerCell, Error> {
        let approach = self.0.trust.approach(registry, &self.0.options);
        let cell = {
            let mut servers = lock(&self.0.servers);
            let cell = servers.entry(registry.to_owned());
            Arc::clone(cell.or_insert_with(|| {
                Arc::clone(
                    lock(&self.0.shared.servers)
                        .entry(approach.clone())
                        .or_default(),
                )
            }))
        };
        cell.get_or_try_init(|| Server::connect(&self.0.net, &approach))
            .await?;
        Ok(cell)
    }

    fn no_url(&self, request: &Request<'_>, path: &str) -> Error {
        Error::Reference(crate::image::Error::Reference {
            text: format!("{}{path}", request.registry),
            reason: "it makes no URL",
        })
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it is held")
}
