//! Lock files in TOML: tables of packages, written by programs and therefore always in the same form.

use super::{Contents, Ecosystem, Package, Unreadable, packages, python, text};
use crate::layer::LayerPath;

/// Reads `Cargo.lock`.
pub fn cargo(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let found = tables(&text(bytes));
    let found = found
        .into_iter()
        .map(|(name, version)| Package::new(Ecosystem::Rust, &name, &version));
    packages(found.collect())
}

/// Reads `poetry.lock`, `uv.lock` and `pdm.lock`.
pub fn python(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let found = tables(&text(bytes));
    let found = found
        .into_iter()
        .map(|(name, version)| python::named(&name, &version));
    packages(found.collect())
}

/// Returns name and version of each `[[package]]`.
fn tables(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut current: Option<(String, String)> = None;
    for line in text.lines().map(str::trim_end) {
        if line.starts_with('[') {
            found.extend(current.take());
            if line == "[[package]]" {
                current = Some(Default::default());
            }
        } else if let Some((name, version)) = &mut current
            && let Some((key, value)) = line.split_once(" = ")
            && let Some(value) = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
        {
            match key {
                "name" => *name = value.to_owned(),
                "version" => *version = value.to_owned(),
                _ => {}
            }
        }
    }
    found.extend(current);
    found.retain(|(name, _)| !name.is_empty());
    found
}
