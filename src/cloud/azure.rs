//! Azure: tokens of its directory for service principals, federated workloads and managed identities.

use base64::Engine;
use bytes::Bytes;
use reqsign::SignRequest;
use reqsign::azure::{Credential, RequestSigner};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::surroundings::METADATA;
use super::{Error, Surroundings, Token, form};
use crate::net::Secret;
use crate::net::redact::redacted;

/// One of the separate Azures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    Public,
    China,
    Government,
    Germany,
}

impl Realm {
    /// Returns the realm that `AZURE_ENVIRONMENT` names, if it does.
    ///
    /// # Errors
    /// [`Error::Variable`] if it names none that there is.
    pub fn configured(at: &Surroundings) -> Result<Option<Self>, Error> {
        const VARIABLE: &str = "AZURE_ENVIRONMENT";
        let Some(value) = at.variable(VARIABLE) else {
            return Ok(None);
        };
        match value.to_ascii_uppercase().as_str() {
            "AZUREPUBLICCLOUD" | "AZURECLOUD" => Ok(Some(Self::Public)),
            "AZURECHINACLOUD" => Ok(Some(Self::China)),
            "AZUREUSGOVERNMENTCLOUD" | "AZUREUSGOVERNMENT" => Ok(Some(Self::Government)),
            "AZUREGERMANCLOUD" => Ok(Some(Self::Germany)),
            _ => Err(Error::Variable {
                variable: VARIABLE,
                value: value.to_owned(),
            }),
        }
    }

    /// Returns where a realm's identities log in.
    fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::Government => "https://login.microsoftonline.us",
            Self::Germany => "https://login.microsoftonline.de",
        }
    }

    /// Returns the name of a realm's resource manager, whose tokens registries accept.
    pub fn management(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::China => "https://management.chinacloudapi.cn",
            Self::Government => "https://management.usgovcloudapi.net",
            Self::Germany => "https://management.microsoftazure.de",
        }
    }
}

/// Returns a token for a resource, as whoever the environment says we are; `None` if it does not say.
///
/// A client secret, a federated token, the identity of the app or of the machine.
pub async fn token(
    at: &Surroundings,
    realm: Realm,
    resource: &str,
) -> Result<Option<Token>, Error> {
    let realm = Realm::configured(at)?.unwrap_or(realm);
    let client = at.variable("AZURE_CLIENT_ID");
    let tenant = at.variable("AZURE_TENANT_ID");
    if let (Some(client), Some(tenant)) = (client, tenant) {
        let login = Login {
            at,
            realm,
            tenant,
            client,
            resource,
        };
        if let Some(secret) = at.variable("AZURE_CLIENT_SECRET") {
            return login.with(&[("client_secret", secret)]).await.map(Some);
        }
        if let Some(assertion) = federated(at).await? {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let parameters = [
                ("client_assertion_type", kind),
                ("client_assertion", &assertion),
            ];
            return login.with(&parameters).await.map(Some);
        }
        for variable in [
            "AZURE_CERTIFICATE_PATH",
            "AZURE_CLIENT_CERTIFICATE_PATH",
            "AZURE_USERNAME",
        ] {
            if at.variable(variable).is_some() {
                return Err(Error::Unsupported { variable });
            }
        }
    }
    managed_identity(at, client, resource).await
}

/// Adds the headers by which a storage account's key authenticates a request; they cover its range.
pub async fn sign(
    at: &Surroundings,
    account: &str,
    key: &Secret,
    request: &mut http::request::Parts,
) -> Result<(), Error> {
    let credential = Credential::with_shared_key(account, key.reveal());
    let (signer, context) = (RequestSigner::new(), at.context());
    let signed = signer.sign_request(&context, request, Some(&credential), None);
    signed.await.map_err(|source| Error::Sign {
        source: Box::new(source),
    })
}

/// Returns the token that a cluster mounts, or a CI system hands over.
async fn federated(at: &Surroundings) -> Result<Option<String>, Error> {
    const FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
    if let Some(token) = at.variable("AZURE_FEDERATED_TOKEN") {
        return Ok(Some(token.to_owned()));
    }
    let Some(path) = at.variable(FILE) else {
        return Ok(None);
    };
    let text = at.read(path).await.map_err(|source| Error::File {
        path: path.to_owned(),
        variable: FILE,
        source,
    })?;
    Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
}

/// A client that logs in to its tenant.
struct Login<'a> {
    at: &'a Surroundings,
    realm: Realm,
    tenant: &'a str,
    client: &'a str,
    resource: &'a str,
}

impl Login<'_> {
    async fn with(&self, proof: &[(&str, &str)]) -> Result<Token, Error> {
        let scope = format!("{}/.default", self.resource);
        let mut pairs = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client),
            ("scope", scope.as_str()),
        ];
        pairs.extend(proof);
        let request = http::Request::post(self.url()?.as_str())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form(&pairs));
        ask(self.at, request.expect("its parts are valid")).await
    }

    fn url(&self) -> Result<Url, Error> {
        const VARIABLE: &str = "AZURE_AUTHORITY_HOST";
        let configured = self.at.variable(VARIABLE);
        let authority = configured.unwrap_or(self.realm.authority());
        let untrusted = || Error::Untrusted {
            variable: VARIABLE,
            value: authority.to_owned(),
        };
        let mut url: Url = authority.parse().map_err(|_| untrusted())?;
        if url.scheme() != "https" {
            return Err(untrusted());
        }
        url.path_segments_mut()
            .map_err(|()| untrusted())?
            .pop_if_empty()
            .extend([self.tenant, "oauth2", "v2.0", "token"]);
        Ok(url)
    }
}

/// Asks the service of the app, else that of the machine.
async fn managed_identity(
    at: &Surroundings,
    client: Option<&str>,
    resource: &str,
) -> Result<Option<Token>, Error> {
    const APP: &str = "IDENTITY_ENDPOINT";
    const MACHINE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
    let (variable, endpoint, version, header) =
        match (at.variable(APP), at.variable("IDENTITY_HEADER")) {
            (Some(endpoint), Some(secret)) => {
                let header = ("X-IDENTITY-HEADER", secret);
                (APP, endpoint.to_owned(), "2019-08-01", header)
            }
            _ => {
                let host = match at.variable(MACHINE) {
                    Some(host) => host.trim_end_matches('/').to_owned(),
                    None if at.has_service(METADATA).await => format!("http://{}", METADATA.ip()),
                    None => return Ok(None),
                };
                let endpoint = format!("{host}/metadata/identity/oauth2/token");
                (MACHINE, endpoint, "2018-02-01", ("Metadata", "true"))
            }
        };
    let mut url: Url = endpoint.parse().map_err(|_| Error::Untrusted {
        variable,
        value: endpoint.clone(),
    })?;
    url.query_pairs_mut()
        .append_pair("api-version", version)
        .append_pair("resource", resource);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    let request = http::Request::get(url.as_str())
        .header(header.0, header.1)
        .body(Bytes::new())
        .map_err(|_| Error::Untrusted {
            variable,
            value: endpoint,
        })?;
    match ask(at, request).await {
        // the machine has no identity, or is somebody else's
        Err(Error::Status {
            status: 400 | 404, ..
        }) if client.is_none() => Ok(None),
        token => token.map(Some),
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// A number, or a text with one.
    #[serde(default)]
    expires_in: Value,
    /// Seconds since the epoch, likewise.
    #[serde(default)]
    expires_on: Value,
}

async fn ask(at: &Surroundings, request: http::Request<Bytes>) -> Result<Token, Error> {
    const UNKNOWN_LIFE: u64 = 600;
    let answer: Answer = exchange(at, request, "the JSON of a token").await?;
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let until = number(&answer.expires_on).map(|until| until.saturating_sub(now));
    let life = number(&answer.expires_in).or(until).unwrap_or(UNKNOWN_LIFE);
    Ok(Token::living(answer.access_token, life))
}

/// Sends a request and reads the JSON that answers it.
///
/// # Errors
/// An answer of 400 or more is one; Azure says why in `error_description` or in `errors`.
pub async fn exchange<T: for<'de> Deserialize<'de>>(
    at: &Surroundings,
    request: http::Request<Bytes>,
    expected: &'static str,
) -> Result<T, Error> {
    let method = request.method().to_string();
    let url: Option<Url> = request.uri().to_string().parse().ok();
    let shown = url.as_ref().map(redacted).unwrap_or_default();
    let answer = at.send(request).await?;
    if !answer.status().is_success() {
        return Err(Error::Status {
            method,
            url: shown,
            status: answer.status().as_u16(),
            message: message(answer.body()),
        });
    }
    serde_json::from_slice(answer.body()).map_err(|_| Error::Answer {
        url: shown,
        expected,
    })
}

/// Returns the first line of what Azure says is wrong.
fn message(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = [
        &value["error_description"],
        &value["errors"][0]["message"],
        &value["error"],
    ];
    let text = texts.iter().find_map(|text| text.as_str());
    let line = text.unwrap_or_default().lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

/// Returns how long a token says it lives, in seconds from now; it is a JWT, or does not say.
pub fn remaining_life(token: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = token.split('.').nth(1)?;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims: Claims =
        serde_json::from_slice(&engine.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Some(claims.exp.saturating_sub(now.ok()?.as_secs()))
}
