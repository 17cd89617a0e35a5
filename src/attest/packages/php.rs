//! PHP's packages, by Composer.

use serde_json::Value;

use super::{Contents, Ecosystem, Package, Unreadable, json, packages};
use crate::layer::LayerPath;

/// Reads `composer.lock`, or the `installed.json` of a `vendor` directory in both its forms.
pub fn composer_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let document = json(bytes)?;
    let lists = [&document, &document["packages"], &document["packages-dev"]].map(Value::as_array);
    let found = lists.into_iter().flatten().flatten().filter_map(|package| {
        let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
        let version = version.strip_prefix('v').unwrap_or(version);
        let mut found = Package::new(Ecosystem::Php, name, version);
        let licenses = package["license"].as_array().into_iter().flatten();
        let licenses: Vec<&str> = licenses.filter_map(Value::as_str).collect();
        found.license = licenses.join(" OR ");
        Some(found)
    });
    packages(found.collect())
}
