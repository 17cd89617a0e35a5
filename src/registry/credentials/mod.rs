//! Who we are, by registry and repository.
//!
//! Sources are asked in order; the first that knows the repository decides. All of them are local: files and the
//! environment are read when [`Credentials`] is made, and only helper programs run later.
//!
//! # Spec
//! compat spec 5. Deviations: a path-scoped entry answers for its own path only, `DOCKER_AUTH_CONFIG` works without a file,
//! and Docker's file is looked for in `$DOCKER_CONFIG` alone, if that variable is set.

pub mod store;

mod config;
mod discover;
mod environment;
mod program;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::net::{Net, Secret};

use config::{Answer, ConfigFile};

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
}

/// The source's name where there is no credential.
pub(super) const ANONYMOUS: &str = "anonymous";

/// Why the credentials for a registry are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read `{}`", .path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write `{}`", .path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{origin}` is not a Docker config file")]
    Config {
        origin: String,
        source: serde_json::Error,
    },
    #[error(
        "the entry `{key}` of `{origin}` has an invalid `auth`: expected base64 of `user:password`"
    )]
    Auth { origin: String, key: String },
    #[error("credential helper `{program}` is not installed")]
    NoProgram { program: String },
    #[error("cannot run credential helper `{program}`")]
    Run {
        program: String,
        source: std::io::Error,
    },
    #[error("credential helper `{program}` did not answer within {} seconds", .limit.as_secs())]
    Timeout { program: String, limit: Duration },
    #[error("credential helper `{program}` failed ({status}): {message}")]
    Failed {
        program: String,
        status: String,
        message: String,
    },
    #[error("credential helper `{program}` answered something else than a credential")]
    Answer { program: String },
    #[error("credential helper `{name}`: not supported yet")]
    Unsupported { name: String },
    #[error("neither DOCKER_CONFIG nor HOME says where the Docker config file is")]
    NoHome,
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoProgram { .. } => Some(
                "install it in a directory of PATH, or remove it from `credsStore` and `credHelpers` of the Docker config file".to_owned(),
            ),
            Self::Unsupported { .. } => Some(
                "use a Docker config file instead; its `credHelpers` may name a `docker-credential-*` program that is installed".to_owned(),
            ),
            Self::NoHome => Some("set DOCKER_CONFIG to the directory of `config.json`".to_owned()),
            _ => None,
        }
    }
}

/// The environment, as a value; shown by its names only.
#[derive(Clone, Default)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// Returns a variable that is set and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish() // values may be passwords
    }
}

/// Where credentials come from.
#[derive(Debug, Clone)]
pub struct Options {
    pub environment: Environment,
    /// The values of `--credential-helpers`; `None` if it was not given, which means all.
    pub helpers: Option<Vec<String>>,
}

/// A built-in helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Helper {
    Env,
    Gitlab,
}

/// The credentials of this process, for any number of clients.
pub struct Credentials {
    environment: Environment,
    inline: Option<ConfigFile>,
    /// What was wrong with the file is told when it is needed first: a build may do without registries.
    file: Result<Option<ConfigFile>, Arc<Error>>,
    helpers: Vec<Helper>,
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
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a helper is named that this version does not have.
    pub fn load(options: Options) -> Result<Self, Error> {
        let Options {
            environment,
            helpers,
        } = options;
        let helpers = choose(helpers.as_deref())?;
        let inline = environment.get("DOCKER_AUTH_CONFIG").and_then(|text| {
            ConfigFile::parse_inline(text)
                .inspect_err(|error| tracing::warn!("DOCKER_AUTH_CONFIG is ignored: {error}"))
                .ok()
        });
        let file = discover::find(&environment).map_err(Arc::new);
        Ok(Self {
            environment,
            inline,
            file,
            helpers,
            known: Mutex::default(),
        })
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
        let helpers = self.helpers.iter().map(|helper| match helper {
            Helper::Env => "env".to_owned(),
            Helper::Gitlab => "gitlab".to_owned(),
        });
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
        if let Some(known) = self.known.lock().expect("never poisoned").get(&key) {
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
                // during an in-place command the program of this name may be the image's
                let _guard = net.host().lock().await;
                if let Some(credential) = program::get(&name, &key, &self.environment).await? {
                    return Ok(resolved(credential, &format!("helper:{name}")));
                }
            }
        }
        for helper in &self.helpers {
            let (found, source) = match helper {
                Helper::Env => (environment::host(&self.environment, registry), "env"),
                Helper::Gitlab => (environment::gitlab(&self.environment, registry), "gitlab"),
            };
            if let Some(credential) = found {
                return Ok(resolved(credential, source));
            }
        }
        Ok(resolved(Credential::Anonymous, ANONYMOUS))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials")
            .field(&self.priority())
            .finish()
    }
}

/// Chooses the helpers and their order; a single empty value switches all of them off.
fn choose(names: Option<&[String]>) -> Result<Vec<Helper>, Error> {
    let Some(names) = names else {
        return Ok(vec![Helper::Env, Helper::Gitlab]);
    };
    let mut helpers = Vec::new();
    for name in names {
        let helper = match name.as_str() {
            "" => continue,
            "env" => Helper::Env,
            "gitlab" => Helper::Gitlab,
            "google" | "ecr" | "acr" => return Err(Error::Unsupported { name: name.clone() }),
            _ => {
                tracing::warn!("unknown credential helper: {name}");
                continue;
            }
        };
        if !helpers.contains(&helper) {
            helpers.push(helper);
        }
    }
    Ok(helpers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the flag, and what is chosen.
    type Case<'a> = (Option<&'a [&'a str]>, Option<Vec<Helper>>);

    #[test]
    fn helpers_are_chosen_by_name() {
        use Helper::{Env, Gitlab};
        #[rustfmt::skip] // a table keeps its columns
        let cases: &[Case] = &[
            (None,                         Some(vec![Env, Gitlab])),
            (Some(&[""]),                  Some(vec![])),
            (Some(&["gitlab", "env"]),     Some(vec![Gitlab, Env])),
            (Some(&["env", "nonsense"]),   Some(vec![Env])),
            (Some(&["env", "ecr"]),        None),
            (Some(&["google"]),            None),
        ];
        for (names, want) in cases {
            let names =
                names.map(|names| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
            assert_eq!(choose(names.as_deref()).ok(), *want, "{names:?}");
        }
    }

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
        let credentials = credentials.unwrap();
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
