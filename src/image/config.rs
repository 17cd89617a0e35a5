//! The image config: what a container of the image starts with, its layers' hashes, and its history.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DiffId, Platform};

/// An image's config document.
///
/// Fields stand in the order in which BuildKit writes them, which is the alphabetical one of its Go structs' nesting;
/// legacy fields of other builders (`container`, `docker_version` …) are dropped, as BuildKit drops them. To be read with
/// [`json::from_slice`](super::json::from_slice), since builders write `null` for what they left unset.
///
/// # Spec
/// image-spec v1.1 `config.md`; language spec CFG-1 to CFG-5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(flatten)]
    pub platform: Platform,
    #[serde(default)]
    pub config: ContainerConfig,
    #[serde(default)]
    pub rootfs: RootFs,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Returns the config that `FROM scratch` starts with.
    pub fn scratch(platform: Platform) -> Self {
        let config = ContainerConfig {
            env: vec![format!("PATH={DEFAULT_PATH}")],
            working_dir: "/".to_owned(),
            ..ContainerConfig::default()
        };
        Self {
            created: None,
            author: String::new(),
            platform,
            config,
            rootfs: RootFs::default(),
            history: Vec::new(),
        }
    }
}

/// `PATH` where neither the base nor the Dockerfile sets one.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The `config` object: Docker's field names, all of them optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Keys such as `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `KEY=VALUE`, in order of first appearance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// The value of a set that JSON writes as an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// How a runtime finds out whether a container is healthy; times in nanoseconds, 0 for unset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The hashes of the layers' tars, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// What one instruction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::json;

    #[test]
    fn null_lists_are_read_as_empty() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Labels":null,"OnBuild":null,"Cmd":null},
            "rootfs":{"type":"layers","diff_ids":null},"history":null,"container":"dropped"}"#;
        let config: ImageConfig = json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(json::to_vec(&config), br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#);
    }

    #[test]
    fn null_is_a_field_that_is_not_there() {
        let text = r#"{"architecture":"amd64","os":"linux","variant":null,"author":null,"created":null,"config":null,
            "rootfs":{"type":null,"diff_ids":null},"history":[{"created_by":null,"empty_layer":true}]}"#;
        let config: ImageConfig = json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(json::to_vec(&config), br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"empty_layer":true}]}"#);
        let text = r#"{"architecture":"amd64","os":"linux","config":{"User":null,"Healthcheck":{"Interval":null},"Volumes":{"/v":{}}}}"#;
        let config: ImageConfig = json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(json::to_vec(&config), br#"{"architecture":"amd64","os":"linux","config":{"Volumes":{"/v":{}},"Healthcheck":{}},"rootfs":{"type":"layers","diff_ids":[]}}"#);
        let error =
            json::from_slice::<ImageConfig>(br#"{"architecture":5,"os":null}"#).unwrap_err();
        assert!(error.column() > 0, "the text's own error: {error}");
    }
}
