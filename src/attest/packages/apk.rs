//! apk's database of what is installed.

use super::{Contents, Ecosystem, Package, Unreadable, packages, paragraphs, text};
use crate::layer::LayerPath;

/// Reads the paragraphs of `lib/apk/db/installed`, whose keys are single letters.
pub fn parse(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        // files follow, with keys of their own, the same ones many times
        let head: String = paragraph
            .lines()
            .take_while(|line| !line.starts_with("F:"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let Some(fields) = paragraphs(&head, ':').next() else {
            continue;
        };
        let field = |name| fields.get(name).copied().unwrap_or_default();
        if field("P").is_empty() {
            continue;
        }
        let mut package = Package::new(Ecosystem::Alpine, field("P"), field("V"));
        package.license = field("L").to_owned();
        package.qualifiers.insert("arch", field("A").to_owned());
        if field("o") != field("P") {
            package.qualifiers.insert("upstream", field("o").to_owned());
        }
        found.push(package);
    }
    packages(found)
}
