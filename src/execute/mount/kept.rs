//! Caches of `RUN` mounts as they lie on disk, for who carries them elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use super::cache::{self, Cache, Taken};
use crate::image::Digest;
use crate::interrupt::{Interrupt, Interrupted};
use crate::plan::Sharing;
use crate::rootfs::Lock;

/// The file beside a cache's directories that says what mounts call it.
const ID: &str = "id";
/// No id is longer.
const ID_LIMIT: u64 = 4 << 10;

/// A cache that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// The name of its directory, by which builds find it.
    pub key: String,
    /// What mounts call it; unknown of caches that older versions made.
    pub id: Option<String>,
    /// Which of its directories: 0 is everybody's, the others are of mounts with `sharing=private` that met it in use.
    pub number: u32,
}

/// A cache that nobody else changes meanwhile.
#[derive(Debug)]
pub struct Held {
    /// The directory that has its content.
    pub slot: PathBuf,
    _lock: Lock,
}

/// Why a cache cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("cannot use the cache `{}`", .dir.display())]
    Io { dir: PathBuf, source: io::Error },
}

/// Lists the directories of caches below `mounts` that have content, sorted.
pub fn kept(mounts: &Path) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    let entries = match fs_err::read_dir(mounts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(kept),
        entries => entries?,
    };
    for entry in entries {
        let dir = entry?.path();
        let Some(key) = name(&dir).filter(|key| Digest::is_hex(key)) else {
            continue;
        };
        let id = read_id(&dir);
        for slot in fs_err::read_dir(&dir)? {
            let slot = slot?.path();
            let number = name(&slot).and_then(|name| name.parse().ok());
            if let Some(number) = number.filter(|_| content(&slot).is_dir()) {
                let (key, id) = (key.to_owned(), id.clone());
                kept.push(Kept { key, id, number });
            }
        }
    }
    kept.sort();
    Ok(kept)
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

/// Waits until nobody uses a cache's directory, and holds it.
///
/// # Errors
/// [`HoldError`].
pub fn hold(mounts: &Path, kept: &Kept, interrupt: &Interrupt) -> Result<Held, HoldError> {
    let dir = mounts.join(&kept.key).join(kept.number.to_string());
    match Cache::take_slot(dir.clone(), Sharing::Locked, &[interrupt]) {
        Ok(Some(Cache { slot, lock })) => Ok(Held { slot, _lock: lock }),
        // only private ones are not waited for
        Ok(None) => Err(HoldError::Io {
            dir,
            source: io::ErrorKind::ResourceBusy.into(),
        }),
        Err(Taken::Interrupted(interrupted)) => Err(interrupted.into()),
        Err(Taken::Io(source)) => Err(HoldError::Io { dir, source }),
    }
}

impl Held {
    /// Puts a directory in the place of the content.
    pub fn replace(&self, with: &Path) -> io::Result<()> {
        let content = content(&self.slot);
        if content.is_dir() {
            fs_err::remove_dir_all(&content)?;
        }
        fs_err::rename(with, content)
    }
}

/// The name of the content in the directory that [`Held::slot`] is.
pub const CONTENT: &str = cache::CONTENT;

fn content(slot: &Path) -> PathBuf {
    slot.join(CONTENT)
}

/// Writes down what mounts call a cache; whoever cannot read it later still finds the cache.
pub fn write_id(dir: &Path, id: &str) -> io::Result<()> {
    fs_err::write(dir.join(ID), id)
}

fn read_id(dir: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = fs_err::File::open(dir.join(ID)).ok()?;
    file.take(ID_LIMIT).read_to_string(&mut text).ok()?;
    Some(text)
}
