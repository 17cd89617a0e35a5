//! Python's packages: what is installed, and what lock files and requirements name.

use super::{Contents, Ecosystem, Package, Unreadable, json, packages, paragraphs, text};
use crate::layer::LayerPath;

/// Names a package in the form in which Python compares names.
pub fn named(name: &str, version: &str) -> Package {
    Package::new(
        Ecosystem::Python,
        &name.to_lowercase().replace(['_', '.'], "-"),
        version,
    )
}

/// Reads the headers of `METADATA` or `PKG-INFO`.
pub fn metadata(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes).replace("\r\n", "\n");
    let fields = paragraphs(&text, ':').next().unwrap_or_default();
    let field = |name| fields.get(name).copied().unwrap_or_default();
    if field("Name").is_empty() {
        return Err(Unreadable::Malformed);
    }
    let mut package = named(field("Name"), field("Version"));
    let license = [field("License-Expression"), field("License")];
    let license = license.into_iter().find(|license| !license.is_empty());
    package.license = license.unwrap_or_default().to_owned();
    packages(vec![package])
}

pub fn pipfile_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let document = json(bytes)?;
    let groups = ["default", "develop"].map(|group| document[group].as_object());
    let pinned = groups.into_iter().flatten().flatten();
    let found = pinned.filter_map(|(name, package)| {
        let version = package["version"].as_str()?.trim_start_matches('=');
        Some(named(name, version))
    });
    packages(found.collect())
}

/// Reads the lines that name one version; others say nothing of what is there.
pub fn requirements(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let lines = text
        .lines()
        .map(|line| line.split([';', '#']).next().unwrap_or_default());
    let found = lines.filter_map(|line| {
        let (name, version) = line.split_once("==")?;
        let name = name.split('[').next().unwrap_or_default().trim();
        let version = version.trim_start_matches('=').split_whitespace().next()?;
        let is_pinned = !version.contains(['*', ',']) && !name.is_empty() && !name.starts_with('-');
        is_pinned.then(|| named(name, version))
    });
    packages(found.collect())
}
