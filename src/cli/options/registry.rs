//! How registries are spoken to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Given;
use crate::cli::Error;
use crate::cli::value;

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
    /// Files with certificate and key, by registry.
    pub client_certificates: BTreeMap<String, (PathBuf, PathBuf)>,
    /// Registries to ask instead of another, in order; mirrors of Docker Hub stand under `index.docker.io`.
    pub maps: BTreeMap<String, Vec<String>>,
    pub skip_default_fallback: bool,
    pub skip_push_permission_check: bool,
    pub push_retry: u32,
    pub image_download_retry: u32,
    /// Appended to the user agent.
    pub client_type: Option<String>,
}

impl Registry {
    pub(in crate::cli) fn resolve(given: Given<'_>) -> Result<Self, Error> {
        let values = given.values;
        let mut maps: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let from_env =
            value::parse_pairs(given.variable("KANIKO_REGISTRY_MAP").unwrap_or_default());
        let from_env = from_env.map_err(|reason| Error::Variable {
            name: "KANIKO_REGISTRY_MAP",
            reason,
        })?;
        let mirrors = values.list("registry-mirror").iter().map(String::as_str);
        let mirrors = mirrors.chain(given.variable("KANIKO_REGISTRY_MIRROR"));
        let mirrors = mirrors.map(|mirror| ("index.docker.io".to_owned(), mirror.to_owned()));
        let pairs = values.pairs("registry-map").into_iter().chain(from_env);
        for (registry, other) in pairs.chain(mirrors).filter(|(_, other)| !other.is_empty()) {
            maps.entry(registry).or_default().push(other);
        }
        let mut client_certificates = BTreeMap::new();
        for (registry, files) in values.pairs("registry-client-cert") {
            match files.split(',').collect::<Vec<_>>()[..] {
                [certificate, key] => {
                    client_certificates
                        .insert(registry, (given.absolute(certificate), given.absolute(key)));
                }
                _ => return Err(Error::ClientCertificate { registry, files }),
            }
        }
        let certificates = values.pairs("registry-certificate").into_iter();
        let retries = |name| u32::try_from(values.int(name).max(0)).unwrap_or(u32::MAX);
        Ok(Self {
            insecure: values.bool("insecure"),
            insecure_pull: values.bool("insecure-pull"),
            insecure_registries: values.list("insecure-registry").to_vec(),
            skip_tls_verify: values.bool("skip-tls-verify"),
            skip_tls_verify_pull: values.bool("skip-tls-verify-pull"),
            skip_tls_verify_registries: values.list("skip-tls-verify-registry").to_vec(),
            certificates: certificates
                .map(|(registry, file)| (registry, given.absolute(&file)))
                .collect(),
            client_certificates,
            maps,
            skip_default_fallback: values.bool("skip-default-registry-fallback"),
            skip_push_permission_check: values.bool("skip-push-permission-check"),
            push_retry: retries("push-retry"),
            image_download_retry: retries("image-download-retry"),
            client_type: given.variable("UPSTREAM_CLIENT_TYPE").map(str::to_owned),
        })
    }
}
