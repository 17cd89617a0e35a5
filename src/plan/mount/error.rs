//! What can be wrong with the options of a mount.

use super::super::error::hint;
use crate::dockerfile::quote::quoted;

/// Why a mount cannot be made as it is written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unsupported mount type {}{}", quoted(.0), hint(.0, &TYPES))]
    Type(String),
    #[error("unexpected key '{key}' in '{field}'{}", hint(.key, &KEYS))]
    Key { key: String, field: String },
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyForType {
        key: &'static str,
        kind: &'static str,
    },
    #[error("invalid field '{0}' must be a key=value pair")]
    Bare(String),
    #[error("invalid value for {key}: {value}")]
    Value { key: &'static str, value: String },
    #[error("{key} not allowed for \"{kind}\" type mounts")]
    NotAllowed {
        key: &'static str,
        kind: &'static str,
    },
    #[error("unsupported sharing value {}{}", quoted(.0), hint(.0, &SHARINGS))]
    Sharing(String),
    #[error("{kind} does not support {key}")]
    Unsupported {
        kind: &'static str,
        key: &'static str,
    },
    #[error("invalid mount target {}", quoted(.0))]
    Target(String),
    #[error("invalid secret mount. one of source, target required")]
    SecretWithoutId,
    #[error("both source and id can't be set")]
    SecretWithTwoIds,
}

impl Error {
    /// Returns what the user can do about it, if anything.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Target(_) => Some("name a `target`, or set a WORKDIR other than `/`".to_owned()),
            Self::KeyForType { key, kind: "bind" } => Some(format!("write `type=` before `{key}`")),
            Self::KeyForType { key, kind }
            | Self::NotAllowed { key, kind }
            | Self::Unsupported { kind, key } => Some(format!(
                "leave `{key}` out, or use another type than {kind}"
            )),
            Self::Type(_) => Some(format!("types are {}", TYPES.join(", "))),
            Self::Key { .. } => Some(format!("keys are {}", KEYS.join(", "))),
            Self::Bare(_) => Some("ro, rw and required alone may be without a value".to_owned()),
            Self::Value { key: "mode", .. } => {
                Some("write an octal number, such as 0755".to_owned())
            }
            Self::Value {
                key: "uid" | "gid", ..
            } => Some("write a number; names are not looked up".to_owned()),
            Self::Value { key: "size", .. } => {
                Some("write bytes, or a number with k, m or g".to_owned())
            }
            Self::Value { .. } => Some("write true or false".to_owned()),
            Self::Sharing(_) => Some(format!("values are {}", SHARINGS.join(", "))),
            Self::SecretWithoutId => {
                Some("name the secret: `--mount=type=secret,id=NAME`".to_owned())
            }
            Self::SecretWithTwoIds => {
                Some("`source` is another word for `id`; keep one of the two".to_owned())
            }
        }
    }
}

const KEYS: [&str; 19] = [
    "type",
    "target",
    "dst",
    "destination",
    "source",
    "src",
    "from",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "size",
    "mode",
    "uid",
    "gid",
    "required",
    "env",
];
pub(super) const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARINGS: [&str; 3] = ["shared", "private", "locked"];
