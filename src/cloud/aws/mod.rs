//! Amazon: access keys by the order of its own tools, and requests signed with them.
//!
//! Variables, a web identity (as service accounts of EKS have it), a profile and what that refers to, the container's service
//! (ECS, pod identity), the instance's service.

mod endpoint;
mod login;
mod profiles;

use std::net::SocketAddr;

use reqsign::aws::{
    AssumeRoleWithWebIdentityCredentialProvider, ECSCredentialProvider, IMDSv2CredentialProvider,
    RequestSigner,
};
use reqsign::{ErrorKind, ProvideCredential, SignRequest};
use url::Url;

use super::surroundings::{METADATA, is_own_machine};
use super::{Error, Surroundings};
use login::Chosen;
use profiles::Profiles;

pub use endpoint::{
    at_configured_endpoint, configured_endpoint, has_numeric_host, is_region, suffix,
};
pub use reqsign::aws::Credential;

/// The region where nothing says which.
pub const DEFAULT_REGION: &str = "us-east-1";
/// What roles are assumed as, unless the configuration has a name.
const SESSION: &str = "executor";

/// Returns the first credentials that are there; `None` if there are none.
///
/// `region` is where roles are asked for if nothing else says so.
pub async fn credential(at: &Surroundings, region: &str) -> Result<Option<Credential>, Error> {
    if let Some(credential) = from_variables(at) {
        return Ok(Some(credential));
    }
    let region = configured_region(at).unwrap_or_else(|| region.to_owned());
    let file = at.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
    if let (Some(role), Some(file)) = (at.variable("AWS_ROLE_ARN"), file) {
        let session = at.variable("AWS_ROLE_SESSION_NAME");
        return web_identity(at, role, file, session, &region).await;
    }
    let name = profile_name(at);
    let profiles = Profiles::load(at).await?;
    let chosen = Chosen {
        at,
        profiles: &profiles,
        region: &region,
    };
    match profiles.get(name.unwrap_or("default")) {
        Some(_) => {
            let found = Box::pin(chosen.credential(name.unwrap_or("default"), 0)).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        None => {
            if let Some(name) = name {
                let name = name.to_owned();
                return Err(Error::NoProfile { name });
            }
        }
    }
    match container(at).await? {
        Some(credential) => Ok(Some(credential)),
        None => instance(at).await,
    }
}

/// Returns the region that variables or the profile name.
pub async fn region(at: &Surroundings) -> Result<Option<String>, Error> {
    if let Some(region) = configured_region(at) {
        return Ok(Some(region));
    }
    let profiles = Profiles::load(at).await?;
    let profile = profiles.get(profile_name(at).unwrap_or("default"));
    Ok(profile.and_then(|profile| profile.get("region").cloned()))
}

/// Returns where the profile says that services are, unless they are at their usual places.
///
/// # Errors
/// [`Error::Variable`] if that is no place.
pub async fn profile_endpoint(at: &Surroundings) -> Result<Option<Url>, Error> {
    if endpoint::ignores_configured(at.environment()) {
        return Ok(None);
    }
    let profiles = Profiles::load(at).await?;
    let profile = profiles.get(profile_name(at).unwrap_or("default"));
    let value = profile.and_then(|profile| profile.get("endpoint_url"));
    let place = |value: &String| endpoint::place("endpoint_url of the AWS profile", value);
    value.map(place).transpose()
}

/// Adds the headers that authenticate a request.
///
/// What `x-amz-content-sha256` says of the body is signed too.
pub async fn sign(
    at: &Surroundings,
    credential: &Credential,
    service: &str,
    region: &str,
    request: &mut http::request::Parts,
) -> Result<(), Error> {
    let (signer, context) = (RequestSigner::new(service, region), at.context());
    let signed = signer.sign_request(&context, request, Some(credential), None);
    signed.await.map_err(|source| Error::Sign {
        source: Box::new(source),
    })
}

fn configured_region(at: &Surroundings) -> Option<String> {
    let region = at.variable("AWS_REGION");
    let region = region.or_else(|| at.variable("AWS_DEFAULT_REGION"))?;
    Some(region.to_owned())
}

fn profile_name(at: &Surroundings) -> Option<&str> {
    let name = at.variable("AWS_PROFILE");
    name.or_else(|| at.variable("AWS_DEFAULT_PROFILE"))
}

fn from_variables(at: &Surroundings) -> Option<Credential> {
    let either = |one, other| at.variable(one).or_else(|| at.variable(other));
    Some(Credential {
        access_key_id: either("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")?.to_owned(),
        secret_access_key: either("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")?.to_owned(),
        session_token: at.variable("AWS_SESSION_TOKEN").map(str::to_owned),
        expires_in: None,
    })
}

async fn web_identity(
    at: &Surroundings,
    role: &str,
    file: &str,
    session: Option<&str>,
    region: &str,
) -> Result<Option<Credential>, Error> {
    let provider =
        AssumeRoleWithWebIdentityCredentialProvider::with_config(role.to_owned(), file.into())
            .with_role_session_name(session.unwrap_or(SESSION).to_owned())
            .with_region(region.to_owned())
            .with_regional_sts_endpoint();
    let found = provider.provide_credential(&at.context()).await;
    found.map_err(Error::unusable(format!("the web identity in `{file}`")))
}

/// Asks the service that ECS and EKS give a container.
async fn container(at: &Surroundings) -> Result<Option<Credential>, Error> {
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let provider = match at.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => ECSCredentialProvider::new().with_relative_uri(path),
        None => {
            let Some(value) = at.variable(FULL) else {
                return Ok(None);
            };
            let url: Option<Url> = value.parse().ok();
            // the token that authorises us there must not travel in the clear
            let is_trusted = |url: &Url| url.scheme() == "https" || is_own_machine(url);
            if !url.as_ref().is_some_and(is_trusted) {
                return Err(Error::Untrusted {
                    variable: FULL,
                    value: value.to_owned(),
                });
            }
            ECSCredentialProvider::new().with_endpoint(value)
        }
    };
    let found = provider.provide_credential(&at.context()).await;
    found.map_err(Error::unusable("the container's credential service"))
}

/// Asks the service that EC2 gives an instance, with a session token as version 2 wants it.
async fn instance(at: &Surroundings) -> Result<Option<Credential>, Error> {
    const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    if at.environment().is_true("AWS_EC2_METADATA_DISABLED") {
        return Ok(None);
    }
    let mode = at.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    let usual = match mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6")) {
        true => SocketAddr::from(([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 80)),
        false => METADATA,
    };
    let endpoint = match at.variable(VARIABLE) {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if at.has_service(usual).await => format!("http://{usual}"),
        None => return Ok(None),
    };
    let provider = IMDSv2CredentialProvider::new().with_endpoint(endpoint);
    match provider.provide_credential(&at.context()).await {
        // an instance without a role, or a machine of somebody else
        Err(error) if error.kind() == ErrorKind::ConfigInvalid => {
            tracing::debug!("this instance has no role: {error}");
            Ok(None)
        }
        found => found.map_err(Error::unusable("the instance's credential service")),
    }
}
