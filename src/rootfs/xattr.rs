//! Extended attributes: which travel between a root and a layer, and how they are read and set.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// Attributes that belong to a machine or a mount and never to an image.
fn is_local(name: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];
    names.contains(&name) || name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.")
}

/// Tells whether an attribute that a layer names is set.
pub(super) fn is_applied(name: &[u8]) -> bool {
    !is_local(name) && !name.contains(&0)
}

/// Tells whether an attribute found on disk is read although no layer brought it.
pub(super) fn is_read(name: &[u8]) -> bool {
    name == CAPABILITY || (name.starts_with(b"user.") && !is_local(name))
}

/// Reads the attributes whose name `wanted` accepts, in the form they have in a layer.
pub(super) fn read(
    fd: BorrowedFd<'_>,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let list = match grow(|buffer| rustix::fs::flistxattr(fd, buffer)) {
        Err(Errno::NOTSUP) => return Ok(BTreeMap::new()),
        list => list?,
    };
    let mut found = BTreeMap::new();
    let names = list.split(|b| *b == 0).filter(|name| !name.is_empty());
    for name in names.filter(|name| wanted(name)) {
        match grow(|buffer| rustix::fs::fgetxattr(fd, name, buffer)) {
            Ok(value) => drop(found.insert(name.to_vec(), portable(name, value))),
            // It went away in between, or is listed but not for us to read.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// Calls `fill` with a buffer that is large enough.
fn grow(fill: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 512];
    match fill(&mut small) {
        Ok(n) => return Ok(small[..n].to_vec()),
        Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    // The kernel's limit for a value and for a list.
    let mut large = vec![0; 65536];
    let n = fill(&mut large)?;
    large.truncate(n);
    Ok(large)
}

/// Turns file capabilities tied to a user namespace (revision 3, with its root's id at the end) into the general form.
fn portable(name: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    if name == CAPABILITY && value.len() == 24 && value[3] == 3 {
        value[3] = 2;
        value.truncate(20);
    }
    value
}

pub(super) fn set(fd: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())
}

pub(super) fn remove(fd: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::fremovexattr(fd, name) {
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_attributes_travel() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // name                       set    read
            ("security.capability",       true,  true),
            ("user.note",                 true,  true),
            ("system.posix_acl_access",   true,  false),
            ("user.overlay.opaque",       false, false),
            ("trusted.overlay.opaque",    false, false),
            ("security.selinux",          false, false),
            ("security.ima",              false, false),
            ("security.evm",              false, false),
        ];
        for (name, applied, read) in cases {
            assert_eq!(is_applied(name.as_bytes()), applied, "{name}");
            assert_eq!(is_read(name.as_bytes()), read, "{name}");
        }
    }

    #[test]
    fn capabilities_lose_their_namespace() {
        let mut v3 = vec![1, 0, 0, 3];
        v3.extend([7; 16]);
        v3.extend([0xe8, 3, 0, 0]);
        let v2 = portable(CAPABILITY, v3.clone());
        assert_eq!((v2.len(), v2[0], v2[3]), (20, 1, 2));
        assert_eq!(portable(b"user.x", v3.clone()), v3);
        assert_eq!(portable(CAPABILITY, v2.clone()), v2);
    }
}
