//! Files that are written aside and renamed into their place when they are whole.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::Error;

const PREFIX: &str = ".new-";

/// A directory, reached by its handle whatever has become of its path.
#[derive(Debug)]
pub struct Directory {
    pub(super) handle: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory that is there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(handle) => Ok(Self {
                handle,
                path: path.to_owned(),
            }),
            Err(e) => Err(Error::Io {
                action: "open",
                path: path.to_owned(),
                source: e.into(),
            }),
        }
    }

    /// Opens a directory; creates it and those above it where they are missing.
    pub fn create_all(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            // fs_err's text names the path once more, its source does not
            std::fs::DirBuilder::new()
                .recursive(true)
                .create(path)
                .map_err(|source| Error::Io {
                    action: "create",
                    path: path.to_owned(),
                    source,
                })?;
        }
        Self::open(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn error(
        &self,
        action: &'static str,
        name: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> Error {
        Error::Io {
            action,
            path: self.path.join(name),
            source: source.into(),
        }
    }

    /// Creates a directory in this one unless it is there.
    pub fn create(&self, name: &str) -> Result<(), Error> {
        match rustix::fs::mkdirat(&self.handle, name, Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(self.error("create", name, e)),
        }
    }

    /// Opens a directory in this one.
    pub fn open_below(&self, name: &str) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Self {
                handle,
                path: self.path.join(name),
            }),
            Err(e) => Err(self.error("open", name, e)),
        }
    }

    /// Removes a file; one that is not there is no error.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.error("remove", name, e)),
        }
    }

    /// Takes the lock of this name, waiting for other processes. A file system without locks is used without one.
    pub fn lock(&self, name: &str) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::from(0o644))
            .map_err(|e| self.error("open", name, e))?;
        while let Err(Errno::INTR) = rustix::fs::flock(&file, FlockOperation::LockExclusive) {}
        Ok(file)
    }

    /// Opens a file for reading; `None` if it is not there.
    pub fn open_file(&self, name: &str) -> Result<Option<File>, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(self.error("open", name, e)),
        }
    }

    /// Writes a whole file.
    pub fn write(self: &Arc<Self>, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut aside = Aside::create(self)?;
        let written = aside.write_all(bytes);
        written.map_err(|e| self.error("write to", name, e))?;
        aside.commit(name)
    }

    /// Removes the files that writers have left which are no more; those of living ones are locked.
    pub fn sweep(&self) {
        let Ok(entries) = Dir::read_from(&self.handle) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !name.to_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let file = rustix::fs::openat(&self.handle, name, flags, Mode::empty());
            let lock = FlockOperation::NonBlockingLockExclusive;
            if file.is_ok_and(|file| {
                let locked = rustix::fs::flock(&file, lock).is_ok();
                // unlinked while locked: a writer that has just created it notices and takes another
                locked && rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()).is_ok()
            }) {
                tracing::debug!(path = %self.path.join(&*name.to_string_lossy()).display(), "removed what a killed process has left");
            }
        }
    }
}

/// A file that is not yet in its place. Dropped without a commit it is removed.
pub struct Aside {
    directory: Arc<Directory>,
    name: String,
    file: File,
    committed: bool,
}

impl Aside {
    pub fn create(directory: &Arc<Directory>) -> Result<Self, Error> {
        loop {
            let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&directory.handle, &name, flags, Mode::from(0o644))
            {
                Ok(file) => File::from(file),
                Err(Errno::EXIST) => continue,
                Err(e) => return Err(directory.error("create a file in", "", e)),
            };
            if is_ours(&file) {
                return Ok(Self {
                    directory: Arc::clone(directory),
                    name,
                    file,
                    committed: false,
                });
            }
        }
    }

    /// Returns where the file is for now.
    pub fn path(&self) -> PathBuf {
        self.directory.path.join(&self.name)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name in the directory, in place of what has it now.
    pub fn commit(mut self, name: impl AsRef<Path>) -> Result<(), Error> {
        let (handle, name) = (&self.directory.handle, name.as_ref());
        rustix::fs::renameat(handle, &self.name, handle, name)
            .map_err(|e| self.directory.error("create", name, e))?;
        self.committed = true;
        Ok(())
    }
}

/// Locks a new file; false if a sweep has taken it for an old one in the meantime.
fn is_ours(file: &File) -> bool {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => false,
        // a file system without locks has no sweeps either
        Ok(()) | Err(_) => !rustix::fs::fstat(file).is_ok_and(|stat| stat.st_nlink == 0),
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.committed {
            // nothing to be done about a failure: the next sweep tries again
            let _ = rustix::fs::unlinkat(&self.directory.handle, &self.name, AtFlags::empty());
        }
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
