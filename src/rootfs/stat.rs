//! What a file looks like.

use rustix::fs::{AtFlags, Statx, StatxFlags};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

use crate::layer::Kind;
use crate::layer::entry::Time;

/// The type of a file, sockets included, which no layer can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileType {
    File,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

/// What the kernel says about a file, corrected by what the image should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub kind: FileType,
    /// The low twelve bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime: Time,
    /// Nanoseconds since 1970.
    pub ctime: i64,
    pub inode: u64,
    pub device: u64,
    /// Major and minor number of a device node.
    pub rdev: (u32, u32),
    pub links: u32,
    /// When the inode came into being, in nanoseconds since 1970; 0 where the file system does not say.
    pub(super) birth: i64,
}

impl Stat {
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub fn is_file(&self) -> bool {
        self.kind == FileType::File
    }

    pub fn is_symlink(&self) -> bool {
        self.kind == FileType::Symlink
    }

    /// Asks for `name` in `dir`, not following it; an empty name asks for `dir` itself. The answer is the disk's.
    pub(super) fn read(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
        let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(Self::from_statx(&rustix::fs::statx(
            dir, name, flags, mask,
        )?))
    }

    fn from_statx(s: &Statx) -> Self {
        let has_birth = StatxFlags::from_bits_retain(s.stx_mask).contains(StatxFlags::BTIME);
        Self {
            kind: FileType::from_raw_mode(s.stx_mode.into()),
            mode: u32::from(s.stx_mode) & 0o7777,
            uid: s.stx_uid,
            gid: s.stx_gid,
            size: s.stx_size,
            mtime: Time {
                seconds: s.stx_mtime.tv_sec,
                nanoseconds: s.stx_mtime.tv_nsec,
            },
            ctime: nanoseconds(s.stx_ctime.tv_sec, s.stx_ctime.tv_nsec),
            inode: s.stx_ino,
            device: u64::from(s.stx_dev_major) << 32 | u64::from(s.stx_dev_minor),
            rdev: (s.stx_rdev_major, s.stx_rdev_minor),
            links: s.stx_nlink,
            birth: match has_birth {
                true => nanoseconds(s.stx_btime.tv_sec, s.stx_btime.tv_nsec),
                false => 0,
            },
        }
    }
}

/// Joins seconds and nanoseconds; times beyond the year 2262 stay at the end.
fn nanoseconds(seconds: i64, nanoseconds: u32) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds.into())
}

impl FileType {
    fn from_raw_mode(mode: u32) -> Self {
        match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::Directory => Self::Directory,
            rustix::fs::FileType::Symlink => Self::Symlink,
            rustix::fs::FileType::CharacterDevice => Self::CharDevice,
            rustix::fs::FileType::BlockDevice => Self::BlockDevice,
            rustix::fs::FileType::Fifo => Self::Fifo,
            rustix::fs::FileType::Socket => Self::Socket,
            _ => Self::File,
        }
    }

    /// Returns the type of what `kind` makes; a hard link's is that of its target, mostly a file.
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::File { .. } | Kind::HardLink { .. } => Self::File,
            Kind::Directory => Self::Directory,
            Kind::Symlink { .. } => Self::Symlink,
            Kind::CharDevice { .. } => Self::CharDevice,
            Kind::BlockDevice { .. } => Self::BlockDevice,
            Kind::Fifo => Self::Fifo,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
        }
    }
}
