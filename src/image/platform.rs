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

    /// Returns the platforms whose images run on this one, the best first.
    ///
    /// # Spec
    /// containerd, `platforms.Only`: older variants serve newer ones, 386 serves amd64, and arm serves arm64.
    pub fn runs(&self) -> Vec<Self> {
        let Self {
            os,
            architecture,
            variant,
            ..
        } = self;
        let named = |variant: String| Self::new(os, architecture, &variant);
        let number = variant.strip_prefix('v').and_then(|n| n.parse().ok());
        let number = number.map(|n: u32| n.min(NEWEST));
        let mut runs = vec![Self::new(os, architecture, variant)];
        match (&**architecture, number) {
            ("amd64", number) => {
                let older = (1..number.unwrap_or(1)).rev();
                runs.extend(older.map(|older| named(format!("v{older}"))));
                runs.push(Self::new(os, "386", ""));
            }
            ("arm", Some(number)) => {
                runs.extend((5..number).rev().map(|older| named(format!("v{older}"))));
            }
            ("arm64", _) => {
                let (major, minor) = arm64(variant);
                if major == 9 {
                    runs.extend((0..minor).rev().map(|minor| named(format!("v9.{minor}"))));
                }
                // v9.0 came after v8.5
                let newest = if major == 9 { minor + 6 } else { minor };
                runs.extend((0..newest).rev().map(|minor| named(format!("v8.{minor}"))));
                let arm = (5..=8).rev();
                runs.extend(arm.map(|arm| Self::new(os, "arm", &format!("v{arm}"))));
            }
            _ => {}
        }
        runs
    }

    /// Tells how well an image for `self` serves where `wanted` was asked for: the less the better, `None` if not at all.
    ///
    /// A version is compared only if `wanted` names one.
    pub fn serves(&self, wanted: &Platform) -> Option<usize> {
        let version = wanted.os_version.is_empty() || self.os_version == wanted.os_version;
        let own = Self::new(&self.os, &self.architecture, &self.variant);
        wanted
            .runs()
            .iter()
            .position(|runs| version && *runs == own)
    }
}

/// No variant of amd64 or arm has a higher number.
const NEWEST: u32 = 9;

/// Reads a variant of arm64: `v9.2` is 9 and 2, nothing is 8 and 0.
fn arm64(variant: &str) -> (u32, u32) {
    let number = variant.strip_prefix('v').unwrap_or("8");
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    (
        major.parse().unwrap_or(8),
        minor.parse().unwrap_or(0).min(99),
    )
}

/// Maps the spellings of an architecture to Go's, and drops variants that say nothing.
fn normalise(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
        ("aarch64" | "arm64", "" | "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
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

/// What runs images.
pub const SYSTEMS: [&str; 4] = ["linux", "windows", "darwin", "freebsd"];
/// What a platform of one word may name beside an operating system.
pub const ARCHITECTURES: [&str; 14] = [
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
            [os] if SYSTEMS.contains(&os) => Self::new(os, &host.architecture, &host.variant),
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
    fn what_serves_what() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // wanted          what an index has, the best first; the rest behind `!`
            ("linux/amd64",    "linux/amd64 linux/386 ! linux/amd64/v2 linux/arm64 windows/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3 linux/amd64/v2 linux/amd64/v1 linux/386 ! linux/amd64/v4"),
            ("linux/386",      "linux/386 ! linux/amd64"),
            ("linux/arm",      "linux/arm/v7 linux/arm/v6 linux/arm/v5 ! linux/arm/v8 linux/arm64"),
            ("linux/arm/v6",   "linux/arm/v6 linux/arm/v5 ! linux/arm/v7"),
            ("linux/arm/v5",   "linux/arm/v5 ! linux/arm/v6"),
            ("linux/arm/v8",   "linux/arm/v8 linux/arm linux/arm/v6 linux/arm/v5 ! linux/arm64"),
            ("linux/arm64",    "linux/arm64/v8 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5 ! linux/arm64/v8.1 linux/arm64/v9"),
            ("linux/arm64/v8.2", "linux/arm64/v8.2 linux/arm64/v8.1 linux/arm64 linux/arm/v8 ! linux/arm64/v8.3"),
            ("linux/arm64/v9", "linux/arm64/v9.0 linux/arm64/v8.5 linux/arm64/v8.4 linux/arm64/v8 linux/arm/v7 ! linux/arm64/v8.6 linux/arm64/v9.1"),
            ("linux/arm64/v9.1", "linux/arm64/v9.1 linux/arm64/v9 linux/arm64/v8.6 linux/arm64/v8.5 ! linux/arm64/v8.7"),
            ("linux/riscv64",  "linux/riscv64 ! linux/amd64"),
        ];
        for (wanted, have) in cases {
            let (serve, others) = have.split_once(" ! ").unwrap();
            let wanted: Platform = wanted.parse().unwrap();
            let rank = |text: &str| text.parse::<Platform>().unwrap().serves(&wanted);
            let ranks: Vec<_> = serve.split(' ').map(rank).collect();
            assert!(ranks.iter().all(Option::is_some), "{have}: {ranks:?}");
            assert!(
                ranks.windows(2).all(|pair| pair[0] < pair[1]),
                "{have}: {ranks:?}"
            );
            let others: Vec<_> = others.split(' ').filter_map(rank).collect();
            assert!(others.is_empty(), "{have}: {others:?}");
        }
        let windows = |version: &str| Platform {
            os_version: version.to_owned(),
            ..Platform::new("windows", "amd64", "")
        };
        assert_eq!(windows("10.1").serves(&windows("")), Some(0));
        assert_eq!(windows("10.1").serves(&windows("10.2")), None);
    }

    #[test]
    fn a_variant_of_any_number_is_served_at_once() {
        for text in [
            "linux/amd64/v4000000000",
            "linux/arm/v4000000000",
            "linux/arm64/v8.4000000000",
        ] {
            let wanted: Platform = text.parse().unwrap();
            assert_eq!(wanted.serves(&wanted), Some(0), "{text}");
            assert!(wanted.runs().len() < 200, "{text}");
        }
    }

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
