//! Making entries: what unpacking, COPY and ADD have in common.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{Wanted, timestamps};
use super::content::{self, CopyError};
use super::parent::Parent;
use super::{Error, FileType, Rootfs, Stat};
use crate::layer::entry::Time;
use crate::layer::{Entry, Kind, LayerPath};

const BUFFER_SIZE: usize = 256 * 1024;

/// Puts many entries into a root and gives directories their modification times at the end, when nothing is put into them any more.
#[must_use = "directories get their times from `finish`"]
pub struct Batch<'r> {
    pub(super) root: &'r Rootfs,
    /// The directory the last entry went into, which is mostly that of the next.
    pub(super) parent: Option<Parent>,
    times: BTreeMap<LayerPath, Time>,
    buffer: Vec<u8>,
}

/// What [`Batch::put`] did.
pub(super) struct Placed {
    /// Where the entry is, symlinks in its directories followed.
    pub real: LayerPath,
    pub size: u64,
}

impl Rootfs {
    /// Starts putting several entries.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            root: self,
            parent: None,
            times: BTreeMap::new(),
            buffer: Vec::new(),
        }
    }

    /// Makes one entry, as [`Batch::put`] does; a directory has its modification time until something is put into it.
    pub fn put(&self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        let mut batch = self.batch();
        batch.put(entry, content)?;
        batch.finish()
    }
}

impl Batch<'_> {
    /// Makes `entry`, reading a file's bytes from `content`, in place of what is there.
    ///
    /// A directory put on a directory keeps what that contains. Missing directories on the way are made with mode 0755 and owner 0:0.
    ///
    /// # Errors
    /// [`Error::MissingLinkTarget`] for a hard link to nothing, [`Error::NotADirectory`] if the way leads through a file; the rest
    /// is the disk's or the reader's.
    ///
    /// # Spec
    /// image-spec v1.1 `layer.md`, "Changeset over existing files".
    pub fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        self.place(entry, content).map(drop)
    }

    /// Like [`Rootfs::stat`]; cheaper for what lies beside the last entry.
    pub fn stat(&self, path: &LayerPath) -> Result<Option<Stat>, Error> {
        let (Some(parent), Some(above), Some(name)) =
            (&self.parent, path.parent(), path.file_name())
        else {
            return self.root.stat(path);
        };
        if parent.asked != above {
            return self.root.stat(path);
        }
        match Stat::read(parent.fd.as_fd(), name) {
            Ok(disk) => Ok(Some(self.root.corrected(disk))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::access("look at", path, errno)),
        }
    }

    pub(super) fn place(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<Placed, Error> {
        let is_dir = entry.kind == Kind::Directory;
        let Some(name) = entry.path.file_name() else {
            if !is_dir {
                let kind = FileType::of(&entry.kind).name();
                return Err(Error::ReplacesRoot { kind });
            }
            self.make_directory(self.root.dir_fd(), b".", entry)
                .map_err(|e| Error::access("make the directory", &entry.path, e))?;
            self.times.insert(LayerPath::root(), entry.mtime);
            return Ok(Placed {
                real: LayerPath::root(),
                size: 0,
            });
        };
        let parent = self.enter_parent(&entry.path)?;
        let real = match parent.asked == parent.real {
            true => entry.path.clone(),
            false => parent.real.join(name),
        };
        let dir = parent.fd.as_fd();
        let error = |action, errno| Error::access(action, &entry.path, errno);
        let mut size = 0;
        match &entry.kind {
            Kind::Directory => {
                self.make_directory(dir, name, entry)
                    .map_err(|e| error("make the directory", e))?;
                self.times.insert(real.clone(), entry.mtime);
            }
            Kind::File { size: expected } => {
                size = self.write_file(dir, name, entry, content)?;
                if size != *expected {
                    return Err(Error::ContentSize {
                        path: entry.path.clone(),
                        size: *expected,
                        found: size,
                    });
                }
            }
            Kind::Symlink { target } => self
                .make(dir, name, entry, || {
                    rustix::fs::symlinkat(&target[..], dir, name)
                })
                .map_err(|e| error("make the symlink", e))?,
            Kind::HardLink { target } => self.make_hard_link(dir, name, &real, target)?,
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => self
                .make(dir, name, entry, || make_node(dir, name, entry))
                .map_err(|e| error("make the device", e))?,
        }
        self.parent.get_or_insert(parent);
        Ok(Placed { real, size })
    }

    /// Sets the modification times of the directories that were put.
    pub fn finish(mut self) -> Result<(), Error> {
        self.parent = None;
        for (path, mtime) in std::mem::take(&mut self.times).iter().rev() {
            let above = path.parent().unwrap_or_default();
            let set = self.root.open_real_dir(&above).and_then(|dir| {
                let name = path.file_name().unwrap_or(b".");
                // A later entry may have taken its place.
                if !Stat::read(dir.as_fd(), name)?.is_dir() {
                    return Ok(());
                }
                rustix::fs::utimensat(dir, name, &timestamps(*mtime), AtFlags::SYMLINK_NOFOLLOW)
            });
            match set {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(Error::access("set the time of", path, errno)),
            }
        }
        Ok(())
    }

    /// Makes something with `create`, removing what is in its place if need be.
    fn create<T>(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        create: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match create() {
            Err(Errno::EXIST) => {
                self.root.remove_at(dir, name)?;
                create()
            }
            made => made,
        }
    }

    fn make(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        create: impl Fn() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.create(dir, name, create)?;
        self.root.settle_new(dir, name, None, &Wanted::of(entry))?;
        Ok(())
    }

    fn make_directory(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), Errno> {
        let wanted = Wanted::of(entry);
        let mode = Mode::from_raw_mode(self.root.disk_mode(&wanted, FileType::Directory, true));
        match rustix::fs::mkdirat(dir, name, mode) {
            Err(Errno::EXIST) => {}
            made => {
                made?;
                return self.root.settle_new(dir, name, None, &wanted).map(drop);
            }
        }
        if Stat::read(dir, name)?.is_dir() {
            // As a new one: the layer's attributes take the place of those below.
            self.root.clear_xattrs(dir, name, &entry.xattrs)?;
        } else {
            self.root.remove_at(dir, name)?;
            rustix::fs::mkdirat(dir, name, mode)?;
        }
        self.root.settle_new(dir, name, None, &wanted).map(drop)
    }

    fn write_file(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<u64, Error> {
        let error = |action, errno| Error::access(action, &entry.path, errno);
        let wanted = Wanted::of(entry);
        let mode = Mode::from_raw_mode(self.root.disk_mode(&wanted, FileType::File, true));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let created = self.create(dir, name, || rustix::fs::openat(dir, name, flags, mode));
        let mut file = File::from(created.map_err(|e| error("make the file", e))?);
        self.buffer.resize(BUFFER_SIZE, 0);
        let path = || entry.path.clone();
        let copied = content::copy(content, &mut file, &mut self.buffer).map_err(|e| match e {
            CopyError::Read(source) => Error::Content {
                path: path(),
                source,
            },
            CopyError::Write(source) => Error::Access {
                action: "write",
                path: path(),
                source,
            },
        });
        let (size, hash) = copied?;
        let disk = self.root.settle_new(dir, name, Some(file.as_fd()), &wanted);
        let disk = disk.map_err(|e| error("set the attributes of", e))?;
        let is_bare = entry.xattrs.is_empty();
        self.root.content().insert(&disk, hash, is_bare);
        Ok(size)
    }

    fn make_hard_link(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &LayerPath,
        target: &LayerPath,
    ) -> Result<(), Error> {
        let missing = || Error::MissingLinkTarget {
            path: path.clone(),
            target: target.clone(),
        };
        let found = self.root.parent_of(target).and_then(|(dir, name)| {
            let disk = Stat::read(dir.as_fd(), name)?;
            Ok((dir, name, disk))
        });
        let (target_dir, target_name, before) = match found {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            Err(errno) => return Err(Error::access("look at", target, errno)),
        };
        let same = |there: Stat| (there.device, there.inode) == (before.device, before.inode);
        if Stat::read(dir, name).is_ok_and(same) {
            return Ok(());
        }
        let linked = self.create(dir, name, || {
            rustix::fs::linkat(&target_dir, target_name, dir, name, AtFlags::empty())
        });
        match linked {
            Ok(()) => {}
            // The target was inside the directory that the link replaces.
            Err(Errno::NOENT) => return Err(missing()),
            Err(errno) => return Err(Error::access("make the hard link", path, errno)),
        }
        let after = Stat::read(dir, name).map_err(|e| Error::access("look at", path, e))?;
        self.root.content().follow(&before, &after);
        Ok(())
    }
}

/// Makes a device node or fifo. What cannot be made, or would mean "deleted" to overlayfs, becomes an empty file that the metadata
/// table knows better.
fn make_node(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<(), Errno> {
    let (kind, major, minor) = match entry.kind {
        Kind::CharDevice { major, minor } => (rustix::fs::FileType::CharacterDevice, major, minor),
        Kind::BlockDevice { major, minor } => (rustix::fs::FileType::BlockDevice, major, minor),
        _ => (rustix::fs::FileType::Fifo, 0, 0),
    };
    let mode = Mode::from_raw_mode(entry.mode & 0o777);
    let is_overlay_whiteout = matches!(entry.kind, Kind::CharDevice { major: 0, minor: 0 });
    if !is_overlay_whiteout {
        let device = rustix::fs::makedev(major, minor);
        match rustix::fs::mknodat(dir, name, kind, mode, device) {
            Err(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP) => {}
            made => return made,
        }
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, mode | Mode::RUSR | Mode::WUSR).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io;

    use expect_test::expect;

    use super::*;
    use crate::rootfs::testing::{Scratch, dir, entry, file, hard_link, symlink};

    #[test]
    fn every_kind_of_entry() {
        let t = Scratch::new();
        let mut owned = file("usr/bin/su", 0o4755, 2);
        (owned.uid, owned.gid) = (3, 4);
        owned.xattrs.insert(b"user.note".to_vec(), b"x".to_vec());
        t.put(&owned, "su");
        t.put(&hard_link("bin2", "usr/bin/su"), "");
        t.put(&symlink("bin", "usr/bin"), "");
        t.put(&dir("tmp", 0o1777), "");
        t.put(&entry("fifo", Kind::Fifo, 0o622), "");
        let zero = Kind::CharDevice { major: 0, minor: 0 };
        t.put(&entry("zero", zero, 0o600), "");
        t.put(&file("bin/true", 0o444, 1), "t");
        expect![[r#"
            l - 0:0 /bin -> usr/bin
            f 4755 3:4 /bin2 2 links=2 user.note=x
            p 0622 0:0 /fifo
            d 1777 0:0 /tmp
            d 0755 0:0 /usr
            d 0755 0:0 /usr/bin
            f 4755 3:4 /usr/bin/su 2 links=2 user.note=x
            f 0444 0:0 /usr/bin/true 1
            c 0600 0:0 /zero 0,0
        "#]]
        .assert_eq(&t.listing());
    }

    #[test]
    fn what_replaces_what() {
        let t = Scratch::new();
        let mut labelled = dir("kept", 0o700);
        labelled.xattrs.insert(b"user.old".to_vec(), b"1".to_vec());
        t.put(&labelled, "");
        t.put(&file("kept/in", 0o644, 0), "");
        t.put(&dir("kept", 0o755), "");
        t.put(&file("gone/in", 0o644, 0), "");
        t.put(&file("gone", 0o644, 1), "g");
        t.put(&file("was-file", 0o644, 1), "w");
        t.put(&dir("was-file", 0o755), "");
        t.put(&symlink("was-link", "kept"), "");
        t.put(&dir("was-link", 0o755), "");
        t.put(&file("a", 0o644, 1), "a");
        t.put(&hard_link("b", "a"), "");
        t.put(&file("a", 0o600, 2), "aa");
        t.put(&hard_link("b", "b"), "");
        expect![[r#"
            f 0600 0:0 /a 2
            f 0644 0:0 /b 1
            f 0644 0:0 /gone 1
            d 0755 0:0 /kept
            f 0644 0:0 /kept/in 0
            d 0755 0:0 /was-file
            d 0755 0:0 /was-link
        "#]]
        .assert_eq(&t.listing());
    }

    #[test]
    fn directories_get_their_times_last() {
        let t = Scratch::new();
        let mut batch = t.root.batch();
        let mut fine = dir("d", 0o755);
        fine.mtime.nanoseconds = 123_456_789;
        batch.put(&fine, &mut io::empty()).unwrap();
        batch.put(&file("d/f", 0o644, 0), &mut io::empty()).unwrap();
        batch.finish().unwrap();
        let stat = t.root.stat(&fine.path).unwrap().unwrap();
        assert_eq!(stat.mtime, fine.mtime);
    }

    #[test]
    fn times_do_not_go_through_a_link_that_came_later() {
        let t = Scratch::new();
        let mut batch = t.root.batch();
        for entry in [dir("b/d", 0o755), dir("a/d", 0o755), symlink("a", "b")] {
            let mut entry = entry;
            entry.mtime.seconds += i64::from(entry.path == LayerPath::clean("a/d"));
            batch.put(&entry, &mut io::empty()).unwrap();
        }
        batch.finish().unwrap();
        let stat = t.root.stat(&LayerPath::clean("b/d")).unwrap().unwrap();
        assert_eq!(stat.mtime.seconds, 1_000_000_000);
    }

    #[test]
    fn nothing_leaves_the_root() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // link    target         entry
            ("l",      "/",           "l/escaped"),
            ("l",      "../../..",    "l/escaped"),
            ("l",      "..",          "l/escaped"),
            ("d/l",    "../../..",    "d/l/escaped"),
            ("l",      "missing",     "l/escaped"),
        ];
        for (link, target, path) in cases {
            let t = Scratch::new();
            t.put(&symlink(link, target), "");
            t.put(&file(path, 0o644, 0), "");
            let listing = t.listing();
            assert!(listing.contains("escaped"), "{link} -> {target}: {listing}");
            assert!(!t.outside().join("escaped").exists());
        }
    }

    #[test]
    fn errors() {
        let t = Scratch::new();
        t.put(&file("f", 0o644, 0), "");
        t.put(&symlink("loop", "loop"), "");
        t.put(&symlink("out", "/etc/passwd"), "");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (file("f/x", 0o644, 0),           "`/f` is not a directory"),
            (file("loop/x", 0o644, 0),        "cannot follow `/loop`: too many levels of symbolic links"),
            (hard_link("h", "nothing"),       "hard link `/h` names `/nothing`, which does not exist"),
            (hard_link("h", "out/passwd"),    "hard link `/h` names `/out/passwd`, which does not exist"),
            (file("", 0o644, 0),              "the root directory cannot be replaced by a file"),
            (file("short", 0o644, 3),         "the content of `/short` has 0 bytes instead of 3"),
            (hard_link("h", "loop/x"),        "cannot follow `/loop/x`: too many levels of symbolic links"),
        ];
        for (entry, want) in cases {
            let got = t.root.put(&entry, &mut io::empty()).unwrap_err();
            assert_eq!(got.to_string(), want);
        }
    }

    #[test]
    fn owners_on_disk_are_shifted() {
        if !crate::rootfs::testing::is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let t = Scratch::new();
        let shifted = Rootfs::open(t.root.path()).unwrap();
        let shifted = shifted.with_id_shift(crate::rootfs::IdShift { offset: 100 });
        let mut su = file("su", 0o4755, 0);
        (su.uid, su.gid) = (3, u32::MAX - 1);
        shifted.put(&su, &mut io::empty()).unwrap();
        shifted
            .put(&symlink("dir/link", "su"), &mut io::empty())
            .unwrap();
        let path = |text: &str| LayerPath::clean(text);
        shifted.chown(&path("dir"), 7, 8).unwrap();
        expect![[r#"
            d 0755 7:8 /dir
            l - 0:0 /dir/link -> su
            f 4755 3:4294967294 /su 0
        "#]]
        .assert_eq(&crate::rootfs::testing::listing(&shifted));
        let on_disk = |name: &str| t.root.stat(&path(name)).unwrap().unwrap();
        assert_eq!((on_disk("dir").uid, on_disk("dir").gid), (107, 108));
        assert_eq!(on_disk("dir/link").uid, 100);
        // An owner for whom there is no room is remembered, and nobody else may become it.
        assert_eq!(on_disk("su").mode, 0o755);
    }
}
