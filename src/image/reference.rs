//! Image names: registry, repository, tag and digest.

use std::fmt;
use std::str::FromStr;

use super::{Digest, Error};

/// A complete image reference, with Docker Hub's defaults filled in.
///
/// Displayed as kaniko prints it: `index.docker.io/library/busybox:latest`. With both a tag and a digest the digest decides.
///
/// ```
/// use executor::image::ImageRef;
/// let image: ImageRef = "busybox".parse()?;
/// assert_eq!(image.to_string(), "index.docker.io/library/busybox:latest");
/// assert_eq!(image.name(), "index.docker.io/library/busybox");
/// # Ok::<(), executor::image::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef {
    /// Host and port; Docker Hub is [`DOCKER_HUB`].
    pub registry: String,
    pub repository: String,
    /// Absent only if there is a digest.
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// The name under which Docker Hub is contacted, shown and configured.
pub const DOCKER_HUB: &str = "index.docker.io";

impl ImageRef {
    /// Returns registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns what stands behind `/manifests/` when this image is asked for.
    pub fn manifest_reference(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// Returns the same repository with another digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            tag: None,
            ..self.clone()
        }
    }

    /// Returns the same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Self {
        Self {
            digest: None,
            tag: Some(tag.to_owned()),
            ..self.clone()
        }
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |reason| Error::Reference {
            text: text.to_owned(),
            reason,
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(
                    digest
                        .parse()
                        .map_err(|_| error("the digest is not `sha256:` and 64 hex digits"))?,
                ),
            ),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if host == "localhost" || host.contains(['.', ':']) => (host, path),
            _ => ("docker.io", name),
        };
        let registry = match registry {
            "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            other => other,
        };
        let repository = match (registry, repository.contains('/')) {
            (DOCKER_HUB, false) => format!("library/{repository}"),
            _ => repository.to_owned(),
        };
        if name.is_empty() {
            return Err(error("the name is empty"));
        }
        if !registry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        {
            return Err(error("the registry is not a host name"));
        }
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(error("repository name must be lowercase"));
        }
        if !(1..=255).contains(&repository.len()) || !repository.split('/').all(is_path_component) {
            return Err(error("the repository has an invalid or empty component"));
        }
        if !tag.is_none_or(is_tag) {
            return Err(error(
                "a tag has 1 to 128 characters from [A-Za-z0-9_.-] and does not start with `.` or `-`",
            ));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

/// Tells whether `part` is `[a-z0-9]+` groups joined by `.`, `_`, `__` or hyphens.
fn is_path_component(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(part.bytes().next())
        && edge(part.bytes().next_back())
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && !["..", "._", "_.", ".-", "-.", "_-", "-_", "___"]
            .iter()
            .any(|pair| part.contains(pair))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_docker_hubs_defaults() {
        let digest = format!("sha256:{}", "0".repeat(64));
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("busybox",                   Some("index.docker.io/library/busybox:latest")),
            ("a/b:1",                     Some("index.docker.io/a/b:1")),
            ("docker.io/busybox",         Some("index.docker.io/library/busybox:latest")),
            ("localhost/x",               Some("localhost/x:latest")),
            ("localhost:5000/x/y:T_1.0",  Some("localhost:5000/x/y:T_1.0")),
            ("ghcr.io/o/r__s/t-u",        Some("ghcr.io/o/r__s/t-u:latest")),
            ("0",                         Some("index.docker.io/library/0:latest")),
            ("foo:bar:baz",               None),
            ("Base",                      None),
            ("x:",                        None),
            ("a//b",                      None),
            ("-a",                        None),
            ("a@sha256:1",                None),
            ("",                          None),
            (":tag",                      None),
        ];
        for (text, want) in cases {
            assert_eq!(
                text.parse::<ImageRef>()
                    .ok()
                    .map(|r| r.to_string())
                    .as_deref(),
                want,
                "{text}"
            );
        }
        let both: ImageRef = format!("a.io/b:t@{digest}").parse().unwrap();
        assert_eq!(both.manifest_reference(), digest);
    }
}
