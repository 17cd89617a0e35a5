//! How registries are spoken to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Given;
use crate::cli::Error;
use crate::net::retry::Retry;
use crate::registry::{self, ClientCertificate, Credentials, Endpoints};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Plain HTTP when pushing.
    pub insecure: bool,
    pub insecure_pull: bool,
    pub insecure_registries: Vec<String>,
    pub skip_tls_verify: bool,
    pub skip_tls_verify_pull: bool,
    pub skip_tls_verify_registries: Vec<String>,
    /// File with certificate authorities, by registry.
    pub certificates: BTreeMap<String, PathBuf>,
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// Registries to ask instead of others when pulling.
    pub endpoints: Endpoints,
    /// Built-in credential helpers to use; absent means all.
    pub credential_helpers: Option<Vec<String>>,
    pub skip_push_permission_check: bool,
    pub push_retry: u32,
    pub image_download_retry: u32,
    /// Appended to the user agent.
    pub client_type: Option<String>,
}

impl Registry {
    pub(in crate::cli) fn resolve(given: Given<'_>) -> Result<Self, Error> {
        let values = given.values;
        // not every command pulls and pushes
        let bool = |name| values.knows(name) && values.bool(name);
        let list = |name| match values.knows(name) {
            true => values.list(name),
            false => &[],
        };
        let retries = |name| match values.knows(name) {
            true => u32::try_from(values.int(name).max(0)).unwrap_or(u32::MAX),
            false => 0,
        };
        let mut endpoints = Endpoints::default();
        endpoints.skip_default_registry_fallback = bool("skip-default-registry-fallback");
        let maps = list("registry-map").iter().map(String::as_str);
        for map in maps.chain(given.variable("KANIKO_REGISTRY_MAP")) {
            endpoints
                .add_map(map)
                .map_err(Box::new)
                .map_err(Error::Map)?;
        }
        let mirrors = list("registry-mirror").iter().map(String::as_str);
        for mirror in mirrors.chain(given.variable("KANIKO_REGISTRY_MIRROR")) {
            endpoints
                .add_mirror(mirror)
                .map_err(Box::new)
                .map_err(Error::Map)?;
        }
        let mut client_certificates = BTreeMap::new();
        for (registry, files) in values.pairs("registry-client-cert") {
            match files.split(',').collect::<Vec<_>>()[..] {
                [certificate, key] => {
                    let certificate = given.absolute(certificate);
                    let key = given.absolute(key);
                    client_certificates.insert(registry, ClientCertificate { certificate, key });
                }
                _ => return Err(Error::ClientCertificate { registry, files }),
            }
        }
        let certificates = values.pairs("registry-certificate").into_iter();
        Ok(Self {
            insecure: bool("insecure"),
            insecure_pull: bool("insecure-pull"),
            insecure_registries: values.list("insecure-registry").to_vec(),
            skip_tls_verify: values.bool("skip-tls-verify"),
            skip_tls_verify_pull: bool("skip-tls-verify-pull"),
            skip_tls_verify_registries: values.list("skip-tls-verify-registry").to_vec(),
            certificates: certificates
                .map(|(registry, file)| (registry, given.absolute(&file)))
                .collect(),
            client_certificates,
            endpoints,
            credential_helpers: match values.is_given("credential-helpers") {
                true => Some(values.list("credential-helpers").to_vec()),
                false => None,
            },
            skip_push_permission_check: bool("skip-push-permission-check"),
            push_retry: retries("push-retry"),
            image_download_retry: retries("image-download-retry"),
            client_type: given.variable("UPSTREAM_CLIENT_TYPE").map(str::to_owned),
        })
    }

    /// Returns how base images are pulled.
    pub fn pull(&self, credentials: Arc<Credentials>) -> registry::Options {
        registry::Options {
            insecure: self.insecure_pull,
            // users of kaniko rely on `--skip-tls-verify` covering pulls too (compat spec 6.2)
            skip_tls_verify: self.skip_tls_verify || self.skip_tls_verify_pull,
            endpoints: self.endpoints.clone(),
            retry: Retry::DEFAULT.with_extra(self.image_download_retry),
            ..self.push(credentials)
        }
    }

    /// Returns how images are pushed.
    pub fn push(&self, credentials: Arc<Credentials>) -> registry::Options {
        registry::Options {
            insecure: self.insecure,
            insecure_registries: self.insecure_registries.iter().cloned().collect(),
            skip_tls_verify: self.skip_tls_verify,
            skip_tls_verify_registries: self.skip_tls_verify_registries.iter().cloned().collect(),
            certificates: self.certificates.clone(),
            client_certificates: self.client_certificates.clone(),
            endpoints: Endpoints::default(),
            retry: Retry::DEFAULT.with_extra(self.push_retry),
            user_agent: registry::user_agent(self.client_type.as_deref()),
            credentials,
            store: None,
        }
    }
}
