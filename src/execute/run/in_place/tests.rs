//! A root in a temporary directory, with kept paths in the place of mounts. Mounts and kills: `tests/in_place.rs`.

use std::cell::Cell;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::*;

struct Fake {
    session: Session,
    dir: tempfile::TempDir,
}

thread_local! {
    /// Steps left until one panics; none does at zero.
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

fn count_step(_: &'static str) {
    STEPS.set(STEPS.get().saturating_sub(1));
    if STEPS.get() == 1 {
        panic!("interrupted");
    }
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            force: false,
            keep: ["etc/resolv.conf", "vol/data"].map(LayerPath::clean).into(),
            hide: Vec::new(),
            on_step: count_step,
        };
        let session = Session::open(&dir.path().join(".executor"), dir.path(), options);
        let session = session.unwrap();
        let fake = Self { session, dir };
        for file in [
            "etc/resolv.conf",
            "etc/passwd",
            "bin/sh",
            "vol/data/precious",
            "vol/other",
            "kaniko/executor",
            "proc/1/status",
        ] {
            fake.write(file, "the container's");
        }
        for file in ["etc/passwd", "etc/conf.d/x", "usr/bin/tool", "kaniko/own"] {
            fake.write(&format!(".executor/stages/0/rootfs/{file}"), "the image's");
        }
        symlink("usr/bin", fake.private().join("bin")).unwrap();
        fs_err::set_permissions(fake.private().join("etc"), PermissionsExt::from_mode(0o711))
            .unwrap();
        fake
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn private(&self) -> PathBuf {
        self.root().join(".executor/stages/0/rootfs")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// Runs `command` on the root with the image in it.
    fn run(&self, command: impl FnOnce(&Path)) -> Result<Left, Error> {
        let options = RunOptions {
            working_dir: LayerPath::root(),
        };
        let entered = self.session.enter(&self.private(), &options)?;
        command(self.root());
        entered.leave()
    }
}

/// Lists a tree without the work directory: type and mode, size, time, name.
fn listing(root: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    walk.filter_entry(|entry| entry.file_name() != ".executor")
        .map(|entry| {
            let entry = entry.unwrap();
            let stat = entry.path().symlink_metadata().unwrap();
            let size = if stat.is_dir() { 0 } else { stat.size() };
            let (seconds, nanoseconds) = (stat.mtime(), stat.mtime_nsec());
            let path = entry.path().strip_prefix(root).unwrap().display();
            format!("{:o} {size} {seconds}.{nanoseconds} {path}", stat.mode())
        })
        .collect()
}

fn names(root: &Path) -> String {
    let walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name();
    let paths = walk.into_iter().map(|entry| {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().display();
        path.to_string()
    });
    paths.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_command_sees_the_image_and_leaves_the_container_alone() {
    let fake = Fake::new();
    let (container, image) = (listing(fake.root()), listing(&fake.private()));
    let left = fake.run(|root| {
        let read = |path: &str| fs_err::read_to_string(root.join(path)).ok();
        assert_eq!(read("etc/passwd").unwrap(), "the image's");
        assert_eq!(read("bin/tool").unwrap(), "the image's");
        assert_eq!(read("etc/resolv.conf").unwrap(), "the container's");
        assert_eq!(read("vol/data/precious").unwrap(), "the container's");
        assert_eq!(read("vol/other"), None);
        assert_eq!(read("kaniko/executor"), None);
        let mode = root.join("etc").metadata().unwrap().mode();
        assert_eq!(
            mode & 0o7777,
            0o711,
            "kept directories look like the image's"
        );
    });
    let left = left.unwrap();
    assert_eq!(listing(fake.root()), container);
    assert_eq!(listing(&fake.private()), image);
    let refreshed: Vec<String> = left.refreshed.iter().map(LayerPath::to_string).collect();
    assert_eq!(refreshed, ["/bin", "/etc/passwd"]);
}

#[test]
fn what_a_command_changes_is_in_the_private_root() {
    let fake = Fake::new();
    let container = listing(fake.root());
    let left = fake.run(|root| {
        fs_err::remove_file(root.join("bin")).unwrap();
        fs_err::write(root.join("etc/passwd"), "root:x:0:0").unwrap();
        fs_err::write(root.join("etc/new"), "").unwrap();
        fs_err::write(root.join("vol/made"), "").unwrap();
        fs_err::set_permissions(root.join("etc"), PermissionsExt::from_mode(0o700)).unwrap();
    });
    assert_eq!(left.unwrap().refreshed, []);
    assert_eq!(listing(fake.root()), container);
    assert_eq!(
        names(&fake.private()),
        "etc etc/conf.d etc/conf.d/x etc/new etc/passwd kaniko kaniko/own usr usr/bin usr/bin/tool vol vol/made"
    );
    let mode = fake.private().join("etc").metadata().unwrap().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn pinned_directories_may_be_renamed() {
    let fake = Fake::new();
    let container = listing(fake.root());
    let left = fake.run(|root| {
        fs_err::rename(root.join("etc"), root.join("etc.old")).unwrap();
        fs_err::create_dir(root.join("etc")).unwrap();
        fs_err::write(root.join("etc/fresh"), "").unwrap();
        fs_err::rename(root.join("vol"), root.join("usr/vol2")).unwrap();
    });
    assert_eq!(left.unwrap().warnings, []);
    assert_eq!(
        names(&fake.private()),
        "bin etc etc/fresh etc.old etc.old/conf.d etc.old/conf.d/x etc.old/passwd kaniko kaniko/own \
         usr usr/bin usr/bin/tool usr/vol2"
    );
    assert_eq!(listing(fake.root()), container);
}

#[test]
fn a_panic_anywhere_leaves_the_container_as_it_was() {
    let fake = Fake::new();
    let container = listing(fake.root());
    for step in 2.. {
        STEPS.set(step);
        let result = catch_unwind(AssertUnwindSafe(|| fake.run(|_| ())));
        let over = STEPS.replace(0) > 1;
        assert_eq!(listing(fake.root()), container, "step {step}");
        if over {
            result.unwrap().unwrap();
            assert!(step > 20);
            break;
        }
    }
}

#[test]
fn the_trial_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(trial(&dir.path().join(".executor"), dir.path()), Ok(()));
    assert_eq!(names(dir.path()), "");
}

#[test]
fn a_session_closed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        force: false,
        keep: Vec::new(),
        hide: Vec::new(),
        on_step: count_step,
    };
    let work = dir.path().join(".executor");
    let session = Session::open(&work, dir.path(), options).unwrap();
    let elsewhere = session.enter(
        dir.path(),
        &RunOptions {
            working_dir: LayerPath::root(),
        },
    );
    assert!(matches!(elsewhere, Err(Error::Elsewhere { .. })));
    drop(elsewhere);
    session.close();
    assert_eq!(names(dir.path()), "");
}

#[test]
fn mounts_are_lent_and_taken_back() {
    let fake = Fake::new();
    fake.write(".executor/mounts/id/old", "cached");
    fake.write(".executor/secrets/token", "secret");
    let (container, image) = (listing(fake.root()), listing(&fake.private()));
    let options = RunOptions {
        working_dir: LayerPath::root(),
    };
    let work = fake.root().join(".executor");
    let read = |path: &str| fs_err::read_to_string(fake.root().join(path)).ok();
    let lend = || {
        let mut entered = fake.session.enter(&fake.private(), &options).unwrap();
        let cache = entered.graft(&work.join("mounts/id"), &LayerPath::clean("var/cache/x"));
        cache.unwrap();
        let secret = entered.graft(&work.join("secrets/token"), &LayerPath::clean("etc/passwd"));
        secret.unwrap();
        entered
    };

    let entered = lend();
    assert_eq!(read("var/cache/x/old").unwrap(), "cached");
    assert_eq!(read("etc/passwd").unwrap(), "secret");
    fake.write("var/cache/x/new", "by the command");
    entered.leave().unwrap();
    assert_eq!(listing(fake.root()), container);
    assert_eq!(listing(&fake.private()), image);
    assert_eq!(read(".executor/mounts/id/new").unwrap(), "by the command");
    assert_eq!(read(".executor/secrets/token").unwrap(), "secret");

    let entered = lend();
    fs_err::rename(fake.root().join("var"), fake.root().join("usr/moved")).unwrap();
    fs_err::remove_file(fake.root().join("etc/passwd")).unwrap();
    entered.leave().unwrap();
    assert_eq!(listing(fake.root()), container);
    assert_eq!(read(".executor/mounts/id/new").unwrap(), "by the command");
    let below = names(&fake.private());
    assert!(
        below.contains("etc/passwd kaniko"),
        "what was under a mount is back: {below}"
    );
    assert!(below.ends_with("usr/moved usr/moved/cache"), "{below}");
}

#[test]
fn a_second_session_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let options = Options {
        force: false,
        keep: Vec::new(),
        hide: Vec::new(),
        on_step: count_step,
    };
    let first = Session::open(&root.join(".executor"), &root, options.clone()).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let second = std::thread::spawn(move || {
        let session = Session::open(&root.join(".executor"), &root, options);
        sender.send("second").unwrap();
        session.unwrap().close();
    });
    // It cannot have been sent yet, however long this waits.
    assert!(receiver.try_recv().is_err());
    first.close();
    assert_eq!(receiver.recv(), Ok("second"));
    second.join().unwrap();
    assert_eq!(names(dir.path()), "");
}
