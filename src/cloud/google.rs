//! Google: access tokens by the order of Application Default Credentials, then the `gcloud` program.

use std::time::{Duration, Instant, SystemTime};

use reqsign::google::{
    Credential, ServiceAccountTokenCredentialProvider, StaticCredentialProvider,
    VmMetadataCredentialProvider,
};
use reqsign::time::Timestamp;
use reqsign::{CommandExecute, ProvideCredential};
use serde::Deserialize;
use serde_json::{Value, json};

use super::surroundings::METADATA;
use super::{Error, Surroundings, Token};
use crate::net::Secret;

/// What a token is for, where nothing narrower serves registries and storage.
pub const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Reading objects.
pub const READ_SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_only";

/// The life of a token of which nobody says how long it lives.
const UNKNOWN_LIFE: u64 = 600;

/// Returns an access token of whoever we are; `None` if we are nobody.
///
/// A key file, of a service account or for workload identity federation, the file that `gcloud auth` leaves, the metadata
/// service, `gcloud` itself.
pub async fn token(at: &Surroundings, scope: &str) -> Result<Option<Token>, Error> {
    const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    if let Some(path) = at.variable(FILE) {
        return from_file(at, path, scope).await;
    }
    let left_by_gcloud = match at.variable("CLOUDSDK_CONFIG") {
        Some(directory) => Some(format!("{directory}/{LEFT_BY_GCLOUD}")),
        None => at.at_home(&format!(".config/gcloud/{LEFT_BY_GCLOUD}")),
    };
    if let Some(path) = left_by_gcloud
        && at.read(&path).await.is_ok()
    {
        return from_file(at, &path, scope).await;
    }
    match from_metadata(at, scope).await? {
        Some(token) => Ok(Some(token)),
        None => from_gcloud(at).await,
    }
}

const LEFT_BY_GCLOUD: &str = "application_default_credentials.json";

async fn from_file(at: &Surroundings, path: &str, scope: &str) -> Result<Option<Token>, Error> {
    let unusable = || Error::unusable(format!("`{path}`"));
    let context = at.context();
    let text = at
        .read(path)
        .await
        .map_err(|error| unusable()(error.into()))?;
    let provider = StaticCredentialProvider::new(with_format(&text)).with_scope(scope);
    let found = provider.provide_credential(&context).await;
    let mut found = found.map_err(unusable())?;
    if let Some(account) = found
        .as_mut()
        .and_then(|found| found.service_account.take())
    {
        let provider = ServiceAccountTokenCredentialProvider::new(account).with_scope(scope);
        found = provider
            .provide_credential(&context)
            .await
            .map_err(unusable())?;
    }
    Ok(found.and_then(kept))
}

/// Returns a key file's text, in which a source of tokens that says nothing of their format is one of plain text, as Google has it.
fn with_format(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).into_owned();
    let Ok(mut file) = serde_json::from_str::<Value>(&text) else {
        return text; // what is wrong with it is told by whoever uses it
    };
    match file
        .get_mut("credential_source")
        .and_then(Value::as_object_mut)
    {
        Some(source) if source.contains_key("file") || source.contains_key("url") => {
            let format = source.entry("format").or_insert(Value::Null);
            if !format.is_object() {
                *format = json!({"type": "text"});
            }
            file.to_string()
        }
        _ => text,
    }
}

async fn from_metadata(at: &Surroundings, scope: &str) -> Result<Option<Token>, Error> {
    let host = match at.variable("GCE_METADATA_HOST") {
        Some(host) => host.to_owned(),
        None if at.has_service(METADATA).await => METADATA.ip().to_string(),
        None => return Ok(None),
    };
    let provider = VmMetadataCredentialProvider::new()
        .with_endpoint(host)
        .with_scope(scope);
    let found = provider.provide_credential(&at.context()).await;
    let found = found.map_err(Error::unusable("the metadata service"))?;
    Ok(found.and_then(kept))
}

#[derive(Deserialize)]
struct GcloudAnswer {
    credential: GcloudCredential,
}

#[derive(Deserialize)]
struct GcloudCredential {
    access_token: String,
    token_expiry: Option<String>,
}

/// Asks the program; it is not installed where it is not wanted.
async fn from_gcloud(at: &Surroundings) -> Result<Option<Token>, Error> {
    let arguments = ["config", "config-helper", "--format=json(credential)"];
    let output = match at.command_execute("gcloud", &arguments).await {
        Ok(output) if output.success() => output,
        Ok(output) => {
            let status = output.status;
            tracing::debug!("gcloud has no credentials: exit status {status}");
            return Ok(None);
        }
        Err(error) => {
            tracing::debug!("gcloud is not asked: {error}");
            return Ok(None);
        }
    };
    let answer: GcloudAnswer =
        serde_json::from_slice(&output.stdout).map_err(|_| Error::Answer {
            url: "gcloud".into(),
            expected: "the JSON of a credential",
        })?;
    let GcloudCredential {
        access_token,
        token_expiry,
    } = answer.credential;
    let expiry = token_expiry.and_then(|expiry| expiry.parse::<Timestamp>().ok());
    Ok(Some(living_until(access_token, expiry)))
}

fn kept(credential: Credential) -> Option<Token> {
    let token = credential.token?;
    Some(living_until(token.access_token, token.expires_at))
}

fn living_until(secret: String, expiry: Option<Timestamp>) -> Token {
    let life = expiry.map(|expiry| {
        let left = expiry.as_system_time().duration_since(SystemTime::now());
        left.unwrap_or_default().as_secs()
    });
    match life {
        Some(0) => Token {
            secret: Secret::new(secret),
            expires: Instant::now() + Duration::from_secs(1),
        },
        life => Token::living(secret, life.unwrap_or(UNKNOWN_LIFE)),
    }
}
