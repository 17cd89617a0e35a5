//! Amazon: access keys by the order of its own tools, and requests signed with them.
//!
//! Variables, a web identity (as service accounts of EKS have it), a profile and what that refers to, the container's service
//! (ECS, pod identity), the instance's service.

use std::net::SocketAddr;

use reqsign::aws::{
    AssumeRoleCredentialProvider, AssumeRoleWithWebIdentityCredentialProvider,
    ECSCredentialProvider, IMDSv2CredentialProvider, ProcessCredentialProvider, RequestSigner,
    SSOCredentialProvider, StaticCredentialProvider,
};
use reqsign::{ErrorKind, ProvideCredential, SignRequest, Signer};
use url::{Host, Url};

use super::profile::{Profile, Profiles};
use super::surroundings::{METADATA, is_own_machine};
use super::{Error, Surroundings};
use crate::net::Environment;

pub use reqsign::aws::Credential;

/// The region where nothing says which.
pub const DEFAULT_REGION: &str = "us-east-1";
/// What roles are assumed as, unless the configuration has a name.
const SESSION: &str = "executor";
/// Profiles that refer to each other, at most.
const CHAIN_LIMIT: usize = 8;

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

/// Returns where a service is really to be asked: at the place that a variable names for it, if one does.
///
/// # Errors
/// [`Error::Variable`] if the variable names no place.
pub fn at_configured_endpoint(environment: &Environment, url: Url) -> Result<Url, Error> {
    let variable = url.host_str().and_then(endpoint_variable);
    let endpoint = variable.map(|variable| configured_endpoint(environment, variable));
    let Some(mut moved) = endpoint.transpose()?.flatten() else {
        return Ok(url);
    };
    moved.set_path(url.path());
    moved.set_query(url.query());
    Ok(moved)
}

/// Returns the URL that `variable`, which is about one service, or `AWS_ENDPOINT_URL` names.
///
/// # Errors
/// [`Error::Variable`] if it names no place: keys must not go to Amazon in its stead.
pub fn configured_endpoint(
    environment: &Environment,
    variable: &'static str,
) -> Result<Option<Url>, Error> {
    if environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return Ok(None);
    }
    let mut set = [variable, "AWS_ENDPOINT_URL"]
        .into_iter()
        .filter_map(|name| Some((name, environment.get(name)?)));
    let Some((variable, value)) = set.next() else {
        return Ok(None);
    };
    let url = value.parse().ok();
    let url = url.filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let value = value.to_owned();
    url.map(Some).ok_or(Error::Variable { variable, value })
}

/// Returns the variable that may name another place for a service, by the host it is reached at.
fn endpoint_variable(host: &str) -> Option<&'static str> {
    if !SUFFIXES.iter().any(|suffix| host.ends_with(suffix)) {
        return None;
    }
    let mut labels = host.split('.');
    match (labels.next()?, labels.next()?) {
        ("sts", _) => Some("AWS_ENDPOINT_URL_STS"),
        ("api", "ecr") | ("ecr" | "ecr-fips", _) => Some("AWS_ENDPOINT_URL_ECR"),
        ("api", "ecr-public") => Some("AWS_ENDPOINT_URL_ECR_PUBLIC"),
        _ => None,
    }
}

/// What the hosts of Amazon's services end with, by partition.
pub const SUFFIXES: [&str; 8] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".sc2s.sgov.gov",
    ".c2s.ic.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
    ".api.aws",
];

/// Returns what the hosts of a region's services end with.
pub fn suffix(region: &str) -> &'static str {
    let by_prefix = [
        ("cn-", ".amazonaws.com.cn"),
        ("eusc-", ".amazonaws.eu"),
        ("us-isob-", ".sc2s.sgov.gov"),
        ("us-iso-", ".c2s.ic.gov"),
        ("eu-isoe-", ".cloud.adc-e.uk"),
        ("us-isof-", ".csp.hci.ic.gov"),
    ];
    let mut found = by_prefix.iter();
    let found = found.find(|(prefix, _)| region.starts_with(prefix));
    found.map_or(".amazonaws.com", |(_, suffix)| suffix)
}

/// Tells whether a text may stand for a region in a host name.
pub fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() >= 3 && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
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

/// Profiles, and how they are looked at.
struct Chosen<'a> {
    at: &'a Surroundings,
    profiles: &'a Profiles,
    region: &'a str,
}

impl Chosen<'_> {
    /// Returns the credentials that a profile leads to.
    async fn credential(&self, name: &str, depth: usize) -> Result<Option<Credential>, Error> {
        let wrong = |what| Error::Profile {
            name: name.to_owned(),
            what,
        };
        let profile = self.profiles.get(name).ok_or_else(|| Error::NoProfile {
            name: name.to_owned(),
        })?;
        if depth > CHAIN_LIMIT {
            return Err(wrong("refers to itself"));
        }
        let setting = |key: &str| {
            profile
                .get(key)
                .map(String::as_str)
                .filter(|v| !v.is_empty())
        };
        let region = setting("region").unwrap_or(self.region);
        let Some(role) = setting("role_arn") else {
            return self.own(name, profile).await;
        };
        let session = setting("role_session_name");
        if let Some(file) = setting("web_identity_token_file") {
            return web_identity(self.at, role, file, session, region).await;
        }
        if setting("mfa_serial").is_some() {
            return Err(wrong("asks for a code that somebody has to type"));
        }
        let base = match (setting("source_profile"), setting("credential_source")) {
            (Some(source), _) if source == name => self.own(name, profile).await?,
            (Some(source), _) => Box::pin(self.credential(source, depth + 1)).await?,
            (None, Some("Environment")) => from_variables(self.at),
            (None, Some("EcsContainer")) => container(self.at).await?,
            (None, Some("Ec2InstanceMetadata")) => instance(self.at).await?,
            _ => {
                return Err(wrong(
                    "has a role but neither source_profile nor credential_source",
                ));
            }
        };
        let base = base.ok_or_else(|| wrong("has a role but nothing to take it on with"))?;
        let mut keys = StaticCredentialProvider::new(&base.access_key_id, &base.secret_access_key);
        if let Some(token) = &base.session_token {
            keys = keys.with_session_token(token);
        }
        let signer = Signer::new(self.at.context(), keys, RequestSigner::new("sts", region));
        let mut provider = AssumeRoleCredentialProvider::new(role.to_owned(), signer)
            .with_role_session_name(session.unwrap_or(SESSION).to_owned())
            .with_region(region.to_owned())
            .with_regional_sts_endpoint();
        if let Some(id) = setting("external_id") {
            provider = provider.with_external_id(id.to_owned());
        }
        let found = provider.provide_credential(&self.at.context()).await;
        found.map_err(Error::unusable(format!(
            "the role of the AWS profile `{name}`"
        )))
    }

    /// Returns what a profile has without a role.
    async fn own(&self, name: &str, profile: &Profile) -> Result<Option<Credential>, Error> {
        let setting = |key: &str| profile.get(key).cloned().filter(|value| !value.is_empty());
        let keys = (
            setting("aws_access_key_id"),
            setting("aws_secret_access_key"),
        );
        if let (Some(access_key_id), Some(secret_access_key)) = keys {
            return Ok(Some(Credential {
                access_key_id,
                secret_access_key,
                session_token: setting("aws_session_token"),
                expires_in: None,
            }));
        }
        let context = self.at.context();
        let of_profile = || Error::unusable(format!("the AWS profile `{name}`"));
        if let Some(command) = setting("credential_process") {
            let provider = ProcessCredentialProvider::new().with_command(command);
            return provider
                .provide_credential(&context)
                .await
                .map_err(of_profile());
        }
        let sso = [
            "sso_account_id",
            "sso_region",
            "sso_role_name",
            "sso_start_url",
        ]
        .map(setting);
        if let [Some(account), Some(region), Some(role), Some(url)] = sso {
            let provider = SSOCredentialProvider::new()
                .with_account_id(account)
                .with_region(region)
                .with_role_name(role)
                .with_start_url(url);
            return provider
                .provide_credential(&context)
                .await
                .map_err(of_profile());
        }
        Ok(None)
    }
}

/// Tells whether a URL's host is a number, before which no bucket's name can stand.
pub fn has_numeric_host(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static str, &'static str);

    #[test]
    fn endpoints_of_services_can_be_moved() {
        let environment = |pairs: &[Pair]| {
            let pairs = pairs.iter();
            Environment(
                pairs
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            )
        };
        let all = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let sts = ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2/");
        let (bare, none) = (
            ("AWS_ENDPOINT_URL", "localhost:4566"),
            ("AWS_ENDPOINT_URL_STS", "there"),
        );
        let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[Pair], &str, &str); 8] = [
            (&[],            "https://sts.eu-west-1.amazonaws.com/",     "https://sts.eu-west-1.amazonaws.com/"),
            (&[all],         "https://sts.eu-west-1.amazonaws.com/?a=b", "http://127.0.0.1:1/?a=b"),
            (&[all, sts],    "https://sts.amazonaws.com/",               "http://127.0.0.1:2/"),
            (&[all, sts],    "https://api.ecr.cn-north-1.amazonaws.com.cn/", "http://127.0.0.1:1/"),
            (&[all, ignore], "https://sts.amazonaws.com/",               "https://sts.amazonaws.com/"),
            (&[all],         "https://sts.amazonaws.com.evil.example/",  "https://sts.amazonaws.com.evil.example/"),
            (&[bare],        "https://sts.amazonaws.com/",               "AWS_ENDPOINT_URL has no meaning: `localhost:4566`"),
            (&[all, none],   "https://sts.amazonaws.com/",               "AWS_ENDPOINT_URL_STS has no meaning: `there`"),
        ];
        for (variables, url, want) in cases {
            let moved = at_configured_endpoint(&environment(variables), url.parse().unwrap());
            let got = moved.map_or_else(|error| error.to_string(), String::from);
            assert_eq!(got, want, "{variables:?} {url}");
        }
    }
}
