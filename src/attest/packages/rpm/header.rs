//! The header of an installed package: an index of tags, and their values.
//!
//! # Spec
//! rpm, `docs/manual/format_header.md`: two lengths, entries of tag, type, offset and count, then the data; all big-endian.

use super::Numbers;
use crate::attest::packages::{Ecosystem, Package};

const NAME: usize = 1000;
const VERSION: usize = 1001;
const RELEASE: usize = 1002;
const EPOCH: usize = 1003;
const LICENSE: usize = 1014;
const ARCH: usize = 1022;
const SOURCE: usize = 1044;
const ENTRY: usize = 16;

/// Returns the package of a header, or nothing if it is a key with which packages are signed; an outer `None` if it is no header.
pub fn package(header: &[u8]) -> Option<Option<Package>> {
    let count = header.big(0)?;
    let index = header.get(8..8 + count.checked_mul(ENTRY)?)?;
    let data = &header[8 + index.len()..];
    let place = |tag: usize| {
        let mut entries = index.chunks_exact(ENTRY);
        entries.find(|entry| entry.big(0) == Some(tag))?.big(8)
    };
    let string = |tag: usize| {
        let bytes = data.get(place(tag)?..)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    };
    let name = string(NAME)?;
    if name == "gpg-pubkey" {
        return Some(None);
    }
    let version = format!("{}-{}", string(VERSION)?, string(RELEASE)?);
    let mut package = Package::new(Ecosystem::Rpm, &name, &version);
    package.license = string(LICENSE).unwrap_or_default();
    let arch = string(ARCH).unwrap_or_default();
    package.qualifiers.insert("arch", arch);
    let epoch = place(EPOCH).and_then(|at| data.big(at));
    if let Some(epoch) = epoch {
        package.qualifiers.insert("epoch", epoch.to_string());
    }
    if let Some(source) = string(SOURCE) {
        package.qualifiers.insert("upstream", source);
    }
    Some(Some(package))
}
