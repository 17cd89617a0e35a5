//! Azure's registries: a token of the directory is exchanged for one of the registry.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::cloud::azure::{self, Realm};
use crate::cloud::{Error, Surroundings, form};
use crate::net::Secret;

use super::Credential;
use super::provider::is_below;

/// What registries want as the user of an identity token.
const USER: &str = "00000000-0000-0000-0000-000000000000";
/// The registries' own name in the directory. Registries may be set to accept tokens for it alone, and no others; but where no
/// registry was ever made with it, the directory does not know it.
const OWN_RESOURCE: &str = "https://containerregistry.azure.net";
/// How long an identity token holds if it does not say.
const UNKNOWN_LIFE: u64 = 3600;
/// What a build can need.
const LONGEST_LIFE: u64 = 24 * 3600;

/// Returns the Azure that a registry's host belongs to, which must be exactly what Azure calls its registries.
pub(super) fn realm(host: &str) -> Option<Realm> {
    let suffixes = [
        (".azurecr.io", Realm::Public),
        (".azurecr.cn", Realm::China),
        (".azurecr.us", Realm::Government),
        (".azurecr.de", Realm::Germany),
    ];
    let found = suffixes.iter().find(|(suffix, _)| is_below(host, suffix));
    found.map(|(_, realm)| *realm)
}

/// Logs in; `None` if the environment says nothing of who we are.
pub(super) async fn credential(
    at: &Surroundings,
    host: &str,
) -> Result<Option<(Credential, Instant)>, Error> {
    let Some(realm) = realm(host) else {
        return Ok(None);
    };
    let Some(token) = azure::token(at, realm, realm.management()).await? else {
        return Ok(None);
    };
    match exchange(at, host, &token.secret).await {
        Err(Error::Status {
            status: 401 | 403, ..
        }) if realm == Realm::Public => {
            tracing::debug!("{host} wants a token of its own kind");
            match azure::token(at, realm, OWN_RESOURCE).await? {
                Some(token) => exchange(at, host, &token.secret).await.map(Some),
                None => Ok(None),
            }
        }
        exchanged => exchanged.map(Some),
    }
}

#[derive(Deserialize)]
struct Answer {
    refresh_token: String,
}

async fn exchange(
    at: &Surroundings,
    host: &str,
    token: &Secret,
) -> Result<(Credential, Instant), Error> {
    let mut pairs = vec![
        ("grant_type", "access_token"),
        ("service", host),
        ("access_token", token.reveal()),
    ];
    pairs.extend(
        at.environment()
            .get("AZURE_TENANT_ID")
            .map(|tenant| ("tenant", tenant)),
    );
    let request = http::Request::post(format!("https://{host}/oauth2/exchange"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(&pairs))
        .expect("the host was checked");
    let answer: Answer = azure::exchange(at, request, "the JSON of an identity token").await?;
    let expires = end_of(&answer.refresh_token);
    let credential = Credential::Identity {
        username: USER.to_owned(),
        token: Secret::new(answer.refresh_token),
    };
    Ok((credential, expires))
}

/// Returns until when an identity token is used: for half of the life that it says to have.
fn end_of(token: &str) -> Instant {
    let life = azure::remaining_life(token).unwrap_or(UNKNOWN_LIFE);
    Instant::now() + Duration::from_secs(life.min(LONGEST_LIFE) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_life_is_too_long() {
        let token = "e30.eyJleHAiOjE4NDQ2NzQ0MDczNzA5NTUxNjE1fQ.x"; // `exp` is the largest number
        let left = end_of(token).duration_since(Instant::now());
        assert!(left <= Duration::from_secs(LONGEST_LIFE / 2));
    }
}
