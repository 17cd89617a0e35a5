//! Scratch roots for tests, described and listed in lines.

use std::collections::BTreeMap;

use super::Rootfs;
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};

/// A root in a temporary directory.
pub(crate) struct Scratch {
    pub root: Rootfs,
    dir: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Rootfs::create(dir.path().join("root")).unwrap();
        Self { root, dir }
    }

    /// The directory around the root, which nothing may reach.
    pub fn outside(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn put(&self, entry: &Entry, content: &str) {
        self.root.put(entry, &mut content.as_bytes()).unwrap();
    }

    pub fn listing(&self) -> String {
        listing(&self.root)
    }
}

/// One line per file: type, mode, owner, size, time, path and what belongs to the type.
pub(crate) fn listing(root: &Rootfs) -> String {
    let mut walk = root.walk(&LayerPath::root()).unwrap();
    let mut paths = Vec::new();
    while let Some(found) = walk.next().unwrap() {
        paths.push((found.layer_path(), found.stat));
    }
    let mut text = String::new();
    for (path, stat) in paths {
        let Some(entry) = root.entry_of(&path, &stat).unwrap() else {
            text += &format!("socket {path}\n");
            continue;
        };
        let (kind, rest) = match entry.kind {
            Kind::File { size } => ("f", format!(" {size}")),
            Kind::Directory => ("d", String::new()),
            Kind::Symlink { target } => ("l", format!(" -> {}", String::from_utf8_lossy(&target))),
            Kind::HardLink { target } => ("h", format!(" = {target}")),
            Kind::CharDevice { major, minor } => ("c", format!(" {major},{minor}")),
            Kind::BlockDevice { major, minor } => ("b", format!(" {major},{minor}")),
            Kind::Fifo => ("p", String::new()),
        };
        let links = if stat.links > 1 && !stat.is_dir() {
            format!(" links={}", stat.links)
        } else {
            String::new()
        };
        let xattrs: String = entry
            .xattrs
            .iter()
            .map(|(k, v)| {
                format!(
                    " {}={}",
                    String::from_utf8_lossy(k),
                    String::from_utf8_lossy(v)
                )
            })
            .collect();
        let mode = match kind {
            "l" => "-".to_owned(),
            _ => format!("{:04o}", entry.mode),
        };
        text += &format!(
            "{kind} {mode} {}:{} {path}{rest}{links}{xattrs}\n",
            entry.uid, entry.gid
        );
    }
    text
}

pub(crate) fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry {
        path: LayerPath::clean(path),
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: Time::from_seconds(1_000_000_000),
        xattrs: BTreeMap::new(),
    }
}

pub(crate) fn file(path: &str, mode: u32, size: usize) -> Entry {
    entry(path, Kind::File { size: size as u64 }, mode)
}

pub(crate) fn dir(path: &str, mode: u32) -> Entry {
    entry(path, Kind::Directory, mode)
}

pub(crate) fn symlink(path: &str, target: &str) -> Entry {
    let target = target.as_bytes().to_vec();
    entry(path, Kind::Symlink { target }, 0o777)
}

pub(crate) fn hard_link(path: &str, target: &str) -> Entry {
    let target = LayerPath::clean(target);
    entry(path, Kind::HardLink { target }, 0o644)
}
