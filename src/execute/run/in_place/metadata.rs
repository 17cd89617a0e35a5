//! What a directory that cannot be moved is given for a while, and gets back.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Mode, owner, times and extended attributes of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Metadata {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds and nanoseconds.
    atime: (i64, u32),
    mtime: (i64, u32),
    /// As pairs, because JSON's keys are text.
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Metadata {
    /// Reads the metadata of an open directory.
    pub(super) fn read(dir: impl AsFd) -> io::Result<Self> {
        let stat = fs::fstat(&dir)?;
        Ok(Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            atime: (stat.st_atime as i64, stat.st_atime_nsec as u32),
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            xattrs: read_xattrs(dir.as_fd())?.into_iter().collect(),
        })
    }

    /// Gives an open directory this metadata, times last; what is right already is not touched.
    pub(super) fn write(&self, dir: impl AsFd) -> io::Result<()> {
        let now = Self::read(&dir)?;
        if (now.uid, now.gid) != (self.uid, self.gid) {
            fs::fchown(
                &dir,
                Some(Uid::from_raw(self.uid)),
                Some(Gid::from_raw(self.gid)),
            )?;
        }
        // A change of owner may have cleared setuid and setgid.
        if fs::fstat(&dir)?.st_mode & 0o7777 != self.mode {
            fs::fchmod(&dir, Mode::from_raw_mode(self.mode))?;
        }
        let wanted: BTreeMap<_, _> = self.xattrs.iter().cloned().collect();
        let present: BTreeMap<_, _> = now.xattrs.iter().cloned().collect();
        for (name, value) in wanted.iter().filter(|(n, v)| present.get(*n) != Some(*v)) {
            fs::fsetxattr(&dir, name.as_slice(), value, XattrFlags::empty())?;
        }
        for name in present.keys().filter(|name| !wanted.contains_key(*name)) {
            fs::fremovexattr(&dir, name.as_slice())?;
        }
        if (now.atime, now.mtime) != (self.atime, self.mtime) {
            fs::futimens(
                &dir,
                &Timestamps {
                    last_access: timespec(self.atime),
                    last_modification: timespec(self.mtime),
                },
            )?;
        }
        Ok(())
    }
}

fn timespec((seconds, nanoseconds): (i64, u32)) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    }
}

/// Reads the attributes that travel with a directory: a label that the machine's security module set stays where it is.
fn read_xattrs(dir: BorrowedFd<'_>) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut list = vec![0; 65536];
    let size = match fs::flistxattr(dir, &mut *list) {
        Ok(size) => size,
        Err(Errno::NOTSUP | Errno::NOSYS) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut xattrs = BTreeMap::new();
    for name in list[..size].split(|b| *b == 0).filter(|name| travels(name)) {
        let mut value = vec![0; 65536];
        match fs::fgetxattr(dir, name, &mut *value) {
            Ok(size) => {
                value.truncate(size);
                xattrs.insert(name.to_vec(), value);
            }
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(xattrs)
}

fn travels(name: &[u8]) -> bool {
    const BOUND: [&[u8]; 4] = [
        b"security.selinux",
        b"security.ima",
        b"security.evm",
        b"security.apparmor",
    ];
    let acl = name.starts_with(b"system.posix_acl_");
    let kind = name.starts_with(b"user.") || name.starts_with(b"security.");
    !name.starts_with(b"user.overlay.") && (acl || kind) && !BOUND.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_gets_back_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let handle = fs_err::File::open(dir.path()).unwrap();
        let before = Metadata::read(&handle).unwrap();
        fs_err::write(dir.path().join("x"), "").unwrap();
        fs_err::set_permissions(dir.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        let changed = Metadata::read(&handle).unwrap();
        assert_ne!(changed, before);
        before.write(&handle).unwrap();
        assert_eq!(Metadata::read(&handle).unwrap(), before);
        let text = serde_json::to_string(&changed).unwrap();
        let changed_again: Metadata = serde_json::from_str(&text).unwrap();
        changed_again.write(&handle).unwrap();
        assert_eq!(Metadata::read(&handle).unwrap(), changed);
    }

    #[test]
    fn labels_stay_where_they_are() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("user.note",                true),
            ("user.overlay.opaque",      false),
            ("security.capability",      true),
            ("security.selinux",         false),
            ("trusted.overlay.opaque",   false),
            ("system.posix_acl_default", true),
            ("",                         false),
        ];
        for (name, want) in cases {
            assert_eq!(travels(name.as_bytes()), want, "{name}");
        }
    }
}
