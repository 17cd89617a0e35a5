//! Media types, and the two families of them that registries accept.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;

/// A media type as written in a manifest; unknown ones are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(pub String);

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const OCI_FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
pub const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";

/// Which of the two sets of media types a document uses; a manifest must not mix them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Docker,
    Oci,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Oci => "oci",
        })
    }
}

/// How the bytes of a layer blob are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Family {
    pub fn manifest(self) -> MediaType {
        MediaType::from(match self {
            Self::Docker => DOCKER_MANIFEST,
            Self::Oci => OCI_MANIFEST,
        })
    }

    pub fn index(self) -> MediaType {
        MediaType::from(match self {
            Self::Docker => DOCKER_LIST,
            Self::Oci => OCI_INDEX,
        })
    }

    pub fn config(self) -> MediaType {
        MediaType::from(match self {
            Self::Docker => DOCKER_CONFIG,
            Self::Oci => OCI_CONFIG,
        })
    }

    /// Returns the type of a layer blob.
    ///
    /// # Errors
    /// [`Error::Family`]: Docker's schema 2 has no name for zstd.
    pub fn layer(self, compression: Compression) -> Result<MediaType, Error> {
        let (base, gzip) = match self {
            Self::Docker => (DOCKER_LAYER, ".gzip"),
            Self::Oci => (OCI_LAYER, "+gzip"),
        };
        match (self, compression) {
            (_, Compression::None) => Ok(MediaType::from(base)),
            (_, Compression::Gzip) => Ok(MediaType(format!("{base}{gzip}"))),
            (Self::Oci, Compression::Zstd) => Ok(MediaType(format!("{base}+zstd"))),
            (Self::Docker, Compression::Zstd) => {
                Err(Error::Family(format!("{OCI_LAYER}+zstd"), self))
            }
        }
    }
}

impl MediaType {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_index(&self) -> bool {
        matches!(self.as_str(), OCI_INDEX | DOCKER_LIST)
    }

    pub fn is_manifest(&self) -> bool {
        matches!(self.as_str(), OCI_MANIFEST | DOCKER_MANIFEST)
    }

    /// Tells whether a layer of this type is fetched from elsewhere and never uploaded.
    pub fn is_foreign(&self) -> bool {
        self.0.starts_with(OCI_FOREIGN) || self.0.starts_with(DOCKER_FOREIGN)
    }

    pub fn family(&self) -> Family {
        if self.0.starts_with("application/vnd.docker.") {
            Family::Docker
        } else {
            Family::Oci
        }
    }

    /// Returns the compression that a layer's type announces; unknown endings count as none.
    pub fn compression(&self) -> Compression {
        match self.as_str() {
            t if t.ends_with("gzip") => Compression::Gzip,
            t if t.ends_with("zstd") => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Returns the layer type of the other family for the same bytes; foreign layers keep being foreign.
    ///
    /// # Errors
    /// [`Error::Family`] for a zstd layer that should become Docker's.
    pub fn layer_in(&self, family: Family) -> Result<MediaType, Error> {
        if !self.is_foreign() {
            return family
                .layer(self.compression())
                .map_err(|_| Error::Family(self.0.clone(), family));
        }
        let (base, gzip) = match family {
            Family::Docker => (DOCKER_FOREIGN, ".gzip"),
            Family::Oci => (OCI_FOREIGN, "+gzip"),
        };
        match self.compression() {
            Compression::None => Ok(MediaType::from(base)),
            Compression::Gzip => Ok(MediaType(format!("{base}{gzip}"))),
            Compression::Zstd => Err(Error::Family(self.0.clone(), family)),
        }
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_change_family_and_keep_their_compression() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Family::Oci,    Some("application/vnd.oci.image.layer.v1.tar+gzip")),
            ("application/vnd.oci.image.layer.v1.tar+gzip",       Family::Docker, Some("application/vnd.docker.image.rootfs.diff.tar.gzip")),
            ("application/vnd.oci.image.layer.v1.tar",            Family::Docker, Some("application/vnd.docker.image.rootfs.diff.tar")),
            ("application/vnd.oci.image.layer.v1.tar+zstd",       Family::Oci,    Some("application/vnd.oci.image.layer.v1.tar+zstd")),
            ("application/vnd.oci.image.layer.v1.tar+zstd",       Family::Docker, None),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Family::Oci,
             Some("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")),
        ];
        for (from, family, want) in cases {
            let got = MediaType::from(from).layer_in(family).ok();
            assert_eq!(
                got.as_ref().map(MediaType::as_str),
                want,
                "{from} in {family}"
            );
        }
    }
}
