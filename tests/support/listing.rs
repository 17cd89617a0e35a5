//! A tree as text: one line an entry, so that two trees are compared by comparing lines.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// What a line tells beside type, mode, owner, size, content and link target.
#[derive(Clone, Copy, Default)]
pub struct Detail {
    pub mtimes: bool,
    pub inodes: bool,
}

/// Lists a tree without its root: `f 0755 7:8 10 ab12… ./app.sh`, sorted by path, with xattrs. Hard links show as `= first name`.
pub fn tree(root: &Path, detail: Detail) -> String {
    let mut text = String::new();
    let mut first_names = std::collections::BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name().min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().display();
        let meta = fs_err::symlink_metadata(path).unwrap();
        let kind = meta.file_type();
        let owner = format!("{:04o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        if kind.is_dir() {
            write!(text, "d {owner} {name}/").unwrap();
        } else if kind.is_symlink() {
            let target = fs_err::read_link(path).unwrap();
            write!(
                text,
                "l {}:{} {name} -> {}",
                meta.uid(),
                meta.gid(),
                target.display()
            )
            .unwrap();
        } else if kind.is_file() {
            let first = first_names
                .entry((meta.dev(), meta.ino()))
                .or_insert_with(|| name.to_string());
            if meta.nlink() > 1 && *first != name.to_string() {
                write!(text, "f = {first} {name}").unwrap();
            } else {
                let hash = Sha256::digest(fs_err::read(path).unwrap());
                let hash: String = hash.iter().take(6).map(|b| format!("{b:02x}")).collect();
                write!(text, "f {owner} {} {hash} {name}", meta.len()).unwrap();
            }
        } else if kind.is_fifo() {
            write!(text, "p {owner} {name}").unwrap();
        } else {
            let letter = if kind.is_char_device() { 'c' } else { 'b' };
            let (major, minor) = (
                rustix::fs::major(meta.rdev()),
                rustix::fs::minor(meta.rdev()),
            );
            write!(text, "{letter} {owner} {major}:{minor} {name}").unwrap();
        }
        for (key, value) in xattrs(path) {
            write!(text, " {}={}", key.to_string_lossy(), value.escape_ascii()).unwrap();
        }
        if detail.mtimes {
            write!(text, " @{}.{:09}", meta.mtime(), meta.mtime_nsec()).unwrap();
        }
        if detail.inodes {
            write!(text, " i{} n{}", meta.ino(), meta.nlink()).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Returns the extended attributes of a node itself, sorted; labels of security modules are the host's and left out.
fn xattrs(path: &Path) -> Vec<(OsString, Vec<u8>)> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut found = Vec::new();
    for name in names[..length]
        .split(|b| *b == 0)
        .filter(|n| !n.is_empty() && *n != b"security.selinux")
    {
        let name = std::ffi::OsStr::from_bytes(name);
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(path, name, &mut value[..]) {
            found.push((name.to_owned(), value[..length].to_vec()));
        }
    }
    found.sort();
    found
}
