//! Being a credential helper program ourselves: `docker-credential-<name> get`.

use serde_json::json;

use crate::causes;
use crate::cloud::Surroundings;
use crate::net::{Environment, Net};

use super::provider::{Leases, Provider};
use super::{Credential, config};

/// What a helper prints on standard output, and whether it has done what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub text: String,
    pub is_success: bool,
}

/// The words by which callers know that there is no credential, rather than a failure.
const ABSENT: &str = "credentials not found in native keychain";
/// The user that marks an identity token.
const TOKEN_USER: &str = "<token>";

/// Tells whether there is a helper of this name, which stands behind `docker-credential-`.
pub fn is_known(name: &str) -> bool {
    Provider::of_program(name).is_some()
}

/// Answers as the program of this name would; `input` is the registry.
pub fn answer(
    net: &Net,
    environment: &Environment,
    name: &str,
    action: &str,
    input: &str,
) -> Answer {
    let refused = |text: String| Answer {
        text,
        is_success: false,
    };
    let Some(provider) = Provider::of_program(name) else {
        return refused(format!(
            "there is no credential helper `{name}` in this program"
        ));
    };
    match action {
        "get" => {}
        "list" => {
            return Answer {
                text: "{}".into(),
                is_success: true,
            };
        }
        _ => {
            return refused(format!(
                "`{action}` is not supported: these credentials come from the cloud"
            ));
        }
    }
    let key = input.trim();
    let registry = config::normal(key).unwrap_or_default();
    let registry = registry.split('/').next().unwrap_or_default();
    if !provider.serves(registry) {
        return refused(ABSENT.into());
    }
    let at = Surroundings::new(net, environment);
    let leases = Leases::default();
    let (user, secret) = match net.block_on(leases.get(provider, &at, registry)) {
        Ok(Some(lease)) => match lease.credential {
            Credential::Basic { username, password } => (username, password),
            Credential::Identity { token, .. } => (TOKEN_USER.to_owned(), token),
            Credential::Anonymous | Credential::Bearer { .. } => return refused(ABSENT.into()),
        },
        Ok(None) => return refused(ABSENT.into()),
        Err(error) => return refused(causes::in_one_line(&error)),
    };
    Answer {
        text: json!({"ServerURL": key, "Username": user, "Secret": secret.reveal()}).to_string(),
        is_success: true,
    }
}
