//! Ruby's gems: installed ones, and those of Bundler's lock file.

use super::{Contents, Ecosystem, Package, Unreadable, packages, text};
use crate::layer::LayerPath;

/// Reads the `specs:` of a `Gemfile.lock`: four blanks, a name, and a version in parentheses.
pub fn gemfile_lock(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let found = text.lines().filter_map(|line| {
        let gem = line
            .strip_prefix("    ")
            .filter(|gem| !gem.starts_with(' '))?;
        let (name, version) = gem.split_once(" (")?;
        let version = version.strip_suffix(')')?;
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| Package::new(Ecosystem::Ruby, name, version))
    });
    packages(found.collect())
}

/// Takes name and version of an installed gem from the name of its specification, `NAME-VERSION[-PLATFORM].gemspec`.
pub fn gemspec(path: &LayerPath, _: &[u8]) -> Result<Contents, Unreadable> {
    let name = text(path.file_name().unwrap_or_default());
    let name = name.trim_end_matches(".gemspec");
    let dashes = name.match_indices('-').map(|(at, _)| at);
    let is_version = |at: &usize| name[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let at = dashes
        .into_iter()
        .find(is_version)
        .ok_or(Unreadable::Malformed)?;
    let version = name[at + 1..].split('-').next().unwrap_or_default();
    packages(vec![Package::new(Ecosystem::Ruby, &name[..at], version)])
}
