//! Packages of Node.js: lock files of npm, yarn and pnpm, and what is installed.

use serde_json::{Map, Value};

use super::{Contents, Ecosystem, Package, Unreadable, json, packages, text};
use crate::layer::LayerPath;

fn named(name: &str, version: &str) -> Package {
    Package::new(Ecosystem::Node, name, version)
}

/// Reads `package-lock.json` of any version.
pub fn npm_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let document = json(bytes)?;
    let mut found = Vec::new();
    match (
        document["packages"].as_object(),
        document["dependencies"].as_object(),
    ) {
        (Some(packages), _) => {
            // the key is a path; what is no dependency is the project itself
            for (path, package) in packages {
                let name = path.rsplit_once("node_modules/").map(|(_, name)| name);
                let own = package["name"].as_str();
                if let (Some(name), Some(version)) = (
                    own.filter(|_| name.is_some()).or(name),
                    package["version"].as_str(),
                ) {
                    let mut package_found = named(name, version);
                    package_found.license = license(package);
                    found.push(package_found);
                }
            }
        }
        (None, Some(dependencies)) => collect(dependencies, &mut found),
        (None, None) => {}
    }
    packages(found)
}

/// Takes what version 1 of the lock file has, with dependencies inside dependencies.
fn collect(dependencies: &Map<String, Value>, found: &mut Vec<Package>) {
    for (name, package) in dependencies {
        let version = package["version"].as_str().unwrap_or_default();
        if version.starts_with(|c: char| c.is_ascii_digit()) {
            found.push(named(name, version));
        }
        if let Some(inner) = package["dependencies"].as_object() {
            collect(inner, found);
        }
    }
}

/// Reads `yarn.lock` of both forms: entries begin without a blank and have a line with the version.
pub fn yarn_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let mut found = Vec::new();
    let mut name: Option<&str> = None;
    for line in text.lines() {
        if !line.starts_with([' ', '#']) && line.ends_with(':') {
            let first = line
                .trim_end_matches(':')
                .split(',')
                .next()
                .unwrap_or_default();
            let first = first.trim_matches('"');
            let at = first.char_indices().skip(1).find(|(_, c)| *c == '@');
            name = at
                .map(|(at, _)| &first[..at])
                .filter(|_| !first.contains("@workspace:"));
        } else if let Some(version) = line.strip_prefix("  version")
            && let Some(name) = name.take()
        {
            found.push(named(name, version.trim_matches([' ', ':', '"'])));
        }
    }
    packages(found)
}

/// Reads the keys below `packages:`, which are `/name/1.0.0`, `/name@1.0.0` or `name@1.0.0` with peers in parentheses or behind `_`.
pub fn pnpm_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let lines = text.lines().skip_while(|line| *line != "packages:").skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    let keys = lines.filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
    let keys = keys.filter(|key| !key.starts_with(' '));
    let found = keys.filter_map(|key| {
        let key = key.trim_matches(['\'', '"']).trim_start_matches('/');
        let key = key.split('(').next().unwrap_or_default();
        // behind the version of the oldest form peers follow, with an `@` of their own
        let slash = key.rfind('/').filter(|at| {
            let version = key[at + 1..].split('_').next().unwrap_or_default();
            version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains('@')
        });
        let at = slash.or_else(|| key.rfind('@').filter(|at| *at > 0))?;
        let version = key[at + 1..].split('_').next().unwrap_or_default();
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| named(&key[..at], version))
    });
    packages(found.collect())
}

/// Tells whether a directory is that of an installed package: `…/node_modules/NAME` or `…/node_modules/@SCOPE/NAME`.
pub fn is_installed(directory: &str) -> bool {
    let mut parts = directory.rsplit('/');
    let _name = parts.next();
    match parts.next() {
        Some("node_modules") => true,
        Some(scope) if scope.starts_with('@') => parts.next() == Some("node_modules"),
        _ => false,
    }
}

/// Reads the `package.json` of an installed package.
pub fn package(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let document = json(bytes)?;
    let (name, version) = (document["name"].as_str(), document["version"].as_str());
    let found = name.zip(version).map(|(name, version)| {
        let mut package = named(name, version);
        package.license = license(&document);
        package
    });
    packages(found.into_iter().collect())
}

fn license(package: &Value) -> String {
    let license = &package["license"];
    let license = license.as_str().or_else(|| license["type"].as_str());
    license.unwrap_or_default().to_owned()
}
