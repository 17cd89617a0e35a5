//! Google's object storage.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use url::Url;

use super::{Error, Provider, get, refused, signing};
use crate::cloud::{Surroundings, Token, bearer, google};
use crate::net::percent::encoded;
use crate::net::{Download, Environment, Sign};

const MISSING: &str =
    "set GOOGLE_APPLICATION_CREDENTIALS, or give the pod or machine a service account";
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// Asks for an object; an emulator is told nothing of who we are.
pub(super) fn open(at: &Surroundings, bucket: &str, name: &str) -> Result<Download, Error> {
    let url = url(at.environment(), bucket, name)?;
    let is_emulated = at.environment().get(EMULATOR).is_some();
    let token = match is_emulated {
        true => None,
        false => {
            let token = at.net().block_on(google::token(at, google::READ_SCOPE));
            token.map_err(Error::no_proof(MISSING))?
        }
    };
    let missing = (token.is_none() && !is_emulated).then_some(MISSING);
    let sign = token.map(|token| sign(at, token));
    let download = at.net().get(&get(url.clone(), sign))?;
    match download.status.as_u16() {
        200 => Ok(download),
        _ => Err(refused(Provider::Google, &url, download, missing)),
    }
}

/// Returns what adds a token; one that ends is had anew.
fn sign(at: &Surroundings, token: Token) -> Sign {
    let at = at.clone();
    let token = Arc::new(Mutex::new(token));
    signing(move |mut parts| {
        let (at, token) = (at.clone(), Arc::clone(&token));
        async move {
            let mut token = token.lock().await;
            if token.expires <= Instant::now()
                && let Some(fresh) = google::token(&at, google::READ_SCOPE).await?
            {
                *token = fresh;
            }
            bearer(&mut parts, &token)?;
            Ok(parts)
        }
    })
}

fn url(environment: &Environment, bucket: &str, name: &str) -> Result<Url, Error> {
    let host = match environment.get(EMULATOR) {
        Some(host) if host.contains("://") => host.trim_end_matches('/').to_owned(),
        Some(host) => format!("http://{}", host.trim_end_matches('/')),
        None => "https://storage.googleapis.com".to_owned(),
    };
    let (bucket, name) = (encoded(bucket), encoded(name));
    let text = format!("{host}/storage/v1/b/{bucket}/o/{name}?alt=media");
    text.parse().map_err(|_| Error::Endpoint {
        variable: EMULATOR,
        value: host,
    })
}
