//! Files as lines: what a case's context holds.
//!
//! ```text
//! f 0644 path "content"            a file; `[DOCKERFILE]` as content is the case's Dockerfile
//! d 0755 path                      a directory; those on the way are made 0755
//! l path -> target                 a symlink
//! h path = first                   another name of a file
//! p 0644 path                      a FIFO
//! s 0644 path                      a socket
//! gzip path "content"              compressed content
//! tar gzip path                    an archive (plain, gzip, bzip2, xz, zstd) of the lines below it that begin with two blanks
//! key path                         the private part of a new SSH key
//! x path name "value"              an extended attribute of the file made last; in an archive, of the next one
//! ```
//! An owner `1:2` may follow the mode, and a time `@3` the end. `%20` in a path is a blank.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid};

/// The time of files that say none; older than what a build makes.
pub const TIME: i64 = 900_000_000;

/// A line, taken apart.
pub struct File {
    pub kind: String,
    mode: u32,
    owner: (u32, u32),
    pub path: String,
    /// Content, link target, first name, or name and value.
    pub rest: String,
    pub time: i64,
}

/// Makes the files below a directory, which exists.
pub fn make(root: &Path, lines: &[String], dockerfile: &[u8]) {
    let mut lines = lines.iter().peekable();
    let mut times = Vec::new();
    while let Some(line) = lines.next() {
        let file = File::parse(line);
        let path = root.join(&file.path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        match file.kind.as_str() {
            "f" if file.rest == "[DOCKERFILE]" => fs_err::write(&path, dockerfile).unwrap(),
            "f" => fs_err::write(&path, unquote(&file.rest)).unwrap(),
            "gzip" => fs_err::write(&path, compress("gzip", unquote(&file.rest))).unwrap(),
            "d" => fs_err::create_dir_all(&path).unwrap(),
            "l" => symlink(&file.rest, &path).unwrap(),
            "h" => fs_err::hard_link(root.join(&file.rest), &path).unwrap(),
            "p" => {
                rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap()
            }
            "s" => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
            "key" => crate::support::inetd::keygen(&path, &["-t", "ed25519"]),
            "x" => {
                let (name, value) = file.xattr();
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::lsetxattr(&path, name, &value, flags).unwrap();
                continue;
            }
            "tar" => {
                let mut members = Vec::new();
                while let Some(member) = lines.next_if(|line| line.starts_with("  ")) {
                    members.push(File::parse(member.trim_start()));
                }
                fs_err::write(&path, compress(&file.rest, archive(&members))).unwrap();
            }
            other => panic!("no kind {other}: {line}"),
        }
        if !matches!(file.kind.as_str(), "l" | "h" | "key") {
            rustix::fs::chown(
                &path,
                Some(Uid::from_raw(file.owner.0)),
                Some(Gid::from_raw(file.owner.1)),
            )
            .unwrap();
            rustix::fs::chmod(&path, Mode::from_raw_mode(file.mode)).unwrap();
        }
        times.push((path, file.time));
    }
    // Directories last, deepest first, because what is made in them changes their times.
    for entry in walkdir::WalkDir::new(root).contents_first(true) {
        let path = entry.unwrap().into_path();
        let time = times
            .iter()
            .find(|(known, _)| *known == path)
            .map_or(TIME, |(_, time)| *time);
        let time = Timespec {
            tv_sec: time,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

impl File {
    /// Returns the name and the value of an extended attribute.
    fn xattr(&self) -> (&str, Vec<u8>) {
        let (name, value) = self.rest.split_once(' ').unwrap();
        (name, unquote(value))
    }

    pub fn parse(line: &str) -> Self {
        let (line, time) = match line.rsplit_once(" @") {
            Some((rest, time)) if time.bytes().all(|b| b.is_ascii_digit()) => {
                (rest, time.parse().unwrap())
            }
            _ => (line, TIME),
        };
        let (kind, mut rest) = line.split_once(' ').unwrap();
        let mut word = || {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after;
            word.to_owned()
        };
        let (mut mode, mut owner) = (0o777, (0, 0));
        let mut compression = String::new();
        match kind {
            "f" | "d" | "p" | "s" => mode = u32::from_str_radix(&word(), 8).unwrap(),
            "tar" => {
                compression = word();
                mode = 0o644;
            }
            "gzip" => mode = 0o644,
            _ => {}
        }
        let mut path = word();
        if let Some((uid, gid)) = path.split_once(':')
            && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
        {
            owner = (uid, gid);
            path = word();
        }
        let rest = rest.trim_start_matches("-> ").trim_start_matches("= ");
        Self {
            kind: kind.to_owned(),
            mode,
            owner,
            path: path.replace("%20", " "),
            rest: match kind {
                "tar" => compression,
                _ => rest.to_owned(),
            },
            time,
        }
    }
}

/// Reads a quoted text; nothing is an empty one.
fn unquote(text: &str) -> Vec<u8> {
    match text {
        "" => Vec::new(),
        text => {
            let read: Result<String, _> = serde_json::from_str(text);
            read.unwrap_or_else(|e| panic!("{e}: {text}")).into_bytes()
        }
    }
}

fn archive(members: &[File]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut xattrs = Vec::new();
    for member in members {
        if member.kind == "x" {
            let (name, value) = member.xattr();
            xattrs.push((format!("SCHILY.xattr.{name}"), value));
            continue;
        }
        if !xattrs.is_empty() {
            let records = xattrs.iter().map(|(key, value)| (key.as_str(), &value[..]));
            builder.append_pax_extensions(records).unwrap();
            xattrs.clear();
        }
        let mut header = tar::Header::new_ustar();
        header.set_mode(member.mode);
        header.set_uid(member.owner.0.into());
        header.set_gid(member.owner.1.into());
        header.set_mtime(member.time.try_into().unwrap());
        header.set_size(0);
        let mut content = Vec::new();
        let kind = match member.kind.as_str() {
            "f" => {
                content = unquote(&member.rest);
                tar::EntryType::Regular
            }
            "d" => tar::EntryType::Directory,
            "l" => tar::EntryType::Symlink,
            "h" => tar::EntryType::Link,
            "p" => tar::EntryType::Fifo,
            other => panic!("no member {other}"),
        };
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        // Names go in as they are, `..` included.
        let bytes = header.as_mut_bytes();
        bytes[..member.path.len()].copy_from_slice(member.path.as_bytes());
        if matches!(member.kind.as_str(), "l" | "h") {
            bytes[157..157 + member.rest.len()].copy_from_slice(member.rest.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, &content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn compress(kind: &str, bytes: Vec<u8>) -> Vec<u8> {
    match kind {
        "plain" => bytes,
        "gzip" => crate::support::crafted::gzip(&bytes),
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(&bytes[..], 1).unwrap(),
        "xz" => {
            let mut xz = Command::new("xz")
                .arg("-0")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("the tests need Debian's package xz-utils");
            xz.stdin.take().unwrap().write_all(&bytes).unwrap();
            xz.wait_with_output().unwrap().stdout
        }
        other => panic!("no compression {other}"),
    }
}
