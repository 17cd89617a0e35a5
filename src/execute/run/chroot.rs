//! The last resort: a chroot into the private root, where nothing can be mounted and nothing be renamed.
//!
//! There is no `/proc` in it. Devices are made if that is permitted, and the resolver's files are copied in; both are
//! taken back afterwards.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Timespec, makedev};
use rustix::io::Errno;

use super::failure::{Context, Failure};
use super::job::Command;
use super::stubs::{Kind, Stubs, mtime, set_mtime, walk};

const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// What was put into a private root for one RUN; dropping it takes everything out again.
#[derive(Default)]
pub struct Furniture {
    placed: Vec<Placed>,
    stubs: Stubs,
    /// Why there are no devices, if so.
    pub without_devices: Option<Errno>,
}

struct Placed {
    parent: OwnedFd,
    name: CString,
    /// What the image has there, under the name it got meanwhile.
    original: Option<CString>,
    parent_before: Timespec,
    parent_after: Timespec,
}

impl Furniture {
    /// Puts devices, the resolver's files and the command's script into `root`.
    pub fn place(root: BorrowedFd<'_>, command: &Command) -> Result<Self, Failure> {
        let mut furniture = Self::default();
        for path in ["/etc/resolv.conf", "/etc/hosts"] {
            if let Ok(content) = fs_err::read(path) {
                furniture
                    .place_file(root, path, &content, 0o644)
                    .to(&format!("place `{path}`"))?;
            }
        }
        furniture
            .stubs
            .ensure(root, "/dev", Kind::Directory)
            .to("create `/dev`")?;
        for (name, major, minor) in DEVICES {
            if let Err(error) = furniture.place_device(root, name, major, minor) {
                furniture.without_devices = Errno::from_io_error(&error);
                break;
            }
        }
        if furniture.without_devices.is_some() {
            // Too many commands write to it; a file that is taken away afterwards will do for that.
            furniture
                .place_file(root, "/dev/null", b"", 0o666)
                .to("place `/dev/null`")?;
        }
        furniture.script(root, command)?;
        Ok(furniture)
    }

    /// Puts the command's script, if it has one, into a root that lacks nothing else.
    pub fn place_script(root: BorrowedFd<'_>, command: &Command) -> Result<Self, Failure> {
        let mut furniture = Self::default();
        furniture.script(root, command)?;
        Ok(furniture)
    }

    fn script(&mut self, root: BorrowedFd<'_>, command: &Command) -> Result<(), Failure> {
        match &command.script {
            Some((name, text)) => {
                let path = format!("/dev/pipes/{name}");
                self.place_file(root, &path, text, 0o755)
                    .to("place the script")
            }
            None => Ok(()),
        }
    }

    fn place_file(
        &mut self,
        root: BorrowedFd<'_>,
        path: &str,
        content: &[u8],
        mode: u32,
    ) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').expect("the path is absolute");
        self.stubs.ensure(root, parent, Kind::Directory)?;
        let parent = walk(root, parent, &mut |_, _, _| Err(Errno::NOENT.into()))?;
        let name = CString::new(name)?;
        let parent_before = mtime(&rustix::fs::fstat(&parent)?);
        let aside = CString::new(format!(".{}.of-the-image", name.to_string_lossy()))?;
        let keep = RenameFlags::NOREPLACE;
        let original = match rustix::fs::renameat_with(&parent, &name, &parent, &aside, keep) {
            Ok(()) => Some(aside),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        self.placed.push(Placed {
            parent: parent.try_clone()?,
            name: name.clone(),
            original,
            parent_before,
            parent_after: parent_before,
        });
        let mode = Mode::from_raw_mode(mode);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, &name, flags, mode)?;
        rustix::fs::fchmod(&file, mode)?;
        std::fs::File::from(file).write_all(content)?;
        if let Some(placed) = self.placed.last_mut() {
            placed.parent_after = mtime(&rustix::fs::fstat(&parent)?);
        }
        Ok(())
    }

    fn place_device(
        &mut self,
        root: BorrowedFd<'_>,
        name: &str,
        major: u32,
        minor: u32,
    ) -> io::Result<()> {
        let parent = walk(root, "/dev", &mut |_, _, _| Err(Errno::NOENT.into()))?;
        let name = CString::new(name)?;
        let parent_before = mtime(&rustix::fs::fstat(&parent)?);
        let mode = Mode::from_raw_mode(0o666);
        match rustix::fs::mknodat(
            &parent,
            &name,
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        ) {
            Err(Errno::EXIST) => return Ok(()),
            made => made?,
        }
        self.placed.push(Placed {
            parent: parent.try_clone()?,
            name: name.clone(),
            original: None,
            parent_before,
            parent_after: mtime(&rustix::fs::fstat(&parent)?),
        });
        rustix::fs::chmodat(&parent, &name, mode, AtFlags::empty())?;
        // On a file system mounted `nodev` the node can be made but not opened.
        let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, &name, flags, Mode::empty()) {
            // There is no terminal, but a device.
            Ok(_) | Err(Errno::NXIO) => Ok(()),
            Err(error) => {
                rustix::fs::unlinkat(&parent, &name, AtFlags::empty())?;
                self.placed.pop();
                Err(error.into())
            }
        }
    }
}

impl Drop for Furniture {
    fn drop(&mut self) {
        for placed in std::mem::take(&mut self.placed).into_iter().rev() {
            // What the command removed or replaced by a directory is not ours to take back.
            let _changed_by_the_command = placed.take_back();
        }
        std::mem::take(&mut self.stubs).remove();
    }
}

impl Placed {
    fn take_back(self) -> io::Result<()> {
        let parent = mtime(&rustix::fs::fstat(&self.parent)?);
        let removed = rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::empty());
        if let Some(original) = &self.original {
            rustix::fs::renameat(&self.parent, original, &self.parent, &self.name)?;
        }
        let restored = if parent == self.parent_after {
            self.parent_before
        } else {
            parent
        };
        set_mtime(self.parent.as_fd(), restored)?;
        Ok(removed?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command {
            program: String::new(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: "/".into(),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            script: Some(("EOF".into(), b"#!/bin/sh\n".to_vec())),
        }
    }

    #[test]
    fn what_is_placed_is_taken_back() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs_err::create_dir(root.join("etc")).unwrap();
        fs_err::write(root.join("etc/hosts"), "of the image").unwrap();
        fs_err::write(root.join("etc/resolv.conf"), "of the image too").unwrap();
        let fd = rustix::fs::open(root, OFlags::PATH, Mode::empty()).unwrap();
        let etc = || mtime(&rustix::fs::stat(root.join("etc")).unwrap());
        let before = etc();

        let furniture = Furniture::place(fd.as_fd(), &command()).unwrap();
        let hosts = fs_err::read(root.join("etc/hosts")).unwrap();
        assert_eq!(
            hosts,
            fs_err::read("/etc/hosts").unwrap_or(b"of the image".to_vec())
        );
        assert!(root.join("dev/pipes/EOF").is_file());

        drop(furniture);
        assert_eq!(
            fs_err::read(root.join("etc/hosts")).unwrap(),
            b"of the image"
        );
        assert_eq!(
            fs_err::read(root.join("etc/resolv.conf")).unwrap(),
            b"of the image too"
        );
        assert!(!root.join("dev").exists());
        assert_eq!(etc(), before);
    }
}
