//! The OCI image documents as values: digests, names, platforms, manifests, configs.
//!
//! Nothing here opens anything. All but configs keep fields they do not know, so a document that is read and written again loses nothing;
//! maps are ordered, so the same image always serialises to the same bytes.

pub mod digest;
pub mod layer;
pub mod media_type;
pub mod platform;
pub mod reference;

pub mod config;
pub mod json;
pub mod manifest;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{DiffId, Digest, Digester};
pub use layer::Layer;
pub use manifest::{Descriptor, Index, Manifest};
pub use media_type::{Compression, Family, MediaType};
pub use platform::Platform;
pub use reference::ImageRef;

/// What was wrong with a text or document that should name or describe an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("invalid digest `{0}`: expected `sha256:` and 64 lowercase hex digits")]
    Digest(String),
    #[error("invalid reference format: {reason} (`{text}`)")]
    Reference { text: String, reason: &'static str },
    #[error("invalid platform `{text}`: {reason}")]
    Platform { text: String, reason: &'static str },
    #[error("media type `{0}` cannot be converted to the {1} family")]
    Family(String, Family),
}
