//! What runs inside the container: enters, runs a command, leaves, looks; and is killed while doing so.

use std::io::{BufRead, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use executor::execute::run::in_place::{self, Options, RunOptions, Session, WORK_DIR};
use executor::layer::LayerPath;

use super::listing::{self, Without};

/// The name of the test that is the driver.
pub const TEST: &str = "in_place::driver::driver";
/// What the driver is to do; without it the test does nothing.
pub const ROLE: &str = "IN_PLACE_ROLE";
/// The command to run.
pub const COMMAND: &str = "IN_PLACE_COMMAND";
/// At which step to be killed.
const KILL_AT: &str = "IN_PLACE_KILL_AT";
/// Set where link counts change because a foreign image is copied up.
pub const FOREIGN: &str = "IN_PLACE_FOREIGN";
/// Stands before each line of the report.
pub const MARK: &str = "driver> ";

/// The image's root, as a build would have it.
const PRIVATE_ROOT: &str = "/.executor/stages/0/rootfs";

/// What is lent to a command that is going to be killed.
const CACHE: &str = "/.executor/mounts/id";
const SECRET: &str = "/.executor/secrets/token";

#[test]
fn driver() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    // Whatever starts this by mistake, the machine's own root is not touched.
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let is_root = |line: &&str| line.split(' ').nth(4) == Some("/");
    let root = mounts.lines().rfind(is_root).unwrap();
    assert!(root.contains(" - overlay "), "not in a test's container");
    match role.as_str() {
        "run" => run(),
        "once" => drop(once()),
        "recover" => {
            arm();
            drop(open());
        }
        "leader" => leader(),
        "torture" => torture(),
        "trial" => match in_place::trial(Path::new(WORK_DIR), Path::new("/")) {
            Ok(()) => say("possible"),
            Err(errno) => say(&format!("{errno}")),
        },
        other => panic!("unknown role {other}"),
    }
    std::io::stdout().flush().unwrap();
    std::process::exit(0);
}

fn say(text: &str) {
    println!("\n{MARK}{text}");
}

/// Steps taken, and the step at which this process is killed.
static STEPS: AtomicU32 = AtomicU32::new(0);
static KILL: AtomicU32 = AtomicU32::new(0);

/// Counts from here to the step at which this process is to be killed.
fn arm() {
    let at = std::env::var(KILL_AT).map_or(0, |at| at.parse().unwrap());
    KILL.store(at, Ordering::SeqCst);
    STEPS.store(0, Ordering::SeqCst);
}

fn count(_step: &'static str) {
    if STEPS.fetch_add(1, Ordering::SeqCst) + 1 == KILL.load(Ordering::SeqCst) {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        loop {
            std::thread::park();
        }
    }
}

fn open() -> Session {
    let options = Options {
        force: false,
        keep: Vec::new(),
        hide: vec![LayerPath::clean("kaniko")],
        on_step: count,
    };
    Session::open(Path::new(WORK_DIR), Path::new("/"), options).unwrap()
}

/// Brings the container back and makes a private root, as a build would; then runs the command.
fn once() -> Vec<LayerPath> {
    let session = open();
    copy(Path::new("/harness/image"), Path::new(PRIVATE_ROOT));
    fs_err::create_dir_all(CACHE).unwrap();
    fs_err::write(Path::new(CACHE).join("cached"), "").unwrap();
    fs_err::create_dir_all(Path::new(SECRET).parent().unwrap()).unwrap();
    fs_err::write(SECRET, "").unwrap();
    arm();
    enter_run_leave(&session)
}

fn enter_run_leave(session: &Session) -> Vec<LayerPath> {
    let options = RunOptions {
        working_dir: LayerPath::root(),
    };
    let entered = session.enter(Path::new(PRIVATE_ROOT), &options);
    let mut entered = entered.unwrap_or_else(|error| panic!("{}", chain(&error)));
    for (source, target) in [(CACHE, "made/for/cache"), (SECRET, "etc/secret")] {
        if Path::new(source).exists() {
            let lent = entered.graft(Path::new(source), &LayerPath::clean(target));
            lent.unwrap_or_else(|error| panic!("{}", chain(&error)));
        }
    }
    for warning in entered.warnings() {
        say(&format!("warning: {warning}"));
    }
    let mut leader = Command::new("/proc/self/exe")
        .args(["--exact", TEST, "--nocapture"])
        .env(ROLE, "leader")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    entered.record_run(leader.id()).unwrap();
    leader.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let status = leader.wait().unwrap();
    if !status.success() {
        say(&format!("the command: {status}"));
    }
    match entered.leave() {
        Ok(left) => {
            for warning in left.warnings {
                say(&format!("warning: {warning}"));
            }
            left.refreshed
        }
        Err(error) => {
            say(&format!("error: {}", chain(&error)));
            Vec::new()
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// The command's session: waits until it is known to the journal, then becomes the command.
fn leader() {
    rustix::process::setsid().unwrap();
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    if line == "go\n" {
        let command = std::env::var(COMMAND).unwrap();
        let error = Command::new("/bin/sh")
            .args(["-c", &command])
            .stdin(Stdio::null())
            .exec();
        panic!("{error}");
    }
}

/// Runs the command and says what came of it.
fn run() {
    let session = open();
    copy(Path::new("/harness/image"), Path::new(PRIVATE_ROOT));
    let before = container();
    let image = listing::tree(Path::new(PRIVATE_ROOT), &Without::default());
    let refreshed = enter_run_leave(&session);
    compare(&before, "");
    assert_eq!(sleepers(), 0, "the command left something running");
    let refreshed: Vec<String> = refreshed.iter().map(LayerPath::to_string).collect();
    say(&format!("refreshed: {}", refreshed.join(" ")));
    let now = listing::tree(Path::new(PRIVATE_ROOT), &Without::default());
    let changed = listing::difference(&image, &now).join(" ");
    say(&format!("changed in the image: {changed}"));
}

/// Is killed at every step of entering and leaving and while the command runs, and compares the container each time.
fn torture() {
    drop(open());
    let before = container();
    let command = std::env::var(COMMAND).unwrap();
    let foreign = std::env::var_os(FOREIGN).is_some();
    let mut at = 1;
    while start("once", at, &command) {
        // The next start is killed too now and then, while it brings the container back.
        if at.is_multiple_of(3) {
            start("recover", at / 3, "");
        }
        drop(open());
        assert!(Path::new(CACHE).join("cached").exists(), "step {at}");
        assert!(!Path::new(SECRET).exists(), "step {at}");
        if !compare(&before, &format!("step {at}")) {
            return;
        }
        at += if foreign && at > 20 && at < 8000 {
            at
        } else {
            1
        };
    }
    say(&format!("survived {} kills", at - 1));
    for command in [
        "kill -9 $PPID; sleep 1000",
        "mv /etc /etc.old; sleep 1000 & (setsid sleep 1000) & kill -9 $PPID; sleep 1000",
    ] {
        assert!(start("once", 0, command), "{command}");
        drop(open());
        if !compare(&before, command) {
            return;
        }
        assert_eq!(sleepers(), 0, "the command outlived the executor");
    }
    say("the container is as it was");
}

/// Starts the driver once more; tells whether it was killed.
fn start(role: &str, kill_at: u32, command: &str) -> bool {
    // Not a pipe: what outlives a killed driver would hold it open.
    let mut log = tempfile::tempfile_in("/dev/shm").unwrap();
    let status = Command::new("/proc/self/exe")
        .args(["--exact", TEST, "--nocapture"])
        .env(ROLE, role)
        .env(KILL_AT, kill_at.to_string())
        .env(COMMAND, command)
        .stdout(log.try_clone().unwrap())
        .stderr(log.try_clone().unwrap())
        .status()
        .unwrap();
    let killed = status.signal() == Some(9);
    if !killed && !status.success() {
        let mut text = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut text).unwrap();
        say(&text.replace('\n', &format!("\n{MARK}")));
    }
    killed
}

/// Counts what still sleeps.
fn sleepers() -> usize {
    let processes = fs_err::read_dir("/proc").unwrap();
    let states = processes.filter_map(|entry| {
        let stat = entry.unwrap().path().join("stat");
        fs_err::read_to_string(stat).ok()
    });
    states
        .filter(|stat| stat.contains("(sleep)") && !stat.contains(") Z "))
        .count()
}

/// Lists the container without its mounts and the work directory.
fn container() -> Vec<String> {
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().map(|line| line.split(' ').nth(4).unwrap());
    let mounts = mounts.filter(|path| *path != "/").map(PathBuf::from);
    let without = Without {
        paths: mounts.chain([WORK_DIR.into()]).collect(),
        links: std::env::var_os(FOREIGN).is_some(),
    };
    listing::tree(Path::new("/"), &without)
}

fn compare(before: &[String], when: &str) -> bool {
    let after = container();
    if after == before {
        if when.is_empty() {
            say("the container is as it was");
        }
        return true;
    }
    let difference = listing::difference(before, &after);
    say(&format!(
        "{when}: the container is different: {difference:?}"
    ));
    for line in before.iter().filter(|line| !after.contains(line)).take(20) {
        say(&format!("- {line}"));
    }
    for line in after.iter().filter(|line| !before.contains(line)).take(20) {
        say(&format!("+ {line}"));
    }
    false
}

/// Copies a tree with modes, times and hard links.
fn copy(from: &Path, to: &Path) {
    let mut names = std::collections::BTreeMap::new();
    fs_err::create_dir_all(to.parent().unwrap()).unwrap();
    let mut dirs = Vec::new();
    for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        let stat = entry.path().symlink_metadata().unwrap();
        let times = rustix::fs::Timestamps {
            last_access: timespec(stat.mtime(), stat.mtime_nsec()),
            last_modification: timespec(stat.mtime(), stat.mtime_nsec()),
        };
        if stat.is_dir() {
            fs_err::create_dir(&target).unwrap();
            fs_err::set_permissions(&target, stat.permissions()).unwrap();
            dirs.push((target, times));
            continue;
        }
        if stat.is_symlink() {
            symlink(fs_err::read_link(entry.path()).unwrap(), &target).unwrap();
        } else if let Some(first) = names.insert(stat.ino(), target.clone()) {
            fs_err::hard_link(first, &target).unwrap();
        } else {
            fs_err::copy(entry.path(), &target).unwrap();
        }
        set_times(&target, &times);
    }
    for (dir, times) in dirs.iter().rev() {
        set_times(dir, times);
    }
}

fn set_times(path: &Path, times: &rustix::fs::Timestamps) {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, times, flags).unwrap();
}

fn timespec(tv_sec: i64, tv_nsec: i64) -> rustix::fs::Timespec {
    rustix::fs::Timespec { tv_sec, tv_nsec }
}
