//! rpm's databases: the headers of installed packages, as SQLite or rpm's own store keeps them.

mod header;
mod ndb;
mod sqlite;

use super::{Contents, Package, Unreadable, packages};
use crate::layer::LayerPath;

type Parse = fn(&LayerPath, &[u8]) -> Result<Contents, Unreadable>;

/// Returns what reads a file of rpm's directory; nothing for files that are no database of packages.
pub fn reader(name: &str) -> Option<Parse> {
    match name {
        "rpmdb.sqlite" => Some(|_, bytes| of_headers(sqlite::blobs(bytes))),
        "Packages.db" => Some(|_, bytes| of_headers(ndb::blobs(bytes))),
        "Packages" => Some(|_, _| Err(Unreadable::BerkeleyDb)),
        _ => None,
    }
}

fn of_headers(headers: Option<Vec<Vec<u8>>>) -> Result<Contents, Unreadable> {
    let headers = headers.ok_or(Unreadable::Malformed)?;
    let found: Option<Vec<Option<Package>>> = headers
        .iter()
        .map(|header| header::package(header))
        .collect();
    packages(
        found
            .ok_or(Unreadable::Malformed)?
            .into_iter()
            .flatten()
            .collect(),
    )
}

/// Reads numbers at a place, if they are there.
trait Numbers {
    fn big(&self, at: usize) -> Option<usize>;
    fn little(&self, at: usize) -> Option<usize>;
}

impl Numbers for [u8] {
    fn big(&self, at: usize) -> Option<usize> {
        let bytes = self.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_be_bytes(*bytes)).ok()
    }

    fn little(&self, at: usize) -> Option<usize> {
        let bytes = self.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }
}
