//! Reader and writer against each other, against GNU tar, and against hostile input.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::*;

mod reader;

mod writer;

mod gnu_tar;

mod properties;

/// Hands out one byte at a time.
struct Trickle<R>(R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = buffer.len().min(1);
        self.0.read(&mut buffer[..size])
    }
}

type Members = Vec<(Entry, Vec<u8>)>;

fn read_all(input: impl Read, limits: Limits) -> Result<Members, Error> {
    let mut reader = Reader::new(input, limits);
    let mut members = Vec::new();
    while let Some(entry) = reader.next()? {
        let mut content = Vec::new();
        let read = reader.read_to_end(&mut content);
        read.map_err(|source| Error::Read { offset: 0, source })?;
        members.push((entry, content));
    }
    Ok(members)
}

fn read(tar: &[u8]) -> Result<Members, Error> {
    let members = read_all(tar, Limits::default());
    let trickled = read_all(Trickle(tar), Limits::default());
    assert_eq!(format!("{members:?}"), format!("{trickled:?}"));
    members
}

/// Prints members one a line.
fn listing(members: &Members) -> String {
    let lines = members.iter().map(|(e, content)| {
        let kind = match &e.kind {
            Kind::File { size } => format!("f {size}"),
            Kind::Directory => "d".to_owned(),
            Kind::Symlink { target } => format!("l {}", target.escape_ascii()),
            Kind::HardLink { target } => format!("h {target}"),
            Kind::CharDevice { major, minor } => format!("c {major},{minor}"),
            Kind::BlockDevice { major, minor } => format!("b {major},{minor}"),
            Kind::Fifo => "p".to_owned(),
        };
        let mut line = format!(
            "{} {:04o} {}:{} {}",
            e.path, e.mode, e.uid, e.gid, e.mtime.seconds
        );
        if e.mtime.nanoseconds > 0 {
            line += &format!(".{:09}", e.mtime.nanoseconds);
        }
        for (name, value) in &e.xattrs {
            line += &format!(" {}={}", name.escape_ascii(), value.escape_ascii());
        }
        format!("{line} {kind} {}\n", content.escape_ascii())
    });
    lines.collect()
}

/// A header made by hand: type flag, name, link name, content; checksum right.
fn member(kind: u8, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax(kind: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        let mut length = key.len() + value.len() + 3;
        length += (length + 2).to_string().len();
        content.extend_from_slice(format!("{length} {key}=").as_bytes());
        content.extend_from_slice(value);
        content.push(b'\n');
    }
    member(kind, "pax", "", &content)
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn entry(path: &str, kind: Kind) -> Entry {
    Entry {
        path: LayerPath::clean(path),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Time::from_seconds(1_000_000_000),
        xattrs: BTreeMap::new(),
    }
}
