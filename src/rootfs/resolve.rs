//! Following paths without leaving the root.
//!
//! `openat2(RESOLVE_IN_ROOT)` does it in the kernel. Where that call is missing or forbidden (old kernels, seccomp profiles, gVisor),
//! and wherever the resolved *name* is wanted, an own walk opens one component at a time and never lets the kernel follow a link.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::walk::Descent;
use super::{Error, Rootfs};
use crate::layer::LayerPath;

/// As many links as the kernel follows on the way to one file.
pub(crate) const MAX_SYMLINKS: usize = 40;

impl Rootfs {
    /// Returns the path without symlinks that `path` leads to, the last component followed too.
    ///
    /// Absolute targets start again at the root and `..` stops there. What does not exist is kept as it is written, so a path
    /// that shall be made can be resolved as well.
    ///
    /// # Errors
    /// [`Error::NotADirectory`] if the path goes through a file, [`Error::TooManySymlinks`] if it turns in a circle.
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Result<LayerPath, Error> {
        self.follow(path.as_ref(), Last::Followed)
    }

    /// Like [`resolve`](Self::resolve), but a symlink in the last place is not followed.
    pub fn resolve_parent(&self, path: impl AsRef<[u8]>) -> Result<LayerPath, Error> {
        self.follow(path.as_ref(), Last::Kept)
    }

    fn follow(&self, path: &[u8], last: Last) -> Result<LayerPath, Error> {
        if let Some(path) = self.as_it_stands(path, last) {
            return Ok(path);
        }
        let walk = Walk::run(self.dir_fd(), path, last, Missing::Kept);
        let walk = walk.map_err(|e| Error::access("follow", &LayerPath::clean(path), e))?;
        Ok(walk.path())
    }

    /// Returns the path itself if it is there and leads through no symlink, which the kernel finds out in one call.
    fn as_it_stands(&self, path: &[u8], last: Last) -> Option<LayerPath> {
        let clean = LayerPath::clean(path);
        let flags = match last {
            Last::Kept => OFlags::PATH | OFlags::NOFOLLOW,
            Last::Followed | Last::Refused => OFlags::PATH,
        };
        let is_clean = clean.as_bytes() == path.strip_prefix(b"/").unwrap_or(path);
        let is_real = || {
            self.open_with(&clean, flags, ResolveFlags::NO_SYMLINKS)
                .is_ok()
        };
        (self.has_openat2() && is_clean && is_real()).then_some(clean)
    }

    /// Opens `path`, following symlinks inside the root; with `O_NOFOLLOW` all but the last.
    pub(super) fn open_at(&self, path: &LayerPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_with(path, flags, ResolveFlags::empty())
    }

    /// Opens the directory that holds `path`, for use with the name that is returned with it; for the root, the root and `.`.
    pub(super) fn parent_of<'p>(&self, path: &'p LayerPath) -> Result<(OwnedFd, &'p [u8]), Errno> {
        let parent = path.parent().unwrap_or_default();
        let dir = self.open_at(&parent, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok((dir, path.file_name().unwrap_or(b".")))
    }

    /// Opens the directory `path`, which must not lead through a symlink: `ELOOP` or `ENOTDIR` if it does.
    pub(super) fn open_real_dir(&self, path: &LayerPath) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        self.open_with(path, flags, ResolveFlags::NO_SYMLINKS)
    }

    fn open_with(
        &self,
        path: &LayerPath,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        while self.has_openat2() {
            match rustix::fs::openat2(&self.root, path.as_path(), flags, Mode::empty(), resolve) {
                // A rename elsewhere in the system happened during the look-up.
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS) => self.openat2.store(false, Ordering::Relaxed),
                // Also what a sandbox answers.
                Err(Errno::PERM) => break,
                Err(Errno::NAMETOOLONG) => match self.open_in_parts(path, flags) {
                    Err(Errno::LOOP) if !resolve.contains(ResolveFlags::NO_SYMLINKS) => break,
                    answer => return answer,
                },
                answer => return answer,
            }
        }
        let symlinks = match resolve.contains(ResolveFlags::NO_SYMLINKS) {
            true => Last::Refused,
            false if flags.contains(OFlags::NOFOLLOW) => Last::Kept,
            false => Last::Followed,
        };
        let walk = Walk::run(self.dir_fd(), path.as_bytes(), symlinks, Missing::Refused)?;
        walk.reopen(flags)
    }
}

impl Rootfs {
    /// Opens a path that is longer than one call takes: `ELOOP` if it leads through a symlink.
    fn open_in_parts(&self, path: &LayerPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let mut dir: Option<OwnedFd> = None;
        let mut rest = path.as_bytes();
        loop {
            let end = match rest.len() > PART {
                true => rest[..PART].iter().rposition(|byte| *byte == b'/'),
                false => None,
            };
            let (part, flags) = match end {
                Some(end) => (
                    &rest[..end],
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                ),
                None => (rest, flags),
            };
            let from = dir.as_ref().map_or(self.dir_fd(), AsFd::as_fd);
            let opened = rustix::fs::openat2(from, part, flags, Mode::empty(), resolve)?;
            match end {
                Some(end) => rest = &rest[end + 1..],
                None => return Ok(opened),
            }
            dir = Some(opened);
        }
    }
}

/// Bytes of a path that one call takes for certain.
const PART: usize = 4000;

/// What becomes of symlinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// All are followed.
    Followed,
    /// All but the last component are followed.
    Kept,
    /// `ELOOP`.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Kept,
    Refused,
}

/// A position below a root and how it was reached.
struct Walk<'r> {
    root: BorrowedFd<'r>,
    /// The directories that were passed through; few of them are held open, however deep it goes.
    passed: Descent,
    /// What was found in the innermost of them; `None` where the walk came back to that directory itself.
    found: Option<Found>,
    /// Of all that is passed and what was found, none of which is a followed symlink.
    names: Vec<Vec<u8>>,
    missing: Vec<Vec<u8>>,
}

struct Found {
    fd: OwnedFd,
    kind: FileType,
}

impl<'r> Walk<'r> {
    fn run(root: BorrowedFd<'r>, path: &[u8], last: Last, missing: Missing) -> Result<Self, Errno> {
        let mut walk = Self {
            root,
            passed: Descent::default(),
            found: None,
            names: Vec::new(),
            missing: Vec::new(),
        };
        let mut links = 0;
        let mut pending = Vec::new();
        push_components(&mut pending, path);
        while let Some(name) = pending.pop() {
            if !walk.missing.is_empty() {
                match &name[..] {
                    b"." => {}
                    b".." => drop(walk.missing.pop()),
                    _ => walk.missing.push(name),
                }
                continue;
            }
            if (walk.found.as_ref()).is_some_and(|found| found.kind != FileType::Directory) {
                return Err(Errno::NOTDIR);
            }
            match &name[..] {
                b"." => continue,
                b".." => {
                    walk.back()?;
                    continue;
                }
                _ => {}
            }
            walk.pass()?;
            let fd = match walk.open(&name) {
                Ok(fd) => fd,
                Err(Errno::NOENT) if missing == Missing::Kept => {
                    walk.missing.push(name);
                    continue;
                }
                Err(errno) => return Err(errno),
            };
            let stat = rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
            let kind = FileType::from_raw_mode(stat.stx_mode.into());
            let follows = match last {
                Last::Refused if kind == FileType::Symlink => return Err(Errno::LOOP),
                Last::Kept => !pending.is_empty(),
                _ => true,
            };
            if kind == FileType::Symlink && follows {
                links += 1;
                if links > MAX_SYMLINKS {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(&fd, c"", Vec::new())?.into_bytes();
                if target.starts_with(b"/") {
                    walk.passed = Descent::default();
                    walk.names.clear();
                }
                push_components(&mut pending, &target);
            } else {
                walk.found = Some(Found { fd, kind });
                walk.names.push(name);
            }
        }
        Ok(walk)
    }

    fn dir(&self) -> BorrowedFd<'_> {
        self.passed.top().unwrap_or(self.root)
    }

    /// Goes into the directory that was found.
    fn pass(&mut self) -> Result<(), Errno> {
        match self.found.take() {
            Some(found) => self.passed.push(found.fd),
            None => Ok(()),
        }
    }

    /// Goes back by one name; at the root, nowhere.
    fn back(&mut self) -> Result<(), Errno> {
        self.names.pop();
        match self.found.take() {
            Some(_) => Ok(()),
            None => self.passed.pop(),
        }
    }

    fn open(&mut self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat(self.dir(), name, flags, Mode::empty()) {
                Err(Errno::MFILE | Errno::NFILE) if self.passed.close_some() => {}
                opened => return opened,
            }
        }
    }

    fn path(&self) -> LayerPath {
        let names = self.names.iter().chain(&self.missing);
        let names: Vec<&[u8]> = names.map(Vec::as_slice).collect();
        LayerPath::clean(names.join(&b'/'))
    }

    /// Opens again what was found, with other flags.
    fn reopen(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        match (&self.found, self.names.last()) {
            // by its name: who may open it need not be allowed to pass through it
            (Some(_), Some(name)) => {
                let flags = flags | OFlags::NOFOLLOW;
                rustix::fs::openat(self.dir(), &name[..], flags, Mode::empty())
            }
            _ => rustix::fs::openat(self.dir(), c".", flags, Mode::empty()),
        }
    }
}

/// Puts the components of `path` on a stack, the first on top. A trailing slash counts as `.`: what stands before must be a directory.
fn push_components(stack: &mut Vec<Vec<u8>>, path: &[u8]) {
    if path.ends_with(b"/") {
        stack.push(b".".to_vec());
    }
    let names = path.split(|b| *b == b'/').filter(|name| !name.is_empty());
    stack.extend(names.rev().map(<[u8]>::to_vec));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rootfs::testing::{Scratch, dir, file, symlink};

    #[test]
    fn resolved_paths() {
        let t = Scratch::new();
        t.put(&dir("usr/bin", 0o755), "");
        t.put(&file("usr/bin/sh", 0o755, 0), "");
        t.put(&symlink("bin", "usr/bin"), "");
        t.put(&symlink("usr/up", "../../../bin"), "");
        t.put(&symlink("abs", "/usr"), "");
        t.put(&symlink("dangling", "/no/where"), "");
        t.put(&symlink("loop", "loop"), "");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // path                 followed                     last kept
            ("/",                   "/",                         "/"),
            ("bin",                 "/usr/bin",                  "/bin"),
            ("/bin/sh",             "/usr/bin/sh",               "/usr/bin/sh"),
            ("bin/..",              "/usr",                      "/usr"),
            ("../../bin",           "/usr/bin",                  "/bin"),
            ("usr/up/sh",           "/usr/bin/sh",               "/usr/bin/sh"),
            ("abs/up",              "/usr/bin",                  "/usr/up"),
            ("bin/new/a/../b",      "/usr/bin/new/b",            "/usr/bin/new/b"),
            ("dangling",            "/no/where",                 "/dangling"),
            ("dangling/x",          "/no/where/x",               "/no/where/x"),
            ("bin/sh/x",            "`/bin/sh/x` is not a directory", "`/bin/sh/x` is not a directory"),
            ("bin/sh/",             "`/bin/sh` is not a directory",   "`/bin/sh` is not a directory"),
            ("loop",                "cannot follow `/loop`: too many levels of symbolic links", "/loop"),
        ];
        let text = |result: Result<LayerPath, Error>| match result {
            Ok(path) => path.to_string(),
            Err(e) => e.to_string(),
        };
        for (path, followed, kept) in cases {
            assert_eq!(text(t.root.resolve(path)), followed, "{path}");
            assert_eq!(text(t.root.resolve_parent(path)), kept, "{path}");
        }
    }

    #[test]
    fn paths_longer_than_one_call_takes() {
        let t = Scratch::new();
        let long = "1234567890/".repeat(1000);
        t.put(&file(&format!("{long}f"), 0o644, 1), "x");
        t.put(&symlink("s", "1234567890"), "");
        let inode = |path: String, follows: bool| {
            let path = LayerPath::clean(path);
            let opened = match follows {
                true => t.root.open_at(&path, OFlags::PATH | OFlags::NOFOLLOW),
                false => t.root.open_with(
                    &path,
                    OFlags::PATH | OFlags::NOFOLLOW,
                    ResolveFlags::NO_SYMLINKS,
                ),
            };
            Ok(super::super::Stat::read(opened?.as_fd(), b"")?.inode)
        };
        let there = inode(format!("{long}f"), true);
        assert!(there.is_ok());
        assert_eq!(inode(format!("{long}f"), false), there);
        let through_link = format!("s/{}f", &long["1234567890/".len()..]);
        assert_eq!(inode(through_link.clone(), true), there);
        assert_eq!(inode(through_link, false), Err(Errno::LOOP));
        assert_eq!(inode(format!("{long}g"), true), Err(Errno::NOENT));
        t.root.remove(&LayerPath::clean("1234567890")).unwrap();
    }

    /// Runs itself with a limit, which belongs to a whole process.
    #[test]
    fn depth_takes_few_open_files() {
        const CHILD: &str = "EXECUTOR_TEST_OF_FEW_OPEN_FILES";
        if std::env::var_os(CHILD).is_none() {
            let name = "rootfs::resolve::tests::depth_takes_few_open_files";
            let script = format!("ulimit -n 40 && exec \"$0\" --exact {name}");
            let output = std::process::Command::new("/bin/sh")
                .args(["-c", &script])
                .arg(std::env::current_exe().unwrap())
                .env(CHILD, "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{text}");
            assert!(text.contains("1 passed"), "{text}");
            return;
        }
        let t = Scratch::new();
        t.root.openat2.store(false, Ordering::Relaxed);
        let deep = "d/".repeat(1500);
        t.put(&file(&format!("{deep}one"), 0o644, 0), "");
        t.put(&file("d/other", 0o644, 0), "");
        t.put(&file(&format!("{deep}two"), 0o644, 0), "");
        t.put(&symlink("link", "d/d"), "");
        let back = format!("link/{}{}", &deep[4..], "../".repeat(1498));
        assert_eq!(t.root.resolve(&back).unwrap().to_string(), "/d/d");
        let one = LayerPath::clean(format!("{deep}one"));
        assert_eq!(t.root.resolve(one.as_bytes()).unwrap(), one);
        assert!(t.root.open_real_dir(&one.parent().unwrap()).is_ok());
        t.root.remove(&LayerPath::clean("d")).unwrap();
    }

    /// A few names, so that paths meet.
    fn name() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("c")]
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"))
    }

    fn target() -> impl Strategy<Value = String> {
        let part = prop_oneof![3 => name(), 1 => Just(".."), 1 => Just("."), 1 => Just("")];
        prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn the_own_walk_finds_what_the_kernel_finds(
            dirs in prop::collection::vec(path(), 0..4),
            links in prop::collection::vec((path(), target()), 0..5),
            files in prop::collection::vec(path(), 0..3),
            asked in prop::collection::vec(path(), 8),
        ) {
            let t = Scratch::new();
            for path in &dirs {
                let _ = t.root.put(&dir(path, 0o755), &mut std::io::empty());
            }
            for path in &files {
                let _ = t.root.put(&file(path, 0o644, 0), &mut std::io::empty());
            }
            for (path, target) in links.iter().filter(|(_, target)| !target.is_empty()) {
                let _ = t.root.put(&symlink(path, target), &mut std::io::empty());
            }
            if !t.root.has_openat2() {
                return Ok(());
            }
            let own = Rootfs::open(t.root.path()).unwrap();
            own.openat2.store(false, Ordering::Relaxed);
            for path in asked.iter().map(LayerPath::clean) {
                for flags in [OFlags::PATH, OFlags::PATH | OFlags::NOFOLLOW, OFlags::RDONLY | OFlags::DIRECTORY] {
                    let inode = |root: &Rootfs| {
                        let fd = root.open_at(&path, flags)?;
                        super::super::Stat::read(fd.as_fd(), b"").map(|stat| stat.inode)
                    };
                    prop_assert_eq!(inode(&t.root), inode(&own), "{} {:?}\n{}", path, flags, t.listing());
                }
                let real = |root: &Rootfs| root.open_real_dir(&path).is_ok();
                prop_assert_eq!(real(&t.root), real(&own));
                if let (Ok(resolved), Ok(fd)) = (t.root.resolve(path.as_bytes()), t.root.open_at(&path, OFlags::PATH)) {
                    let there = t.root.stat(&resolved).unwrap().unwrap();
                    let expected = super::super::Stat::read(fd.as_fd(), b"").unwrap();
                    prop_assert_eq!(there.inode, expected.inode);
                }
            }
        }
    }
}
