//! Stages side by side.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Sandbox, meeting, requires};

/// Longer than anything here takes, shorter than a test may hang.
const LONG: u64 = 600;

#[test]
fn stages_that_do_not_wait_for_each_other_are_built_at_the_same_time() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&meeting::dockerfile(&base, "true"));
    let finished = t
        .build(["--jobs=2", "--isolation=namespaces", "--no-push"])
        .succeeded();
    // whose line it is can be told
    for line in ["[left] a waits\n", "[right] b waits\n"] {
        assert!(finished.stdout.contains(line), "{line:?}: {finished}");
    }
}

#[test]
fn jobs_and_shortcuts_do_not_show_in_the_image() {
    requires!(root);
    let mut t = Sandbox::new();
    let base = t.base();
    t.env("SOURCE_DATE_EPOCH", "1000000000");
    t.file("in", 0o644, "in\n");
    t.dockerfile(&format!(
        "FROM {base} AS common\nRUN echo common > /common\n\
         FROM common AS one\nRUN echo one > /one\n\
         FROM common AS two\nCOPY in /two\nRUN echo two >> /two\n\
         FROM {base} AS three\nCOPY --from=one /one /three\nRUN --mount=from=two,target=/t cat /t/two >> /three\n\
         FROM common\nRUN rm /common\nCOPY --from=one /one /\nCOPY --from=two /two /\nCOPY --from=three /three /\nCOPY --from={base} /bin/sh /sh\n"
    ));
    let digest = |t: &Sandbox, jobs: &str| {
        let name = format!("jobs{jobs}");
        let image = t.build_and_pull(
            &name,
            [
                format!("--jobs={jobs}"),
                "--isolation=namespaces".to_owned(),
            ],
        );
        assert_eq!(t.kaniko_dir(), "", "{jobs} jobs leave something");
        image.digest
    };
    t.env("EXECUTOR_SHORTCUTS", "true");
    let one = digest(&t, "1");
    assert_eq!([digest(&t, "2"), digest(&t, "8")], [&*one; 2]);
    t.env("EXECUTOR_SHORTCUTS", "false");
    assert_eq!(digest(&t, "0"), one);
}

#[test]
fn a_stage_that_fails_ends_the_others() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base} AS slow\nRUN sleep {LONG}\nFROM {base} AS failing\nRUN exit 7\nFROM scratch\nCOPY --from=slow / /\nCOPY --from=failing / /\n"
    ));
    let started = Instant::now();
    let finished = t
        .build(["--jobs=2", "--isolation=namespaces", "--no-push"])
        .failed(7, "stage `failing` failed");
    assert!(
        started.elapsed() < Duration::from_secs(LONG / 2),
        "{finished}"
    );
    assert_eq!(t.kaniko_dir(), "", "{finished}");
}

/// A cache that another build keeps for itself is not waited for any longer.
#[test]
fn a_stage_that_fails_ends_those_that_wait_for_a_cache() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let caches = t.path("caches");
    fs_err::create_dir(&caches).unwrap();
    let args = [
        "--no-push".to_owned(),
        "--isolation=namespaces".to_owned(),
        "--jobs=2".to_owned(),
        "--timeout=10m".to_owned(),
        format!("--cache-dir={}", caches.display()),
    ];
    let run = "RUN --mount=type=cache,id=kept,sharing=locked,target=/m";
    t.dockerfile(&format!("FROM {base}\n{run} true\n"));
    t.build(&args).succeeded();
    let caches = fs_err::read_dir(caches.join("mounts")).unwrap();
    let cache = caches.map(|entry| entry.unwrap().path()).next().unwrap();
    let lock = fs_err::File::open(cache.join("0/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();

    let asked = meeting::wait_for("/m/go");
    t.dockerfile(&format!(
        "FROM {base} AS waiting\n{run} true\nFROM {base} AS failing\nRUN --mount=type=cache,target=/m touch /m/here; {asked}; exit 7\n\
         FROM scratch\nCOPY --from=waiting / /\nCOPY --from=failing / /\n"
    ));
    let context = t.context().display().to_string();
    let mut command = t.command(["-c".to_owned(), context].iter().chain(&args));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    for line in lines.map(Result::unwrap) {
        if line.contains("Waiting for another user of the cache") {
            let_go(cache.parent().unwrap());
        }
        told += &(line + "\n");
    }
    assert_eq!(child.wait().unwrap().code(), Some(7), "{told}");
    assert!(told.contains("stage `failing` failed"), "{told}");
}

/// Waits for the command that says `here` in its cache, and lets it go on.
fn let_go(mounts: &Path) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(120) {
        for cache in fs_err::read_dir(mounts).unwrap() {
            let content = cache.unwrap().path().join("0/content");
            if content.join("here").exists() {
                fs_err::write(content.join("go"), "").unwrap();
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing says `here` below {}", mounts.display());
}

#[test]
fn one_stage_at_a_time_has_its_output_untouched() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base} AS one\nRUN printf 'no end'\nFROM one\nRUN echo two\n"
    ));
    let finished = t
        .build(["--jobs=8", "--isolation=namespaces", "--no-push"])
        .succeeded();
    assert_eq!(finished.stdout, "no endtwo\n");
}

#[test]
fn a_number_of_jobs_below_zero_is_refused() {
    Sandbox::new()
        .build(["--jobs=-1", "--no-push"])
        .failed(1, "invalid --jobs: -1 stages cannot be built at a time");
}
