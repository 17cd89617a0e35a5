//! `executor version`

use super::usage::Page;

pub const PAGE: Page = Page {
    about: "Print the version number of kaniko",
    usage: &["executor version [flags]"],
    commands: &[],
    flags: &[],
};

/// Returns the line to be printed.
pub fn line() -> String {
    format!("Kaniko version :  v{}\n", env!("CARGO_PKG_VERSION"))
}
