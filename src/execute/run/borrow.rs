//! Mounts of what a command is lent, in namespaces.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::mount::{MountAttrFlags, MountFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use super::failure::{Context, Failure};
use super::lent::{Lent, What};
use super::namespaces::{TARGETS, attach, clone_tree, new_filesystem, proc_path, stop_propagation};
use super::stubs::Stubs;
use super::syscalls;

/// Something lent whose tree is at hand, whatever this process may reach by now.
pub struct Borrowed<'a> {
    pub lent: &'a Lent,
    /// Not in any namespace yet; absent for what is made anew.
    tree: Option<OwnedFd>,
    /// It lies in another mount, so that its place cannot be made ready from outside.
    pub is_nested: bool,
}

impl Borrowed<'_> {
    /// Mounts it in `root`, in which `place` opens paths.
    pub fn mount(
        &self,
        root: BorrowedFd<'_>,
        place: &dyn Fn(&str) -> Result<OwnedFd, Failure>,
        nested: &mut Nested,
    ) -> Result<(), Failure> {
        let Lent { target, what, .. } = self.lent;
        let stubs = &mut nested.stubs;
        stubs
            .ensure(root, target, self.lent.kind())
            .to(&format!("create the mount point `{target}`"))?;
        let place = place(target)?;
        let new;
        let mount = match (&self.tree, what) {
            (Some(tree), _) => tree,
            (None, What::Tmpfs { size }) => {
                new = new_memory(*size)?;
                &new
            }
            (None, What::Directory(_) | What::File(_)) => return Ok(()),
        };
        attach(mount, place.as_fd(), "")?;
        if self.lent.readonly {
            freeze(mount).to(&format!("make `{target}` read-only"))?;
        }
        if self.is_nested {
            nested.mounts.push(mount.try_clone().to("keep a mount")?);
        }
        Ok(())
    }
}

/// What was put into mounts to hold other mounts.
#[derive(Default)]
pub struct Nested {
    stubs: Stubs,
    mounts: Vec<OwnedFd>,
}

impl Nested {
    pub fn remove(self) {
        for mount in self.mounts.iter().rev() {
            // What is still mounted keeps its place, which is in a mount and not in the image.
            let _busy = rustix::mount::unmount(proc_path(mount), UnmountFlags::DETACH);
        }
        self.stubs.remove();
    }
}

/// Takes hold of what is lent, in a mount namespace of its own if there is anything.
///
/// To be called before this process becomes the root of its user namespace, who may be kept out of the work directory.
pub fn borrow(lent: &[Lent]) -> Result<Vec<Borrowed<'_>>, Failure> {
    if lent.is_empty() {
        return Ok(Vec::new());
    }
    syscalls::unshare(UnshareFlags::NEWNS).to("unshare the mount namespace")?;
    stop_propagation()?;
    let mut borrowed = Vec::new();
    for (number, one) in lent.iter().enumerate() {
        let tree = match &one.what {
            What::Directory(path) | What::File(path) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let what = format!("open what is mounted at `{}`", one.target);
                let source = rustix::fs::open(path, flags, Mode::empty()).to(&what)?;
                Some(clone_tree(source, "")?)
            }
            What::Tmpfs { .. } => None,
        };
        let above = lent[..number].iter().map(|other| other.target.as_str());
        let mut above = above.chain(TARGETS.iter().map(|(path, _)| *path));
        borrowed.push(Borrowed {
            lent: one,
            tree,
            is_nested: above.any(|above| Path::new(&one.target).starts_with(above)),
        });
    }
    Ok(borrowed)
}

/// A tmpfs that a command asked for.
fn new_memory(size: Option<u64>) -> Result<OwnedFd, Failure> {
    let size = size.map(|size| size.to_string());
    let mut options = vec![("mode", "1777")];
    if let Some(size) = &size {
        options.push(("size", size));
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    new_filesystem("tmpfs", &options, attributes)
}

/// Makes a mount read-only and leaves it what else it is, which a user namespace may not change.
fn freeze(mount: &OwnedFd) -> rustix::io::Result<()> {
    #[rustfmt::skip] // a table keeps its columns
    let kept = [
        (StatVfsMountFlags::NOSUID,  MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV,   MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC,  MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
    ];
    let now = rustix::fs::fstatvfs(mount)?.f_flag;
    let kept = kept.into_iter().filter(|(flag, _)| now.contains(*flag));
    let flags = MountFlags::BIND | MountFlags::RDONLY;
    let flags = kept.fold(flags, |flags, (_, flag)| flags | flag);
    rustix::mount::mount_remount(proc_path(mount), flags, "")
}
