//! Credentials in variables: by host name, and GitLab's.

use crate::image::reference::DOCKER_HUB;
use crate::net::{Environment, Secret};

use super::Credential;

/// Looks for `KANIKO_<HOST>_USER` and `_PASSWORD`; a parent domain's variables serve too.
///
/// The host is written in upper case, with `_` for `-` and `.`; a port keeps its colon, or has a `_` for it.
pub(super) fn host(environment: &Environment, registry: &str) -> Option<Credential> {
    let upper = registry.to_uppercase();
    let labels: Vec<String> = upper
        .split('.')
        .map(|label| label.replace('-', "_"))
        .collect();
    let found =
        (0..labels.len()).find_map(|dropped| level(environment, &labels[dropped..].join("_")));
    match registry {
        DOCKER_HUB => found.or_else(|| level(environment, "DOCKER_IO")),
        _ => found,
    }
}

fn level(environment: &Environment, name: &str) -> Option<Credential> {
    let spellings = [name.to_owned(), name.replace(':', "_")];
    spellings.iter().find_map(|name| {
        let username = environment.get(&format!("KANIKO_{name}_USER"))?;
        let password = environment.get(&format!("KANIKO_{name}_PASSWORD"))?;
        Some(basic(username, password))
    })
}

/// Returns `CI_REGISTRY_USER` and `CI_REGISTRY_PASSWORD` for the host of `CI_REGISTRY`, on any port.
pub(super) fn gitlab(environment: &Environment, registry: &str) -> Option<Credential> {
    let own = environment.get("CI_REGISTRY")?;
    let own = own.strip_prefix("https://").unwrap_or(own);
    if own.contains("://") || name(own) != name(registry) {
        return None;
    }
    let username = environment.get("CI_REGISTRY_USER")?;
    let password = environment.get("CI_REGISTRY_PASSWORD")?;
    Some(basic(username, password))
}

/// Returns a registry's host without its port.
fn name(registry: &str) -> &str {
    let host = registry.split('/').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pairs = pairs.iter();
        Environment(
            pairs
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    fn username(credential: Option<Credential>) -> Option<String> {
        match credential {
            Some(Credential::Basic { username, .. }) => Some(username),
            _ => None,
        }
    }

    #[test]
    fn hosts_are_looked_up_from_the_whole_name_to_the_last_label() {
        #[rustfmt::skip] // a table keeps its columns
        let environment = environment(&[
            ("KANIKO_REGISTRY_GITLAB_COM_USER", "exact"),  ("KANIKO_REGISTRY_GITLAB_COM_PASSWORD", "p"),
            ("KANIKO_GITLAB_COM_USER", "parent"),          ("KANIKO_GITLAB_COM_PASSWORD", "p"),
            ("KANIKO_HALF_COM_USER", "half"),
            ("KANIKO_COM_USER", "top"),                    ("KANIKO_COM_PASSWORD", "p"),
            ("KANIKO_DOCKER_IO_USER", "hub"),              ("KANIKO_DOCKER_IO_PASSWORD", "p"),
            ("KANIKO_127_0_0_1:5112_USER", "port"),        ("KANIKO_127_0_0_1:5112_PASSWORD", "p"),
            ("KANIKO_MY_HOST_5000_USER", "underscore"),    ("KANIKO_MY_HOST_5000_PASSWORD", "p"),
        ]);
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("registry.gitlab.com",  Some("exact")),
            ("other.gitlab.com",     Some("parent")),
            ("half.com",             Some("top")),
            ("index.docker.io",      Some("hub")),
            ("127.0.0.1:5112",       Some("port")),
            ("my-host:5000",         Some("underscore")),
            ("quay.io",              None),
        ];
        for (registry, want) in cases {
            let found = host(&environment, registry);
            assert_eq!(username(found).as_deref(), want, "{registry}");
        }
    }

    #[test]
    fn gitlab_answers_for_its_own_host_on_any_port() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("r.gitlab.com",          "r.gitlab.com",      Some("ci")),
            ("r.gitlab.com:5050",     "r.gitlab.com",      Some("ci")),
            ("https://r.gitlab.com",  "r.gitlab.com:443",  Some("ci")),
            ("http://r.gitlab.com",   "r.gitlab.com",      None),
            ("r.gitlab.com",          "gitlab.com",        None),
        ];
        for (own, registry, want) in cases {
            let environment = environment(&[
                ("CI_REGISTRY", own),
                ("CI_REGISTRY_USER", "ci"),
                ("CI_REGISTRY_PASSWORD", "p"),
            ]);
            let found = gitlab(&environment, registry);
            assert_eq!(username(found).as_deref(), want, "{own} {registry}");
        }
    }
}
