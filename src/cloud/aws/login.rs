//! What a profile leads to: keys of its own, a program, or a role that is taken on with those of another.

use reqsign::aws::{
    AssumeRoleCredentialProvider, ProcessCredentialProvider, RequestSigner, SSOCredentialProvider,
    StaticCredentialProvider,
};
use reqsign::{ProvideCredential, Signer};

use super::profiles::{Profile, Profiles};
use super::{Credential, SESSION, container, from_variables, instance, web_identity};
use crate::cloud::{Error, Surroundings};

/// Profiles that refer to each other, at most.
const CHAIN_LIMIT: usize = 8;

/// Profiles, and how they are looked at.
pub(super) struct Chosen<'a> {
    pub(super) at: &'a Surroundings,
    pub(super) profiles: &'a Profiles,
    pub(super) region: &'a str,
}

impl Chosen<'_> {
    /// Returns the credentials that a profile leads to.
    pub(super) async fn credential(
        &self,
        name: &str,
        depth: usize,
    ) -> Result<Option<Credential>, Error> {
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
