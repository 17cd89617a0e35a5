//! Azure's object storage: with the account's key, a shared access signature, or an identity.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Mutex;
use url::Url;

use super::{Error, Provider, get, refused, signing};
use crate::cloud::azure::{self, Realm};
use crate::cloud::{Surroundings, Token, bearer};
use crate::net::{Download, Secret, Sign};

const MISSING: &str = "AZURE_STORAGE_ACCESS_KEY environment variable is not set, and there is no AZURE_STORAGE_SAS_TOKEN, `sig` in the URL, or identity";
const KEY: &str = "AZURE_STORAGE_ACCESS_KEY";
/// What a token of the directory is for; the same in every realm.
const RESOURCE: &str = "https://storage.azure.com";
/// The version of the protocol; without it tokens are not accepted.
const VERSION: (&str, &str) = ("x-ms-version", "2021-12-02");

/// Who asks.
enum Proof {
    Key {
        account: String,
        key: Secret,
    },
    Identity(Token),
    /// In the URL, or none at all.
    Nothing,
}

/// Returns the Azure that a URL of object storage belongs to: `https://ACCOUNT.blob.<suffix>`.
pub(super) fn realm(url: &Url) -> Option<Realm> {
    let suffixes = [
        (".blob.core.windows.net", Realm::Public),
        (".blob.core.chinacloudapi.cn", Realm::China),
        (".blob.core.usgovcloudapi.net", Realm::Government),
        (".blob.core.cloudapi.de", Realm::Germany),
    ];
    let host = url
        .host_str()
        .filter(|_| url.scheme() == "https" && url.port().is_none())?;
    let mut suffixes = suffixes.iter();
    let (suffix, realm) = suffixes.find(|(suffix, _)| host.ends_with(suffix))?;
    // `account.z1.blob…` is one, too: the zone of its data
    let account = &host[..host.len() - suffix.len()];
    let is_label = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    account.split('.').all(is_label).then_some(*realm)
}

/// Asks for an object.
pub(super) fn open(at: &Surroundings, url: &Url) -> Result<Download, Error> {
    let mut url = url.clone();
    let proof = proof(at, &mut url)?;
    let missing = matches!(proof, Proof::Nothing) && !has_signature(&url);
    let sign = match proof {
        Proof::Key { account, key } => Some(with_key(at, account, key)),
        Proof::Identity(token) => Some(with_token(at, &url, token)),
        Proof::Nothing => None,
    };
    let mut get = get(url.clone(), sign);
    let version = (
        VERSION.0.parse().expect("a header's name"),
        Secret::new(VERSION.1),
    );
    get.headers.push(version);
    let download = at.net().get(&get)?;
    match download.status.as_u16() {
        200 => Ok(download),
        _ => {
            let missing = missing.then_some(MISSING);
            Err(refused(Provider::Azure, &url, download, missing))
        }
    }
}

fn has_signature(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| name == "sig")
}

/// Finds out who asks; a signature from the environment goes into the URL.
fn proof(at: &Surroundings, url: &mut Url) -> Result<Proof, Error> {
    if has_signature(url) {
        return Ok(Proof::Nothing);
    }
    let variable = |name| at.environment().get(name);
    if let Some(key) = variable(KEY) {
        // a file that a Secret was made from ends with a newline
        let key = key.trim();
        if STANDARD.decode(key).is_err() {
            return Err(Error::Key { variable: KEY });
        }
        let host = url.host_str().unwrap_or_default();
        let account = host.split('.').next().unwrap_or_default().to_owned();
        let key = Secret::new(key);
        return Ok(Proof::Key { account, key });
    }
    if let Some(token) = variable("AZURE_STORAGE_SAS_TOKEN") {
        let mut query = url
            .query()
            .map(|query| format!("{query}&"))
            .unwrap_or_default();
        query.push_str(token.trim_start_matches('?'));
        url.set_query(Some(&query));
        return Ok(Proof::Nothing);
    }
    let realm = realm(url).unwrap_or(Realm::Public);
    let token = at.net().block_on(azure::token(at, realm, RESOURCE));
    let token = token.map_err(Error::no_proof(MISSING))?;
    Ok(token.map_or(Proof::Nothing, Proof::Identity))
}

fn with_key(at: &Surroundings, account: String, key: Secret) -> Sign {
    let at = at.clone();
    signing(move |mut parts| {
        let (at, account, key) = (at.clone(), account.clone(), key.clone());
        async move {
            azure::sign(&at, &account, &key, &mut parts).await?;
            Ok(parts)
        }
    })
}

/// Returns what adds a token; one that ends is had anew.
fn with_token(at: &Surroundings, url: &Url, token: Token) -> Sign {
    let at = at.clone();
    let realm = realm(url).unwrap_or(Realm::Public);
    let token = Arc::new(Mutex::new(token));
    signing(move |mut parts| {
        let (at, token) = (at.clone(), Arc::clone(&token));
        async move {
            let mut token = token.lock().await;
            if token.expires <= Instant::now()
                && let Some(fresh) = azure::token(&at, realm, RESOURCE).await?
            {
                *token = fresh;
            }
            bearer(&mut parts, &token)?;
            Ok(parts)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("https://a.blob.core.windows.net/c/b",              Some(Realm::Public)),
            ("https://a.z6.blob.core.chinacloudapi.cn/c/b",      Some(Realm::China)),
            ("https://a.blob.core.usgovcloudapi.net/c/b",        Some(Realm::Government)),
            ("https://a.blob.core.cloudapi.de/c/b",              Some(Realm::Germany)),
            ("http://a.blob.core.windows.net/c/b",               None),
            ("https://a.blob.core.windows.net:8443/c/b",         None),
            ("https://blob.core.windows.net/c/b",                None),
            ("https://a.blob.core.windows.net.evil.example/c/b", None),
            ("https://evil.example/a.blob.core.windows.net",     None),
        ];
        for (url, want) in cases {
            assert_eq!(realm(&url.parse().unwrap()), want, "{url}");
        }
    }
}
