//! dpkg's status file, and the one file a package of images without dpkg itself.

use super::{Contents, Ecosystem, Package, Unreadable, packages, paragraphs, text};
use crate::layer::LayerPath;

/// Reads the paragraphs of packages that are installed.
///
/// # Spec
/// dpkg's `deb822(7)` and `dpkg-query(1)`; files in `status.d` have no `Status` field.
pub fn parse(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let mut found = Vec::new();
    for fields in paragraphs(&text, ':') {
        let field = |name| fields.get(name).copied().unwrap_or_default();
        let state = field("Status").split(' ').nth(2);
        if matches!(state, Some("not-installed" | "config-files")) || field("Package").is_empty() {
            continue;
        }
        let mut package = Package::new(Ecosystem::Debian, field("Package"), field("Version"));
        package
            .qualifiers
            .insert("arch", field("Architecture").to_owned());
        if !field("Source").is_empty() {
            // `name (version)` where the source's version is another one
            let source = field("Source").replace(" (", "@").replace(')', "");
            package.qualifiers.insert("upstream", source);
        }
        found.push(package);
    }
    packages(found)
}
