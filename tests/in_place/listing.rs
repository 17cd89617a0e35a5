//! A tree as text, all that a container's owner could notice.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What to leave out.
#[derive(Default)]
pub struct Without {
    /// Whatever is at or below these.
    pub paths: Vec<PathBuf>,
    /// Numbers of links, which copying up changes.
    pub links: bool,
}

/// Lists a tree, its root included: type and mode, owner, links, size, time, xattrs, name and link target.
pub fn tree(root: &Path, without: &Without) -> Vec<String> {
    let walk = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    let wanted = walk.filter_entry(|entry| !without.paths.iter().any(|p| p == entry.path()));
    wanted
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path();
            let stat = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display();
            let (seconds, nanoseconds) = (stat.mtime(), stat.mtime_nsec());
            let times = format!("{seconds}.{nanoseconds:09}");
            let owner = format!("{:o} {}:{}", stat.mode(), stat.uid(), stat.gid());
            let xattrs = xattrs(path);
            if stat.is_dir() {
                return format!("{owner} {times} {xattrs}{name}/");
            }
            let links = if without.links { 0 } else { stat.nlink() };
            let target = fs_err::read_link(path).unwrap_or_default();
            let target = target.display();
            format!(
                "{owner} {links} {} {times} {xattrs}{name} -> {target}",
                stat.size()
            )
        })
        .collect()
}

/// Returns the names of what differs: `-` gone or other than before, `+` new or other than after.
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let name = |line: &String| {
        let line = line.split(" -> ").next().unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let gone = before.iter().filter(|line| !after.contains(line));
    let new = after.iter().filter(|line| !before.contains(line));
    let gone = gone.map(|line| format!("- {}", name(line)));
    let new = new.map(|line| format!("+ {}", name(line)));
    gone.chain(new).collect()
}

fn xattrs(path: &Path) -> String {
    let mut names = vec![0; 65536];
    let size = rustix::fs::llistxattr(path, &mut *names).unwrap_or(0);
    let names = names[..size].split(|b| *b == 0).filter(|n| !n.is_empty());
    let mut text = String::new();
    for name in names {
        let mut value = vec![0; 65536];
        let size = rustix::fs::lgetxattr(path, name, &mut *value).unwrap_or(0);
        let name = OsString::from(std::ffi::OsStr::from_bytes(name));
        text += &format!("{}={:?} ", name.display(), &value[..size]);
    }
    text
}
