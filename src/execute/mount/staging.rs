//! What is made for one command alone, and removed after it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::{Tree, copy};
use super::Error;
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};
use crate::plan::Access;
use crate::rootfs::{IdShift, Rootfs};

/// Two directories of this command's own below the work directory, made when they are needed.
pub(super) struct Staging {
    lent: PathBuf,
    /// All secrets, those of other commands too.
    vault: PathBuf,
    secrets: PathBuf,
    ids: IdShift,
    count: usize,
}

impl Staging {
    /// Nothing is made yet; `number` tells the commands of a build apart, of which several may run at a time.
    pub(super) fn new(work_dir: &Path, number: usize, ids: IdShift) -> Self {
        let vault = work_dir.join("secrets");
        Self {
            lent: work_dir.join("lent").join(format!("run-{number}")),
            secrets: vault.join(number.to_string()),
            vault,
            ids,
            count: 0,
        }
    }

    fn next(&mut self) -> LayerPath {
        self.count += 1;
        LayerPath::clean(self.count.to_string())
    }

    fn root(&self) -> Result<Rootfs, Error> {
        Ok(Rootfs::create(&self.lent)?.with_id_shift(self.ids))
    }

    /// Makes an empty directory that belongs to root.
    pub(super) fn directory(&mut self, mode: u32, now: Time) -> Result<PathBuf, Error> {
        let (root, path) = (self.root()?, self.next());
        let access = Access {
            mode,
            uid: 0,
            gid: 0,
        };
        directory(&root, &path, access, now)?;
        Ok(root.path().join(path.as_path()))
    }

    /// Copies a file or directory.
    pub(super) fn copy(
        &mut self,
        tree: &Tree<'_>,
        source: &LayerPath,
        now: Time,
    ) -> Result<PathBuf, Error> {
        let (root, path) = (self.root()?, self.next());
        copy::replicate(tree, source, &root, &path, now)?;
        Ok(root.path().join(path.as_path()))
    }

    /// Makes a symlink.
    pub(super) fn link(&mut self, target: &Path) -> Result<PathBuf, Error> {
        let (root, path) = (self.root()?, self.next());
        let path = root.path().join(path.as_path());
        let linked = fs_err::os::unix::fs::symlink(target, &path);
        linked.map_err(|source| Error::Directory {
            path: self.lent.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Writes a secret to a file.
    pub(super) fn secret(
        &mut self,
        value: &[u8],
        access: Access,
        now: Time,
    ) -> Result<PathBuf, Error> {
        let path = self.next();
        for dir in [&self.vault, &self.secrets] {
            make_private(dir).map_err(|source| Error::Directory {
                path: dir.clone(),
                source,
            })?;
        }
        let root = Rootfs::open(&self.secrets)?.with_id_shift(self.ids);
        let kind = Kind::File {
            size: value.len() as u64,
        };
        put(&root, &path, kind, access, now, &mut &*value)?;
        Ok(root.path().join(path.as_path()))
    }

    /// Lets `make` put a socket somewhere and gives it an owner.
    pub(super) fn socket<T>(
        &mut self,
        access: Access,
        make: impl FnOnce(&Path) -> Result<Option<T>, Error>,
    ) -> Result<Option<(PathBuf, T)>, Error> {
        let (root, name) = (self.root()?, self.next());
        let path = root.path().join(name.as_path());
        let Some(made) = make(&path)? else {
            return Ok(None);
        };
        root.chown(&name, access.uid, access.gid)?;
        root.chmod(&name, access.mode)?;
        Ok(Some((path, made)))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for dir in [&self.secrets, &self.lent] {
            match fs_err::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot remove what a RUN was lent: {error}");
                }
                _ => {}
            }
        }
    }
}

/// Makes a directory in a root.
pub(super) fn directory(
    root: &Rootfs,
    path: &LayerPath,
    access: Access,
    now: Time,
) -> Result<(), Error> {
    put(root, path, Kind::Directory, access, now, &mut io::empty())
}

fn put(
    root: &Rootfs,
    path: &LayerPath,
    kind: Kind,
    Access { mode, uid, gid }: Access,
    mtime: Time,
    content: &mut dyn Read,
) -> Result<(), Error> {
    let entry = Entry {
        path: path.clone(),
        kind,
        mode,
        uid,
        gid,
        mtime,
        xattrs: BTreeMap::new(),
    };
    Ok(root.put(&entry, content)?)
}

fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs_err::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        }
        made => made,
    }
}
