//! Who we are, by registry and repository.
//!
//! Sources are asked in order; the first that knows the repository decides. Files and the environment are read when
//! [`Credentials`] is made; helper programs run later, and a cloud is asked when one of its own registries is used.
//!
//! # Spec
//! compat spec 5. Deviations: a path-scoped entry answers for its own path only, `DOCKER_AUTH_CONFIG` works without a file,
//! Docker's file is looked for in `$DOCKER_CONFIG` alone, if that variable is set, and passwords of ECR are not kept on disk.

pub mod serve;
pub mod store;

mod acr;
mod config;
mod discover;
mod ecr;
mod environment;
mod error;
mod helper;
mod program;
mod provider;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::causes;
use crate::cloud::Surroundings;
use crate::net::{Environment, Net, Secret};

use config::{Answer, ConfigFile};
use error::Malformed;
use helper::Helper;
use provider::{Leases, Provider};

pub use discover::mount_points;
pub use error::Error;

/// What authenticates us to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    /// An OAuth2 refresh token.
    Identity {
        username: String,
        token: Secret,
    },
    /// A token for the registry itself.
    Bearer {
        token: Secret,
    },
}

/// A credential and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) credential: Credential,
    /// `env:DOCKER_AUTH_CONFIG`, `file:<path>`, a helper's name, or [`ANONYMOUS`].
    pub(super) source: String,
    /// When it ends, if that is known.
    expires: Option<Instant>,
}

/// The source's name where there is no credential.
pub(super) const ANONYMOUS: &str = "anonymous";

/// Where credentials come from.
#[derive(Debug, Clone)]
pub struct Options {
    pub environment: Environment,
    /// The values of `--credential-helpers`; `None` if it was not given, which means all.
    pub helpers: Option<Vec<String>>,
}

/// The credentials of this process, for any number of clients.
pub struct Credentials {
    environment: Environment,
    inline: Option<ConfigFile>,
    /// What was wrong with the file is told when it is needed first: a build may do without registries.
    file: Result<Option<ConfigFile>, Arc<Error>>,
    helpers: Vec<Helper>,
    surroundings: OnceLock<Surroundings>,
    leases: Leases,
    known: Mutex<HashMap<(String, String), Known>>,
}

struct Known {
    resolved: Resolved,
    since: Instant,
}

/// A credential younger than this is not asked for again when a registry refuses it.
const YOUNG: Duration = Duration::from_secs(60);

impl Credentials {
    /// Reads the configuration files and chooses the helpers.
    pub fn load(options: Options) -> Self {
        let Options {
            environment,
            helpers,
        } = options;
        let helpers = helper::choose(helpers.as_deref());
        let inline = environment.get("DOCKER_AUTH_CONFIG").and_then(|text| {
            ConfigFile::parse_inline(text)
                .inspect_err(|error| tracing::warn!("DOCKER_AUTH_CONFIG is ignored: {error}"))
                .ok()
        });
        let file = discover::find(&environment).map_err(Arc::new);
        Self {
            environment,
            inline,
            file,
            helpers,
            surroundings: OnceLock::new(),
            leases: Leases::default(),
            known: Mutex::default(),
        }
    }

    /// Tells whether `DOCKER_AUTH_CONFIG` is set, which often surprises who wrote a config file.
    pub(super) fn has_inline(&self) -> bool {
        self.inline.is_some()
    }

    /// Returns the sources in the order in which they are asked, as kaniko's log lists them.
    fn priority(&self) -> String {
        let inline = self.inline.iter().map(|config| config.origin.clone());
        let file = self
            .file
            .iter()
            .flatten()
            .map(|config| config.origin.clone());
        let helpers = self.helpers.iter().map(|helper| helper.name().to_owned());
        let all: Vec<_> = inline.chain(file).chain(helpers).collect();
        all.join(", ")
    }

    /// Returns the credential for a repository; the answer is kept.
    pub(super) async fn resolve(
        &self,
        net: &Net,
        registry: &str,
        repository: &str,
    ) -> Result<Resolved, Arc<Error>> {
        let key = (registry.to_owned(), repository.to_owned());
        if let Some(known) = self.known.lock().expect("never poisoned").get(&key)
            && known
                .resolved
                .expires
                .is_none_or(|end| end > Instant::now())
        {
            return Ok(known.resolved.clone());
        }
        tracing::debug!("credential providers by priority: [{}]", self.priority());
        let resolved = self.ask(net, registry, repository).await?;
        tracing::debug!(
            registry,
            repository,
            source = resolved.source,
            "credential chosen"
        );
        let known = Known {
            resolved: resolved.clone(),
            since: Instant::now(),
        };
        self.known
            .lock()
            .expect("never poisoned")
            .insert(key, known);
        Ok(resolved)
    }

    /// Returns the credential for a repository after it was refused: asked for anew, unless it is fresh.
    pub(super) async fn refresh(
        &self,
        net: &Net,
        registry: &str,
        repository: &str,
    ) -> Result<Resolved, Arc<Error>> {
        let key = (registry.to_owned(), repository.to_owned());
        {
            let mut known = self.known.lock().expect("never poisoned");
            known.retain(|other, known| *other != key || known.since.elapsed() < YOUNG);
        }
        self.leases.forget(registry).await;
        self.resolve(net, registry, repository).await
    }

    async fn ask(
        &self,
        net: &Net,
        registry: &str,
        repository: &str,
    ) -> Result<Resolved, Arc<Error>> {
        let resolved = |credential, source: &str| Resolved {
            credential,
            source: source.to_owned(),
            expires: None,
        };
        if let Some(config) = &self.inline
            && let Some(credential) = config.auth(registry, repository)?
        {
            return Ok(resolved(credential, &config.origin));
        }
        if let Some(config) = self.file.as_ref().map_err(Arc::clone)? {
            for answer in config.answers(registry, repository)? {
                let (name, key) = match answer {
                    Answer::Credential(credential) => {
                        return Ok(resolved(credential, &config.origin));
                    }
                    Answer::Program { name, key } => (name, key),
                };
                let found = self.ask_program(net, &name, &key).await?;
                if let Some((credential, expires)) = found {
                    return Ok(Resolved {
                        expires,
                        ..resolved(credential, &format!("helper:{name}"))
                    });
                }
            }
        }
        for helper in &self.helpers {
            let (found, source) = match *helper {
                Helper::Cloud(provider) if provider.serves(registry) => {
                    match self.ask_cloud(provider, net, registry).await {
                        Ok(Some((credential, expires))) => {
                            return Ok(Resolved {
                                expires,
                                ..resolved(credential, provider.name())
                            });
                        }
                        Ok(None) => tracing::debug!("no credentials for {registry}"),
                        // the registry has the last word on whether it goes without
                        Err(error) => tracing::warn!("{}", causes::in_one_line(&error)),
                    }
                    continue;
                }
                Helper::Cloud(_) => continue,
                Helper::Env => (environment::host(&self.environment, registry), "env"),
                Helper::Gitlab => (environment::gitlab(&self.environment, registry), "gitlab"),
            };
            if let Some(credential) = found {
                return Ok(resolved(credential, source));
            }
        }
        Ok(resolved(Credential::Anonymous, ANONYMOUS))
    }

    /// Asks a helper program that the config file names, or what is built in for it if there is no such program.
    async fn ask_program(
        &self,
        net: &Net,
        name: &str,
        key: &str,
    ) -> Result<Option<(Credential, Option<Instant>)>, Error> {
        let found = {
            // during an in-place command the program of this name may be the image's
            let _guard = net.host().lock().await;
            program::get(name, key, &self.environment).await
        };
        match (found, Provider::of_program(name)) {
            (Err(Error::NoProgram { .. }), Some(provider)) => {
                let registry = config::normal(key).unwrap_or(key);
                let registry = registry.split('/').next().unwrap_or(registry);
                self.ask_cloud(provider, net, registry).await
            }
            (found, _) => Ok(found?.map(|credential| (credential, None))),
        }
    }

    async fn ask_cloud(
        &self,
        provider: Provider,
        net: &Net,
        registry: &str,
    ) -> Result<Option<(Credential, Option<Instant>)>, Error> {
        let at = self
            .surroundings
            .get_or_init(|| Surroundings::new(net, &self.environment));
        let lease = self.leases.get(provider, at, registry).await?;
        Ok(lease.map(|lease| (lease.credential, Some(lease.expires))))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials")
            .field(&self.priority())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_asked_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = r#"{"auths":{"a.io":{"auth":"ZmlsZTpw"},"b.io":{"auth":"ZmlsZTpw"}}}"#;
        fs_err::write(dir.path().join("config.json"), file).unwrap();
        let config = dir.path().display().to_string();
        let variables = [
            ("DOCKER_CONFIG", config.as_str()),
            (
                "DOCKER_AUTH_CONFIG",
                r#"{"auths":{"a.io":{"auth":"aW5saW5lOnA="}}}"#,
            ),
            ("KANIKO_IO_USER", "env"),
            ("KANIKO_IO_PASSWORD", "p"),
        ];
        let environment = variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let credentials = Credentials::load(Options {
            environment: Environment(environment),
            helpers: None,
        });
        let net = Net::new(crate::net::Options { http1_only: false }).unwrap();
        let file = format!("file:{config}/config.json");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a.io",  "env:DOCKER_AUTH_CONFIG"),
            ("b.io",  file.as_str()),
            ("c.io",  "env"),
            ("c.com", "anonymous"),
        ];
        for (registry, want) in cases {
            let resolved = net
                .block_on(credentials.resolve(&net, registry, "x"))
                .unwrap();
            assert_eq!(resolved.source, want, "{registry}");
        }
    }
}
