//! Walking a tree in the order of a layer, and listing directories.

use std::collections::BTreeMap;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::{Error, Rootfs, Stat};
use crate::layer::LayerPath;

/// Directories that are held open at a time; the way back to those further up is `..`.
const MAX_OPEN: usize = 128;

/// Visits everything below a directory, directories before their content, names in byte order: the order of [`LayerPath`].
///
/// What disappears during the walk is passed over. Depth is limited by memory only.
pub struct Walk<'r> {
    root: &'r Rootfs,
    descent: Descent,
    levels: Vec<Level>,
    path: Vec<u8>,
    /// The directory yielded last, entered at the next step unless skipped; one that cannot be opened is an error only then.
    pending: Option<Result<OwnedFd, Errno>>,
    entered: bool,
    /// What the disk says about the file yielded last, and where its name starts in `path`.
    last: Option<(Stat, usize)>,
}

struct Level {
    names: Names,
    next: usize,
    /// Length of the directory's own path.
    path_len: usize,
}

/// One step of a [`Walk`].
#[derive(Debug, Clone, Copy)]
pub struct Found<'w> {
    /// Relative to the root, not to where the walk began.
    pub path: &'w [u8],
    pub name: &'w [u8],
    /// 0 for what stands directly in the directory where the walk began.
    pub depth: usize,
    pub stat: Stat,
}

impl Found<'_> {
    pub fn layer_path(&self) -> LayerPath {
        LayerPath::clean(self.path)
    }
}

impl Rootfs {
    /// Starts a walk below the directory `base`, which is not yielded itself.
    pub fn walk(&self, base: &LayerPath) -> Result<Walk<'_>, Error> {
        let base = self.resolve(base.as_bytes())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.open_at(&base, flags);
        Ok(Walk {
            root: self,
            descent: Descent::default(),
            levels: Vec::new(),
            path: base.as_bytes().to_vec(),
            pending: Some(Ok(
                fd.map_err(|e| Error::access("read the directory", &base, e))?
            )),
            entered: false,
            last: None,
        })
    }
}

impl Walk<'_> {
    /// Leaves out what is below the directory that was found last.
    pub fn skip(&mut self) {
        // The start itself was never yielded.
        if self.entered {
            self.pending = None;
        }
    }

    /// Returns the next file, or `None` at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it yields borrows from the walk"
    )]
    pub fn next(&mut self) -> Result<Option<Found<'_>>, Error> {
        if let Some(opened) = self.pending.take() {
            self.enter(opened.map_err(|e| self.error("read the directory", e))?)?;
        }
        loop {
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            self.path.truncate(level.path_len);
            let Some(name) = level.names.get(level.next) else {
                self.levels.pop();
                self.leave()?;
                continue;
            };
            level.next += 1;
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            let start = self.path.len();
            self.path.extend_from_slice(name);
            let dir = self.descent.top().expect("a level has its directory");
            let disk = match Stat::read(dir, name) {
                Ok(disk) => disk,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(self.error("look at", errno)),
            };
            if disk.is_dir() {
                match self.root.open_disk(dir, name, &disk, OFlags::DIRECTORY) {
                    Err(Errno::NOENT) => continue,
                    opened => self.pending = Some(opened),
                }
            }
            self.last = Some((disk, start));
            return Ok(Some(Found {
                path: &self.path,
                name: &self.path[start..],
                depth: self.levels.len() - 1,
                stat: self.root.corrected(disk),
            }));
        }
    }

    /// Returns the path of the file that was found last.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Returns the extended attributes of the file that was found last.
    pub fn xattrs(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        self.at_last("read the attributes of", |dir, name, disk| {
            match &self.pending {
                Some(Ok(fd)) => self.root.xattrs_of(fd.as_fd(), disk),
                Some(Err(errno)) => Err(*errno),
                None => self.root.xattrs_at(dir, name, disk),
            }
        })
    }

    /// Opens the regular file that was found last.
    pub fn open_file(&self) -> Result<File, Error> {
        self.at_last("open", |dir, name, disk| {
            let opened = self.root.open_disk(dir, name, disk, OFlags::NONBLOCK)?;
            Ok(File::from(opened))
        })
    }

    /// Returns what the symlink says that was found last.
    pub fn read_link(&self) -> Result<Vec<u8>, Error> {
        self.at_last("read the link", |dir, name, _| {
            let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
            Ok(target.into_bytes())
        })
    }

    fn at_last<T>(
        &self,
        action: &'static str,
        look: impl Fn(BorrowedFd<'_>, &[u8], &Stat) -> Result<T, Errno>,
    ) -> Result<T, Error> {
        let looked = match (&self.last, self.descent.top()) {
            (Some((disk, start)), Some(dir)) => look(dir, &self.path[*start..], disk),
            _ => Err(Errno::NOENT),
        };
        looked.map_err(|e| self.error(action, e))
    }

    fn enter(&mut self, fd: OwnedFd) -> Result<(), Error> {
        self.entered = true;
        let names = Names::read(fd.as_fd());
        let mut names = names.map_err(|e| self.error("read the directory", e))?;
        names.sort();
        self.levels.push(Level {
            names,
            next: 0,
            path_len: self.path.len(),
        });
        self.descent.push(fd).map_err(|e| self.error("look at", e))
    }

    fn leave(&mut self) -> Result<(), Error> {
        match self.descent.pop() {
            Ok(()) => Ok(()),
            Err(Errno::STALE) => Err(Error::Moved {
                path: LayerPath::clean(&self.path),
            }),
            Err(errno) => Err(self.error("look at", errno)),
        }
    }

    fn error(&self, action: &'static str, errno: Errno) -> Error {
        Error::access(action, &LayerPath::clean(&self.path), errno)
    }
}

/// The directories from a start down to the current one, only the innermost of which are held open.
#[derive(Default)]
pub(crate) struct Descent(Vec<Dir>);

struct Dir {
    fd: Option<OwnedFd>,
    inode: (u64, u64),
}

impl Descent {
    /// Returns the current directory.
    pub fn top(&self) -> Option<BorrowedFd<'_>> {
        self.0.last()?.fd.as_ref().map(AsFd::as_fd)
    }

    /// Goes down into a directory of the current one.
    pub fn push(&mut self, fd: OwnedFd) -> Result<(), Errno> {
        let inode = inode(fd.as_fd())?;
        if let Some(far) = self.0.len().checked_sub(MAX_OPEN) {
            // The first stays open: there is no trusted way back above it.
            if far > 0 {
                self.0[far].fd = None;
            }
        }
        self.0.push(Dir {
            fd: Some(fd),
            inode,
        });
        Ok(())
    }

    /// Closes all handles but the first and the last, to have some for others; tells whether there were any.
    pub fn close_some(&mut self) -> bool {
        let last = self.0.len().saturating_sub(1);
        let between = self.0.get_mut(1..last).unwrap_or_default();
        let closed = between.iter_mut().filter_map(|dir| dir.fd.take());
        closed.count() > 0
    }

    /// Goes back up, from where it leads to a handle that need not be good for listing. `ESTALE` if the directory was moved meanwhile and `..` leads elsewhere.
    pub fn pop(&mut self) -> Result<(), Errno> {
        let Some(Dir { fd: Some(left), .. }) = self.0.pop() else {
            return Ok(());
        };
        if let Some(Dir {
            fd: fd @ None,
            inode: expected,
        }) = self.0.last_mut()
        {
            // who may pass through it need not be allowed to list it
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let above = rustix::fs::openat(&left, c"..", flags, Mode::empty())?;
            if inode(above.as_fd())? != *expected {
                return Err(Errno::STALE);
            }
            *fd = Some(above);
        }
        Ok(())
    }
}

fn inode(dir: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    Stat::read(dir, b"").map(|stat| (stat.device, stat.inode))
}

/// The names in one directory, without `.` and `..`, one after the other in one buffer.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    ranges: Vec<(u32, u16)>,
}

impl Names {
    pub fn read(dir: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut entries = RawDir::new(dir, &mut buffer);
        let mut names = Self::default();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let start = u32::try_from(names.bytes.len()).map_err(|_| Errno::OVERFLOW)?;
            let length = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
            names.ranges.push((start, length));
            names.bytes.extend_from_slice(name);
        }
        Ok(names)
    }

    pub fn sort(&mut self) {
        let bytes = &self.bytes;
        self.ranges
            .sort_unstable_by_key(|range| slice(bytes, *range));
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let range = self.ranges.get(index)?;
        Some(slice(&self.bytes, *range))
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|range| slice(&self.bytes, *range))
    }
}

fn slice(bytes: &[u8], (start, length): (u32, u16)) -> &[u8] {
    &bytes[start as usize..start as usize + usize::from(length)]
}
