//! What the kernel refused, remembered.
//!
//! Without the right to give files away, to make device nodes or to set file capabilities, or without room in the id map, the disk
//! cannot hold what the image should have. A row keeps the intended value together with what the disk got instead. As long as the disk still
//! says that, the intended value holds; once it says something else a RUN has changed it, and the disk is right.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::stat::{FileType, Stat};
use crate::layer::entry::Time;

/// Intended values by inode.
#[derive(Debug, Default)]
pub struct Table {
    rows: HashMap<u64, Row>,
    refused: Refused,
}

/// How many files have an intended value of each sort that the disk does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    pub owners: u64,
    pub modes: u64,
    pub xattrs: u64,
    pub devices: u64,
}

/// Lists the sorts that there are: `owners, device nodes`.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorts = [
            (self.owners, "owners"),
            (self.modes, "modes"),
            (self.xattrs, "extended attributes and file capabilities"),
            (self.devices, "device nodes"),
        ];
        let there = sorts.iter().filter(|(count, _)| *count > 0);
        let names: Vec<&str> = there.map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}

/// What one inode should have and does not.
#[derive(Debug, Default, Clone)]
pub(super) struct Intended {
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
    pub device: Option<(FileType, (u32, u32))>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug)]
struct Row {
    intended: Intended,
    disk: Disk,
}

/// What the disk had when the row was written. The time of birth tells a later inode of the same number apart.
#[derive(Debug)]
struct Disk {
    birth: i64,
    kind: FileType,
    owner: (u32, u32),
    mode: u32,
    mtime: Time,
}

impl Disk {
    fn of(stat: &Stat) -> Self {
        Self {
            birth: stat.birth,
            kind: stat.kind,
            owner: (stat.uid, stat.gid),
            mode: stat.mode,
            mtime: stat.mtime,
        }
    }
}

impl Intended {
    fn is_empty(&self) -> bool {
        self.owner.is_none()
            && self.mode.is_none()
            && self.device.is_none()
            && self.xattrs.is_empty()
    }
}

impl Table {
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Remembers `intended` for the inode that `disk` describes, in place of what was known about it.
    pub(super) fn record(&mut self, disk: &Stat, intended: Intended) {
        if intended.is_empty() {
            self.rows.remove(&disk.inode);
            return;
        }
        self.refused.owners += u64::from(intended.owner.is_some());
        self.refused.modes += u64::from(intended.mode.is_some());
        self.refused.xattrs += u64::from(!intended.xattrs.is_empty());
        self.refused.devices += u64::from(intended.device.is_some());
        let disk_then = Disk::of(disk);
        self.rows.insert(
            disk.inode,
            Row {
                intended,
                disk: disk_then,
            },
        );
    }

    /// Returns what still holds of a row, given what the disk says now.
    pub(super) fn intended(&self, disk: &Stat) -> Intended {
        let row = self.rows.get(&disk.inode);
        let row = row.filter(|row| row.disk.birth == disk.birth && row.disk.kind == disk.kind);
        let Some(Row {
            intended,
            disk: then,
        }) = row
        else {
            return Intended::default();
        };
        let written = then.mtime != disk.mtime;
        let mut xattrs = intended.xattrs.clone();
        if written {
            // The kernel drops it as well when a file is written to.
            xattrs.remove(super::xattr::CAPABILITY);
        }
        Intended {
            owner: intended
                .owner
                .filter(|_| then.owner == (disk.uid, disk.gid)),
            mode: intended.mode.filter(|_| then.mode == disk.mode),
            device: intended.device.filter(|_| disk.size == 0 && !written),
            xattrs,
        }
    }

    /// Puts into `stat` what the file that is `disk` on disk should have.
    pub(super) fn correct(&self, disk: &Stat, stat: &mut Stat) {
        if self.rows.is_empty() {
            return;
        }
        let intended = self.intended(disk);
        if let Some(owner) = intended.owner {
            (stat.uid, stat.gid) = owner;
        }
        if let Some(mode) = intended.mode {
            stat.mode = mode;
        }
        if let Some((kind, rdev)) = intended.device {
            (stat.kind, stat.rdev) = (kind, rdev);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Stat {
        Stat {
            kind: FileType::File,
            mode: 0o600,
            uid: 1000,
            gid: 1000,
            size: 0,
            mtime: Time::from_seconds(5),
            ctime: 7,
            inode: 1,
            device: 1,
            rdev: (0, 0),
            links: 1,
            birth: 3,
        }
    }

    fn null_device() -> Table {
        let mut table = Table::default();
        let intended = Intended {
            owner: Some((0, 5)),
            mode: Some(0o666),
            device: Some((FileType::CharDevice, (1, 3))),
            xattrs: BTreeMap::from([(b"security.capability".to_vec(), vec![1])]),
        };
        table.record(&disk(), intended);
        table
    }

    #[test]
    fn what_a_run_changed_on_disk_wins() {
        type Case = (&'static str, fn(&mut Stat), &'static str);
        #[rustfmt::skip] // a table keeps its columns
        let cases: [Case; 6] = [
            ("nothing",   |_| {},                                    "CharDevice 666 0:5 (1, 3)"),
            ("chmod",     |s| s.mode = 0o640,                        "CharDevice 640 0:5 (1, 3)"),
            ("chown",     |s| s.uid = 0,                             "CharDevice 666 0:1000 (1, 3)"),
            ("written",   |s| s.size = 4,                            "File 666 0:5 (0, 0)"),
            ("touched",   |s| s.mtime = Time::from_seconds(6),       "File 666 0:5 (0, 0)"),
            ("new inode", |s| s.birth = 9,                           "File 600 1000:1000 (0, 0)"),
        ];
        for (what, change, want) in cases {
            let mut stat = disk();
            change(&mut stat);
            let disk = stat;
            null_device().correct(&disk, &mut stat);
            let Stat {
                kind,
                mode,
                uid,
                gid,
                rdev,
                ..
            } = stat;
            assert_eq!(
                format!("{kind:?} {mode:o} {uid}:{gid} {rdev:?}"),
                want,
                "{what}"
            );
        }
    }
}
