//! Scratch roots for tests, described and listed in lines.

use std::collections::BTreeMap;

use super::Rootfs;
use crate::layer::entry::Time;
use crate::layer::{self, Entry, Kind, LayerPath};

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
        let Some(entry) = root.entry(&path).unwrap() else {
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

/// Makes a tar of lines `d NAME`, `f NAME CONTENT`, `l NAME TARGET`, `h NAME TARGET`; names are taken as they are, hostile or not.
pub(crate) fn tar(text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (kind, mode) = match fields[0] {
            "d" => (tar::EntryType::Directory, 0o750),
            "f" => (tar::EntryType::Regular, 0o640),
            "l" => (tar::EntryType::Symlink, 0o777),
            "h" => (tar::EntryType::Link, 0o640),
            other => panic!("no kind of entry: {other}"),
        };
        let rest = fields.get(2).copied().unwrap_or_default().as_bytes();
        let mut header = tar::Header::new_ustar();
        let fields_of = header.as_ustar_mut().unwrap();
        fields_of.name[..fields[1].len()].copy_from_slice(fields[1].as_bytes());
        let is_file = kind == tar::EntryType::Regular;
        if !is_file {
            fields_of.linkname[..rest.len()].copy_from_slice(rest);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(if is_file { rest.len() as u64 } else { 0 });
        header.set_cksum();
        archive
            .append(&header, if is_file { rest } else { b"" })
            .unwrap();
    }
    archive.into_inner().unwrap()
}

impl Scratch {
    /// Unpacks a layer made by [`tar`].
    pub fn apply(&self, text: &str) -> Result<super::Unpacked, super::Error> {
        let layer = tar(text);
        let mut reader = layer::Reader::new(&layer[..], layer::Limits::default());
        self.root.apply(&mut reader)
    }

    /// Runs `script` with the root as working directory, as a RUN would.
    pub fn run(&self, script: &str) {
        let mut shell = std::process::Command::new("sh");
        let status = shell
            .args(["-ec", script])
            .current_dir(self.root.path())
            .status();
        assert!(status.unwrap().success(), "{script}");
    }

    /// Returns the names beside the root.
    pub fn outside_names(&self) -> Vec<String> {
        let names = fs_err::read_dir(self.dir.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "root").collect()
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `body` on a thread without any right: as user 1000 if we are root, else as we are.
pub(crate) fn as_user(body: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if is_root() {
            let gid = rustix::fs::Gid::from_raw(1000);
            let uid = rustix::fs::Uid::from_raw(1000);
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        }
        body();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
