//! Package URLs: names of packages and images that are the same everywhere.
//!
//! # Spec
//! purl-spec, `PURL-SPECIFICATION.rst` and `PURL-TYPES.rst`.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::image::reference::DOCKER_HUB;
use crate::image::{ImageRef, Platform};

/// Writes `pkg:kind/namespace/name@version?key=value`; empty parts are left out.
pub fn purl(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &BTreeMap<&str, String>,
) -> String {
    let mut text = format!("pkg:{kind}/");
    for segment in namespace.split('/').filter(|segment| !segment.is_empty()) {
        text.push_str(&encoded(segment));
        text.push('/');
    }
    text.push_str(&encoded(name));
    if !version.is_empty() {
        text.push('@');
        text.push_str(&encoded(version));
    }
    let mut separator = '?';
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, "{separator}{key}={}", encoded(value));
        separator = '&';
    }
    text
}

/// Returns the package URL of an image, in the short form of its name that docker shows.
pub fn of_image(image: &ImageRef, platform: Option<&Platform>) -> String {
    let name = image.name();
    let hub = format!("{DOCKER_HUB}/");
    let short = match name.strip_prefix(&hub) {
        Some(path) => path.strip_prefix("library/").unwrap_or(path),
        None => &name,
    };
    let (namespace, name) = short.rsplit_once('/').unwrap_or(("", short));
    let mut qualifiers = BTreeMap::new();
    if let Some(digest) = &image.digest {
        qualifiers.insert("digest", digest.to_string());
    }
    if let Some(platform) = platform {
        qualifiers.insert("platform", platform.to_string());
    }
    let tag = image.tag.as_deref().unwrap_or_default();
    purl("docker", namespace, name, tag, &qualifiers)
}

/// Escapes what is neither a letter, a digit, nor one of `.-_~:`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let platform = Platform::new("linux", "arm", "v7");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("alpine:3.17",          "pkg:docker/alpine@3.17?platform=linux%2Farm%2Fv7"),
            ("grafana/grafana",      "pkg:docker/grafana/grafana@latest?platform=linux%2Farm%2Fv7"),
            ("localhost:5000/a/b:1", "pkg:docker/localhost:5000/a/b@1?platform=linux%2Farm%2Fv7"),
        ];
        for (name, want) in cases {
            assert_eq!(of_image(&name.parse().unwrap(), Some(&platform)), want);
        }
    }

    #[test]
    fn packages() {
        let arch = BTreeMap::from([("arch", "amd64".to_owned()), ("distro", String::new())]);
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (purl("deb", "debian", "libstdc++6", "1:2.0+b1", &arch), "pkg:deb/debian/libstdc%2B%2B6@1:2.0%2Bb1?arch=amd64"),
            (purl("npm", "@babel", "core", "7.0.0", &BTreeMap::new()), "pkg:npm/%40babel/core@7.0.0"),
            (purl("golang", "golang.org/x", "net", "v0.1.0", &BTreeMap::new()), "pkg:golang/golang.org/x/net@v0.1.0"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
