//! What a later start needs to know to bring the container back.
//!
//! The journal is a file of JSON lines. The first, written aside and renamed into place before anything moves, says what
//! stays and what those directories were; further lines are appended as things become known. A line that was cut off
//! belongs to a step that was not begun. There is no fsync: a killed process loses nothing that it has written.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use fs_err::File;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::dir::Identity;
use super::graft::Graft;
use super::metadata::Metadata;
use super::plan::Kept;
use super::processes::Leader;
use crate::layer::LayerPath;

const NAME: &str = "journal";
const NEW: &str = "journal.new";
/// Exists from the first rename out of the private root to the last back into it: every entry of a pinned directory that
/// is not kept is the image's then. A file of its own, since removing it works on a full disk.
const IMAGE_IN: &str = "image-in";

/// An open journal and what it says.
#[derive(Debug)]
pub(super) struct Journal {
    file: std::fs::File,
    pub(super) header: Header,
    /// Directories rebuilt elsewhere because they could not be renamed, with what they were. The first record of a path counts.
    pub(super) split: Vec<(LayerPath, Metadata)>,
    /// What of the work directory is lent to the command.
    pub(super) grafts: Vec<Graft>,
    /// The command's session.
    pub(super) leader: Option<Leader>,
}

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    /// The mount namespace in which the numbers of the mounts hold.
    pub(super) namespace: String,
    #[serde(with = "path_as_text")]
    pub(super) private_root: LayerPath,
    pub(super) kept: Vec<Kept>,
    pub(super) pinned: Vec<Pinned>,
}

/// A directory of the container that stays where it is, and what it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pinned {
    #[serde(with = "path_as_text")]
    pub(super) path: LayerPath,
    pub(super) identity: Identity,
    pub(super) metadata: Metadata,
}

/// Any further line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Record {
    Split {
        #[serde(with = "path_as_text")]
        path: LayerPath,
        metadata: Metadata,
    },
    Graft(Graft),
    Run(Leader),
}

impl Journal {
    /// Writes a new journal into the work directory.
    pub(super) fn create(work: impl AsFd, header: Header) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::APPEND;
        let file = fs::openat(&work, NEW, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
        let mut journal = Self {
            file: file.into(),
            header,
            split: Vec::new(),
            grafts: Vec::new(),
            leader: None,
        };
        let line = to_line(&journal.header);
        journal.file.write_all(&line)?;
        fs::renameat(&work, NEW, &work, NAME)?;
        Ok(journal)
    }

    /// Reads the journal that an earlier process left in the work directory.
    pub(super) fn open(work: impl AsFd) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let file: OwnedFd = match fs::openat(&work, NAME, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let mut file = File::from_parts(file.into(), NAME);
        let mut text = Vec::new();
        io::Read::read_to_end(&mut file, &mut text)?;
        let mut lines = text.split_inclusive(|b| *b == b'\n');
        let header = serde_json::from_slice(lines.next().unwrap_or_default())?;
        let mut journal = Self {
            file: file.into_parts().0,
            header,
            split: Vec::new(),
            grafts: Vec::new(),
            leader: None,
        };
        for line in lines.filter(|line| line.ends_with(b"\n")) {
            match serde_json::from_slice(line)? {
                Record::Split { path, metadata } if !journal.has_split(&path) => {
                    journal.split.push((path, metadata));
                }
                Record::Split { .. } => {}
                Record::Graft(graft) => journal.grafts.push(graft),
                Record::Run(leader) => journal.leader = Some(leader),
            }
        }
        Ok(Some(journal))
    }

    /// Notes that a directory is about to be rebuilt.
    pub(super) fn note_split(&mut self, path: &LayerPath, metadata: Metadata) -> io::Result<()> {
        self.append(&Record::Split {
            path: path.clone(),
            metadata: metadata.clone(),
        })?;
        self.split.push((path.clone(), metadata));
        Ok(())
    }

    /// Notes that something is about to be lent to the command.
    pub(super) fn note_graft(&mut self, graft: Graft) -> io::Result<()> {
        self.append(&Record::Graft(graft.clone()))?;
        self.grafts.push(graft);
        Ok(())
    }

    /// Notes the command's session.
    pub(super) fn note_run(&mut self, leader: Leader) -> io::Result<()> {
        self.append(&Record::Run(leader))?;
        self.leader = Some(leader);
        Ok(())
    }

    pub(super) fn has_split(&self, path: &LayerPath) -> bool {
        self.split.iter().any(|(split, _)| split == path)
    }

    fn append(&mut self, record: &Record) -> io::Result<()> {
        self.file.write_all(&to_line(record))
    }

    /// Removes the journal: the container is as it was.
    pub(super) fn remove(work: impl AsFd) -> io::Result<()> {
        remove(work, NAME)
    }
}

/// Says from now on that the image's entries are in the root.
pub(super) fn set_image_in(work: impl AsFd) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    fs::openat(work, IMAGE_IN, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(())
}

pub(super) fn is_image_in(work: impl AsFd) -> io::Result<bool> {
    Ok(super::dir::look_at(work, IMAGE_IN.as_bytes())?.is_some())
}

pub(super) fn clear_image_in(work: impl AsFd) -> io::Result<()> {
    remove(work, IMAGE_IN)
}

fn remove(work: impl AsFd, name: &str) -> io::Result<()> {
    match fs::unlinkat(work, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn to_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("plain values become JSON");
    line.push(b'\n');
    line
}

/// A path, which is bytes, as JSON text: each byte becomes the character of that number.
pub(super) mod path_as_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::layer::LayerPath;

    pub(in super::super) fn serialize<S: Serializer>(
        path: &LayerPath,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text: String = path.as_bytes().iter().map(|b| char::from(*b)).collect();
        serializer.serialize_str(&text)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LayerPath, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        let bytes = bytes.map_err(|_| D::Error::custom("not a path"))?;
        LayerPath::checked(bytes).ok_or_else(|| D::Error::custom("not a path inside the root"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let work = fs_err::File::open(dir.path()).unwrap();
        assert!(Journal::open(&work).unwrap().is_none());
        let metadata = Metadata::read(&work).unwrap();
        let odd = LayerPath::clean(b"etc/\xff\n\"x");
        let header = Header {
            namespace: "mnt:[1]".into(),
            private_root: LayerPath::clean(".executor/stages/0/rootfs"),
            kept: vec![Kept {
                path: odd.clone(),
                mount: Some(7),
            }],
            pinned: Vec::new(),
        };
        let mut journal = Journal::create(&work, header).unwrap();
        journal.note_split(&odd, metadata.clone()).unwrap();
        journal.note_split(&odd, metadata).unwrap();
        let leader = Leader { pid: 3, start: 4 };
        journal.note_run(leader).unwrap();
        // A process killed while it wrote.
        journal.file.write_all(b"{\"split\":{\"pa").unwrap();

        let again = Journal::open(&work).unwrap().unwrap();
        assert_eq!(again.header.kept, journal.header.kept);
        assert_eq!(again.header.private_root, journal.header.private_root);
        assert_eq!(again.split.len(), 1);
        assert!(again.has_split(&odd));
        assert_eq!(again.leader, Some(leader));
        Journal::remove(&work).unwrap();
        assert!(Journal::open(&work).unwrap().is_none());
    }
}
