//! .NET's packages.

use super::{Contents, Ecosystem, Package, Unreadable, json, packages};
use crate::layer::LayerPath;

/// Reads the libraries of a published program, `NAME.deps.json`.
pub fn deps(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let document = json(bytes)?;
    let libraries = document["libraries"].as_object().into_iter().flatten();
    let packaged = libraries.filter(|(_, library)| library["type"] == "package");
    let found = packaged.filter_map(|(name, _)| {
        let (name, version) = name.split_once('/')?;
        Some(Package::new(Ecosystem::DotNet, name, version))
    });
    packages(found.collect())
}

pub fn packages_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let document = json(bytes)?;
    let frameworks = document["dependencies"].as_object().into_iter().flatten();
    let resolved = frameworks.flat_map(|(_, packages)| packages.as_object().into_iter().flatten());
    let found = resolved.filter_map(|(name, package)| {
        let version = package["resolved"]
            .as_str()
            .filter(|_| package["type"] != "Project")?;
        Some(Package::new(Ecosystem::DotNet, name, version))
    });
    packages(found.collect())
}
