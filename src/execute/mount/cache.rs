//! Cache mounts: directories that outlive a build, found again by their id.
//!
//! A cache is `<key>/<n>/content` with a lock beside it. Number 0 is everybody's; with `sharing=private` the first one is taken
//! that nobody uses.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access as Permission, FlockOperation};
use rustix::io::Errno;

use super::super::run::What;
use super::super::{Tree, copy};
use super::staging;
use super::work::Work;
use super::{Error, kept};
use crate::image::Digester;
use crate::interrupt::{Interrupt, Interrupted};
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::{Access, Sharing};
use crate::rootfs::{Lock, Rootfs};

/// The directory that commands see.
pub(super) const CONTENT: &str = "content";

/// Its name until it has what it starts from.
const UNFINISHED: &str = "unfinished";

/// What a step says of a cache.
pub(super) struct Wanted<'m> {
    pub(super) id: &'m str,
    pub(super) target: &'m str,
    /// What it starts from, in the tree that it takes files from, if it does.
    pub(super) source: Option<&'m str>,
    pub(super) sharing: Sharing,
    /// Of a new one that starts from nothing.
    pub(super) access: Access,
}

/// A cache in use.
pub(super) struct Cache {
    pub(super) slot: PathBuf,
    pub(super) lock: Lock,
}

/// Why it is not.
pub(super) enum Taken {
    Interrupted(Interrupted),
    Io(io::Error),
}

impl Cache {
    /// Takes the cache in the directory `key`, waiting for others as `sharing` says.
    pub(super) fn take(
        key: &Path,
        sharing: Sharing,
        interrupts: &[&Interrupt],
    ) -> Result<Self, Taken> {
        for number in 0_u32.. {
            let slot = key.join(number.to_string());
            if let Some(cache) = Self::take_slot(slot, sharing, interrupts)? {
                return Ok(cache);
            }
        }
        Err(Taken::Io(io::ErrorKind::StorageFull.into()))
    }

    /// Takes one of a cache's directories; `None` if it is in use and private ones are taken elsewhere then.
    pub(super) fn take_slot(
        slot: PathBuf,
        sharing: Sharing,
        interrupts: &[&Interrupt],
    ) -> Result<Option<Self>, Taken> {
        let lock = open_lock(&slot, "lock").map_err(Taken::Io)?;
        let operation = match sharing {
            Sharing::Shared => FlockOperation::NonBlockingLockShared,
            Sharing::Private | Sharing::Locked => FlockOperation::NonBlockingLockExclusive,
        };
        let mut waits = false;
        loop {
            match lock.take(operation) {
                Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {
                    return Ok(Some(Self { slot, lock }));
                }
                Err(Errno::WOULDBLOCK) if sharing == Sharing::Private => return Ok(None),
                Err(Errno::WOULDBLOCK) => {
                    if !waits {
                        tracing::info!("Waiting for another user of the cache {}", slot.display());
                    }
                    waits = true;
                    for interrupt in interrupts {
                        interrupt.check().map_err(Taken::Interrupted)?;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(errno) => return Err(Taken::Io(errno.into())),
            }
        }
    }
}

impl Wanted<'_> {
    /// Returns the directory's name for a cache: what makes it another one (MNT-8).
    fn key(&self, tree: Option<&Tree<'_>>) -> String {
        let mut digester = Digester::new();
        let source = self.source.unwrap_or_default();
        for part in [self.id, tree.map_or("", |tree| tree.name), source] {
            digester.update(&(part.len() as u64).to_le_bytes());
            digester.update(part.as_bytes());
        }
        digester.finish().hex().to_owned()
    }

    /// Fills a new cache with what it is said to start from; tells whether there is anything (MNT-9).
    fn begin_with(
        &self,
        tree: Option<&Tree<'_>>,
        root: &Rootfs,
        to: &LayerPath,
        now: Time,
    ) -> Result<bool, Error> {
        let (Some(tree), Some(source)) = (tree, self.source) else {
            return Ok(false);
        };
        let source = LayerPath::clean(source);
        match tree.candidate(&source, &source) {
            Ok(found) if found.stat.is_dir() => {
                copy::replicate(tree, &source, root, to, now)?;
                Ok(true)
            }
            Ok(_) | Err(super::super::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn failed(&self, dir: &Path, source: io::Error) -> Error {
        Error::Cache {
            id: self.id.to_owned(),
            dir: dir.to_owned(),
            source,
        }
    }
}

impl Work<'_> {
    /// Finds or makes a cache, and keeps others out as its sharing says as long as the command runs.
    pub(super) fn cache(
        &mut self,
        wanted: &Wanted<'_>,
        tree: Option<&Tree<'_>>,
    ) -> Result<What, Error> {
        let shelf = self.shelf;
        let key = shelf.caches.join(wanted.key(tree));
        if let Some(first) = self.caches.get(&key).cloned() {
            return self.second_view(&key, &first);
        }
        let cache = Cache::take(&key, wanted.sharing, &shelf.interrupts);
        let Cache { slot, lock } = cache.map_err(|error| match error {
            Taken::Interrupted(interrupted) => interrupted.into(),
            Taken::Io(source) => wanted.failed(&key, source),
        })?;
        self.prepared._locks.push(lock);
        let content = slot.join(CONTENT);
        let whole = || fs_err::symlink_metadata(&content).is_ok();
        if !whole() {
            let _making = lock_making(&slot).map_err(|source| wanted.failed(&slot, source))?;
            // Another stage or build may have been faster.
            if !whole() {
                self.make_cache(wanted, tree, &slot)?;
                let noted = kept::write_id(&key, wanted.id);
                noted.map_err(|source| wanted.failed(&key, source))?;
            }
        }
        self.caches.insert(key, wanted.target.to_owned());
        if shelf.in_place && !content.starts_with(shelf.work_dir) {
            return Ok(What::File(self.staging.link(&content)?));
        }
        Ok(What::Directory(content))
    }

    /// Makes the directory of a cache in its `slot`; it appears there whole.
    fn make_cache(
        &self,
        wanted: &Wanted<'_>,
        tree: Option<&Tree<'_>>,
        slot: &Path,
    ) -> Result<(), Error> {
        let root = Rootfs::create(slot)?.with_id_shift(self.shelf.ids);
        let new = LayerPath::clean(UNFINISHED);
        // what a killed build left
        root.remove(&new)?;
        if !wanted.begin_with(tree, &root, &new, self.now)? {
            staging::directory(&root, &new, wanted.access, self.now)?;
        }
        fs_err::rename(slot.join(UNFINISHED), slot.join(CONTENT))
            .map_err(|source| wanted.failed(slot, source))
    }

    /// Shows a cache at a second target of the same command.
    fn second_view(&mut self, key: &Path, first: &str) -> Result<What, Error> {
        match self.shelf.in_place {
            // It cannot be at two places.
            true => Ok(What::File(self.staging.link(Path::new(first))?)),
            false => {
                let lent = self.prepared.lent.iter().find(
                    |lent| matches!(&lent.what, What::Directory(path) if path.starts_with(key)),
                );
                Ok(lent.expect("it was lent before").what.clone())
            }
        }
    }
}

/// Waits until nobody else makes the directory of this cache: several that share a new one may come at once.
fn lock_making(slot: &Path) -> io::Result<Lock> {
    let lock = open_lock(slot, "making")?;
    match lock.take(FlockOperation::LockExclusive) {
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(lock),
        Err(errno) => Err(errno.into()),
    }
}

fn open_lock(slot: &Path, name: &str) -> io::Result<Lock> {
    fs_err::create_dir_all(slot)?;
    let lock = slot.join(name);
    let file: File = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock)?
        .into_parts()
        .0;
    Ok(Lock::new(file.into()))
}

/// Tells whether caches can be kept in `dir`: it is there, it can be written, and it does not move when a command runs in place.
pub(super) fn can_keep(dir: &Path, work_dir: &Path, in_place: bool) -> bool {
    let Ok(found) = fs_err::metadata(dir) else {
        return false;
    };
    let stays = || match fs_err::metadata(work_dir) {
        Ok(work) => work.dev() != found.dev(),
        Err(_) => false,
    };
    found.is_dir()
        && rustix::fs::access(dir, Permission::WRITE_OK | Permission::EXEC_OK).is_ok()
        && (!in_place || stays())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_decides_who_waits() {
        let dir = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::new();
        let take = |sharing| match Cache::take(dir.path(), sharing, &[&interrupt]) {
            Ok(cache) => cache,
            Err(_) => panic!("not taken"),
        };
        let number = |cache: &Cache| cache.slot.file_name().unwrap().to_owned();
        let (one, two) = (take(Sharing::Shared), take(Sharing::Shared));
        assert_eq!((number(&one), number(&two)), ("0".into(), "0".into()));
        let private = take(Sharing::Private);
        assert_eq!(number(&private), "1");
        assert_eq!(number(&take(Sharing::Private)), "2");
        drop((one, two));
        let locked = take(Sharing::Locked);
        assert_eq!(number(&locked), "0");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| number(&take(Sharing::Locked)));
            assert!(!waiting.is_finished());
            drop(locked);
            assert_eq!(waiting.join().unwrap(), "0");
        });
        drop(private);
        assert_eq!(number(&take(Sharing::Private)), "0");
    }
}
