//! Old entries that are directories.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::entry;
use super::{Error, Pruned, Rules, doomed, tell};
use crate::image::{Digest, ImageConfig, Platform};
use crate::layout::{self, Layout};

/// Removes old entries whose names begin with `prefix`. A damaged one is as old as its directory.
pub fn prune(prefix: &Path, rules: Rules) -> Result<Pruned, Error> {
    let (Some(parent), Some(name)) = (prefix.parent(), prefix.file_name().and_then(OsStr::to_str))
    else {
        return Ok(Pruned::default());
    };
    let failed = |source| Error::Io {
        path: parent.to_owned(),
        source,
    };
    let listing = match fs_err::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pruned::default()),
        listing => listing.map_err(failed)?,
    };
    let mut pruned = Pruned::default();
    let mut entries = Vec::new();
    for found in listing {
        let found = found.map_err(failed)?;
        let file_name = found.file_name();
        let key = file_name.to_str().and_then(|text| text.strip_prefix(name));
        let key = key.and_then(|rest| rest.strip_prefix(':'));
        let Some(key) = key.filter(|key| Digest::is_hex(key)) else {
            continue;
        };
        match config(&found.path()) {
            Ok(config) if !entry::is_entry(key, &config) => pruned.foreign += 1,
            Ok(config) => {
                let created = config.created.as_deref();
                let created = created.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
                entries.push((found.path(), created.unwrap_or(OffsetDateTime::UNIX_EPOCH)));
            }
            Err(_) => {
                let modified = found.metadata().and_then(|metadata| metadata.modified());
                entries.push((found.path(), modified.map_err(failed)?.into()));
            }
        }
    }
    let ages: Vec<OffsetDateTime> = entries.iter().map(|(_, age)| *age).collect();
    for index in doomed(&ages, rules, OffsetDateTime::now_utc()) {
        let (path, created) = &entries[index];
        tell(format_args!("oci:{}", path.display()), *created, rules);
        if !rules.dry_run {
            remove(path).map_err(|source| Error::Io {
                path: path.clone(),
                source,
            })?;
        }
        pruned.removed += 1;
    }
    pruned.kept = entries.len() - pruned.removed;
    Ok(pruned)
}

fn config(path: &Path) -> Result<ImageConfig, layout::Error> {
    let layout = Layout::open(path)?;
    Ok(layout.image(&layout.find(None)?, &Platform::host())?.config)
}

/// Removes an entry, what makes it one first: who looks it up meanwhile finds it whole or not at all.
fn remove(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path.join("index.json")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs_err::remove_dir_all(path)
}
