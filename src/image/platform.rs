//! Operating system, architecture and variant, normalised as containerd does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;

/// A platform in normal form: `linux/arm` has variant `v7`, `linux/arm64` and `linux/amd64` have none.
///
/// ```
/// use executor::image::Platform;
/// let platform: Platform = "linux/aarch64/v8".parse()?;
/// assert_eq!(platform.to_string(), "linux/arm64");
/// # Ok::<(), executor::image::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// Returns the platform this binary was built for and runs on.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH, "")
    }

    /// Returns the platform in normal form.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let (architecture, variant) =
            normalise(&architecture.to_lowercase(), &variant.to_lowercase());
        Self {
            architecture,
            os,
            os_version: String::new(),
            os_features: Vec::new(),
            variant,
        }
    }

    /// Tells whether an image for `self` can serve where `wanted` was asked for.
    ///
    /// A variant or version is compared only if `wanted` names one; 32-bit arm variants also serve every later variant.
    pub fn serves(&self, wanted: &Platform) -> bool {
        let own = Self::new(&self.os, &self.architecture, &self.variant);
        let variant = own.variant == wanted.variant
            || wanted.variant.is_empty()
            || (own.architecture == "arm" && own.variant < wanted.variant)
            || (own.architecture == "amd64" && own.variant < wanted.variant);
        let version = wanted.os_version.is_empty() || self.os_version == wanted.os_version;
        own.os == wanted.os && own.architecture == wanted.architecture && variant && version
    }
}

/// Maps the spellings of an architecture to Go's, and drops variants that say nothing.
fn normalise(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
        ("aarch64" | "arm64", "" | "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", v) => ("arm64", v),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        ("powerpc64le", v) => ("ppc64le", v),
        (a, v) => (a, v),
    };
    (architecture.to_owned(), variant.to_owned())
}

/// What a platform of one word may name beside an operating system.
const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
];

impl FromStr for Platform {
    type Err = Error;

    /// Parses `os/arch[/variant][:osversion]`, or a bare `os` or `arch` completed from the host.
    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |reason| Error::Platform {
            text: text.to_owned(),
            reason,
        };
        let (name, version) = text.split_once(':').unwrap_or((text, ""));
        let parts: Vec<&str> = name.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if !parts.iter().all(valid) {
            return Err(error("expected `os/arch[/variant][:osversion]`"));
        }
        let host = Self::host();
        let mut platform = match parts[..] {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => {
                Self::new(os, &host.architecture, &host.variant)
            }
            [architecture] => {
                let platform = Self::new(&host.os, architecture, "");
                if !ARCHITECTURES.contains(&platform.architecture.as_str()) {
                    return Err(error("unknown operating system or architecture"));
                }
                platform
            }
            [os, architecture] => Self::new(os, architecture, ""),
            [os, architecture, variant] => Self::new(os, architecture, variant),
            _ => return Err(error("too many components")),
        };
        platform.os_version = version.to_owned();
        Ok(platform)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_normalises() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("linux/amd64",      Some("linux/amd64")),
            ("linux/x86_64",     Some("linux/amd64")),
            ("linux/amd64/v1",   Some("linux/amd64")),
            ("linux/amd64/v2",   Some("linux/amd64/v2")),
            ("linux/arm",        Some("linux/arm/v7")),
            ("linux/arm/6",      Some("linux/arm/v6")),
            ("linux/armhf",      Some("linux/arm/v7")),
            ("linux/arm64/v8",   Some("linux/arm64")),
            ("Linux/aarch64",    Some("linux/arm64")),
            ("aarch64",          Some("linux/arm64")),
            ("armhf",            Some("linux/arm/v7")),
            ("linus",            None),
            ("linux/a/b/c",      None),
            ("linux/",           None),
            ("",                 None),
        ];
        for (text, want) in cases {
            assert_eq!(
                text.parse::<Platform>()
                    .ok()
                    .map(|p| p.to_string())
                    .as_deref(),
                want,
                "{text}"
            );
        }
    }
}
