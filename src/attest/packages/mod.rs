//! Packages that the files of an image tell of: databases of package managers, lock files, and what programs know of themselves.
//!
//! Each kind of file has a parser from bytes to [`Contents`]; [`recognise`] chooses it by the path alone.

mod apk;
mod dpkg;
mod rpm;

mod dotnet;
mod go;
mod node;
mod php;
mod python;
mod ruby;
mod toml;

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::purl;
use crate::layer::LayerPath;

/// One package, by name and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    pub ecosystem: Ecosystem,
    /// What of the name stands before the last part; for a distribution's packages the distribution.
    pub namespace: String,
    pub name: String,
    pub version: String,
    pub qualifiers: BTreeMap<&'static str, String>,
    /// As the package says it, in whatever form.
    pub license: String,
}

/// Who makes packages of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    Debian,
    Alpine,
    Rpm,
    Node,
    Python,
    Rust,
    Ruby,
    Php,
    Go,
    DotNet,
}

impl Ecosystem {
    fn kind(self) -> &'static str {
        match self {
            Self::Debian => "deb",
            Self::Alpine => "apk",
            Self::Rpm => "rpm",
            Self::Node => "npm",
            Self::Python => "pypi",
            Self::Rust => "cargo",
            Self::Ruby => "gem",
            Self::Php => "composer",
            Self::Go => "golang",
            Self::DotNet => "nuget",
        }
    }

    /// Returns the namespace where nothing in the image says what distribution it is.
    fn usual_distribution(self) -> Option<&'static str> {
        match self {
            Self::Debian => Some("debian"),
            Self::Alpine => Some("alpine"),
            Self::Rpm => Some("redhat"),
            _ => None,
        }
    }
}

impl Package {
    /// Names a package whose name may have a namespace in front, as in `@scope/name`.
    fn new(ecosystem: Ecosystem, name: &str, version: &str) -> Self {
        let (namespace, name) = name.rsplit_once('/').unwrap_or(("", name));
        Self {
            ecosystem,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            qualifiers: BTreeMap::new(),
            license: String::new(),
        }
    }

    /// Returns the name with its namespace, as its users write it.
    pub fn full_name(&self) -> String {
        match (&*self.namespace, self.ecosystem.usual_distribution()) {
            ("", _) | (_, Some(_)) => self.name.clone(),
            (namespace, None) => format!("{namespace}/{}", self.name),
        }
    }

    pub fn purl(&self) -> String {
        let kind = self.ecosystem.kind();
        purl::purl(
            kind,
            &self.namespace,
            &self.name,
            &self.version,
            &self.qualifiers,
        )
    }

    /// Says of a distribution's package which distribution that is.
    pub fn belongs_to(&mut self, distribution: Option<&Distribution>) {
        let Some(usual) = self.ecosystem.usual_distribution() else {
            return;
        };
        self.namespace = match distribution.map(|distribution| &*distribution.id) {
            None | Some("") => usual.to_owned(),
            Some("rhel") => "redhat".to_owned(),
            Some(id) => id.to_owned(),
        };
        if let Some(Distribution { id, version }) = distribution.filter(|d| !d.id.is_empty()) {
            let distro = match &**version {
                "" => id.clone(),
                version => format!("{id}-{version}"),
            };
            self.qualifiers.insert("distro", distro);
        }
    }
}

/// What `os-release` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    pub id: String,
    pub version: String,
}

/// What a file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    Packages(Vec<Package>),
    Distribution(Distribution),
}

/// Why a file that should tell of packages does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not in the form that its name says")]
    Malformed,
    #[error("databases of rpm in the form of Berkeley DB cannot be read")]
    BerkeleyDb,
    #[error("it is too large")]
    TooLarge,
}

/// How a file is read.
#[derive(Clone, Copy)]
pub enum Reading {
    /// As a whole, if it is no larger than this.
    Whole(u64, fn(&LayerPath, &[u8]) -> Result<Contents, Unreadable>),
    /// As a program, from its beginning to its end.
    Program,
}

/// What lock files and the like may have at most.
const TEXT: u64 = 64 << 20;
const DATABASE: u64 = 512 << 20;

/// Returns how the file at a path tells of packages; nothing if it does not.
pub fn recognise(path: &LayerPath, mode: u32) -> Option<Reading> {
    let text = std::str::from_utf8(path.as_bytes()).ok()?;
    let (directory, name) = text.rsplit_once('/').unwrap_or(("", text));
    let parent = directory.rsplit('/').next().unwrap_or_default();
    let whole = |parse| Some(Reading::Whole(TEXT, parse));
    match (directory, name) {
        ("etc" | "usr/lib", "os-release") => return whole(os_release),
        ("var/lib/dpkg", "status") => return whole(dpkg::parse),
        ("var/lib/dpkg/status.d", name) if !name.ends_with(".md5sums") => {
            return whole(dpkg::parse);
        }
        ("lib/apk/db" | "usr/lib/apk/db", "installed") => return whole(apk::parse),
        ("var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm", name) => {
            return rpm::reader(name).map(|parse| Reading::Whole(DATABASE, parse));
        }
        _ => {}
    }
    match name {
        "package-lock.json" | ".package-lock.json" | "npm-shrinkwrap.json" => whole(node::npm_lock),
        "yarn.lock" => whole(node::yarn_lock),
        "pnpm-lock.yaml" => whole(node::pnpm_lock),
        "package.json" if node::is_installed(directory) => whole(node::package),
        "METADATA" if parent.ends_with(".dist-info") => whole(python::metadata),
        "PKG-INFO" if parent.ends_with(".egg-info") => whole(python::metadata),
        "poetry.lock" | "uv.lock" | "pdm.lock" => whole(toml::python),
        "Pipfile.lock" => whole(python::pipfile_lock),
        "requirements.txt" => whole(python::requirements),
        "Cargo.lock" => whole(toml::cargo),
        "Gemfile.lock" => whole(ruby::gemfile_lock),
        name if parent == "specifications" && name.ends_with(".gemspec") => whole(ruby::gemspec),
        "composer.lock" => whole(php::composer_lock),
        "installed.json" if parent == "composer" => whole(php::composer_lock),
        "go.sum" => whole(go::sum),
        "packages.lock.json" => whole(dotnet::packages_lock),
        name if name.ends_with(".deps.json") => whole(dotnet::deps),
        _ if mode & 0o111 != 0 => Some(Reading::Program),
        _ => None,
    }
}

/// Finds the packages that a program says it was built from.
pub fn of_program(content: &mut dyn Read) -> io::Result<Vec<Package>> {
    go::program(content)
}

fn packages(packages: Vec<Package>) -> Result<Contents, Unreadable> {
    Ok(Contents::Packages(packages))
}

/// Reads text, whatever bytes are in it.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn json(bytes: &[u8]) -> Result<serde_json::Value, Unreadable> {
    serde_json::from_slice(bytes).map_err(|_| Unreadable::Malformed)
}

/// Splits a file into paragraphs of `Key: value` lines; lines that continue a value are left out.
fn paragraphs(text: &str, separator: char) -> impl Iterator<Item = BTreeMap<&str, &str>> {
    let paragraphs = text.split("\n\n").map(move |paragraph| {
        let lines = paragraph
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']));
        let fields = lines.filter_map(|line| line.split_once(separator));
        fields.map(|(key, value)| (key, value.trim())).collect()
    });
    paragraphs.filter(|fields: &BTreeMap<&str, &str>| !fields.is_empty())
}

fn os_release(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let field = |wanted: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let value = lines
            .find(|(key, _)| *key == wanted)
            .map(|(_, value)| value);
        value
            .unwrap_or_default()
            .trim_matches(['"', '\''])
            .to_owned()
    };
    Ok(Contents::Distribution(Distribution {
        id: field("ID"),
        version: field("VERSION_ID"),
    }))
}

#[cfg(test)]
mod tests;
