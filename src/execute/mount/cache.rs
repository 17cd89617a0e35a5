//! Cache mounts: directories that outlive a build, found again by their id.
//!
//! A cache is `<key>/<n>/content` with a lock beside it. Number 0 is everybody's; with `sharing=private` the first one is taken
//! that nobody uses.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, FlockOperation};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::super::{Tree, copy};
use super::Error;
use crate::interrupt::{Interrupt, Interrupted};
use crate::layer::LayerPath;
use crate::layer::entry::Time;
use crate::plan::{RunMount, Sharing};
use crate::rootfs::Rootfs;

/// The directory that commands see.
pub(super) const CONTENT: &str = "content";

/// Its name until it has what it starts from.
pub(super) const UNFINISHED: &str = "unfinished";

/// A cache in use.
pub(super) struct Cache {
    pub(super) slot: PathBuf,
    pub(super) lock: OwnedFd,
}

/// Why it is not.
pub(super) enum Taken {
    Interrupted(Interrupted),
    Io(io::Error),
}

impl Cache {
    /// Takes the cache in the directory `key`, waiting for others as `sharing` says.
    pub(super) fn take(key: &Path, sharing: Sharing, interrupt: &Interrupt) -> Result<Self, Taken> {
        for number in 0_u32.. {
            let slot = key.join(number.to_string());
            let lock = open_lock(&slot, "lock").map_err(Taken::Io)?;
            let operation = match sharing {
                Sharing::Shared => FlockOperation::NonBlockingLockShared,
                Sharing::Private | Sharing::Locked => FlockOperation::NonBlockingLockExclusive,
            };
            let mut waits = false;
            loop {
                match rustix::fs::flock(&lock, operation) {
                    Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {
                        return Ok(Self { slot, lock });
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::WOULDBLOCK) if sharing == Sharing::Private => break,
                    Err(Errno::WOULDBLOCK) => {
                        if !waits {
                            tracing::info!(
                                "Waiting for another user of the cache {}",
                                key.display()
                            );
                        }
                        waits = true;
                        interrupt.check().map_err(Taken::Interrupted)?;
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    Err(errno) => return Err(Taken::Io(errno.into())),
                }
            }
        }
        Err(Taken::Io(io::ErrorKind::StorageFull.into()))
    }
}

/// Waits until nobody else makes the directory of this cache: several that share a new one may come at once.
pub(super) fn lock_making(slot: &Path) -> io::Result<OwnedFd> {
    let lock = open_lock(slot, "making")?;
    match rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockExclusive)) {
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => Ok(lock),
        Err(errno) => Err(errno.into()),
    }
}

fn open_lock(slot: &Path, name: &str) -> io::Result<OwnedFd> {
    fs_err::create_dir_all(slot)?;
    let lock = slot.join(name);
    let file: File = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock)?
        .into_parts()
        .0;
    Ok(file.into())
}

/// Returns the directory's name for a cache: what makes it another one (MNT-8).
pub(super) fn key(mount: &RunMount, tree: Option<&Tree<'_>>) -> String {
    let RunMount::Cache { id, source, .. } = mount else {
        return String::new();
    };
    let mut hash = Sha256::new();
    for part in [id.as_str(), tree.map_or("", |tree| tree.name), source] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn sharing(mount: &RunMount) -> Sharing {
    match mount {
        RunMount::Cache { sharing, .. } => *sharing,
        _ => Sharing::Shared,
    }
}

pub(super) fn owner(mount: &RunMount) -> (u32, u32) {
    match mount {
        RunMount::Cache { uid, gid, .. } => (*uid, *gid),
        _ => (0, 0),
    }
}

/// Fills a new cache with what it is said to start from; tells whether there is anything (MNT-9).
pub(super) fn begin_with(
    mount: &RunMount,
    tree: Option<&Tree<'_>>,
    root: &Rootfs,
    to: &LayerPath,
    now: Time,
) -> Result<bool, Error> {
    let (RunMount::Cache { source, .. }, Some(tree)) = (mount, tree) else {
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
        && rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
        && (!in_place || stays())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_decides_who_waits() {
        let dir = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::new();
        let take = |sharing| match Cache::take(dir.path(), sharing, &interrupt) {
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
