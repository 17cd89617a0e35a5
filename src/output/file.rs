//! A file for somebody else to read: replaced as a whole where that is possible.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::store;
use crate::store::aside::{Aside, Directory};

/// A file in the making; without a commit its path keeps what it had.
///
/// An existing file keeps its mode and owner. What cannot be replaced is written to: a device, a pipe, a link, a mount point
/// (`/dev/termination-log`), a file in a directory that allows no other.
pub struct OutputFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    Aside(Aside),
    /// Written to at once.
    Itself(File),
}

impl OutputFile {
    pub fn create(path: &Path) -> Result<Self, Error> {
        let existing = path.symlink_metadata().ok();
        let target = match &existing {
            Some(metadata) if !metadata.is_file() => Target::Itself(open(path)?),
            _ => match aside(path) {
                Ok(aside) => Target::Aside(aside),
                Err(e) if existing.is_some() && is_refusal(&e) => Target::Itself(open(path)?),
                Err(e) => return Err(e.into()),
            },
        };
        if let (Target::Aside(aside), Some(metadata)) = (&target, existing) {
            let (uid, gid) = (metadata.uid(), metadata.gid());
            // without the right to give files away, the new one is ours
            let _ = std::os::unix::fs::fchown(aside.file(), Some(uid), Some(gid));
            let mode = std::fs::Permissions::from_mode(metadata.mode() & 0o777);
            let set = aside.file().set_permissions(mode);
            set.map_err(|source| io_error("set the mode of", path, source))?;
        }
        Ok(Self {
            path: path.to_owned(),
            target,
        })
    }

    /// Puts the file into its place.
    pub fn commit(self) -> Result<(), Error> {
        let Target::Aside(aside) = self.target else {
            return Ok(());
        };
        let copy = aside.file().try_clone();
        let name = self.path.file_name().unwrap_or_default();
        match aside.commit(name) {
            Err(store::Error::Io { source, .. })
                if source.kind() == io::ErrorKind::ResourceBusy =>
            {
                let written = copy.and_then(|mut content| {
                    content.rewind()?;
                    let mut target = open_io(&self.path)?;
                    io::copy(&mut content, &mut target)
                });
                written.map_err(|source| io_error("write to", &self.path, source))?;
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// Writes a whole file.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let mut file = Self::create(path)?;
        let written = file.write_all(bytes);
        written.map_err(|source| io_error("write to", path, source))?;
        file.commit()
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Aside(aside) => aside.write(bytes),
            Target::Itself(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts a file beside the path.
fn aside(path: &Path) -> Result<Aside, store::Error> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Aside::create(&Arc::new(Directory::open(parent)?))
}

fn is_refusal(error: &store::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error, store::Error::Io { source, .. } if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem))
}

fn open(path: &Path) -> Result<File, Error> {
    open_io(path).map_err(|source| io_error("write to", path, source))
}

fn open_io(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).open(path)
}

pub fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        fs_err::write(&path, "old").unwrap();
        std::os::unix::fs::chown(&path, None, Some(7)).ok();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let group = path.metadata().unwrap().gid();
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "old");
        drop(file);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "old");
        OutputFile::write(&path, b"new").unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "new");
        assert_eq!((metadata.mode() & 0o777, metadata.gid()), (0o600, group));
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
        OutputFile::write(&directory.path().join("g"), b"").unwrap();
        let mode = directory.path().join("g").metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn what_cannot_be_replaced_is_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("t"), directory.path().join("l"));
        fs_err::write(&target, "long old content").unwrap();
        std::os::unix::fs::symlink("t", &link).unwrap();
        OutputFile::write(&link, b"new").unwrap();
        assert_eq!(fs_err::read_to_string(&target).unwrap(), "new");
        assert!(link.is_symlink());
        OutputFile::write(Path::new("/dev/null"), b"new").unwrap();
        assert!(!Path::new("/dev/null").symlink_metadata().unwrap().is_file());
        let error = OutputFile::write(directory.path(), b"x")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("cannot write to `{}`", directory.path().display())
        );
    }
}
