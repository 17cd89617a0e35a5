//! Why a layer is not found, stages in one layer, and how much is asked of a registry.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cache::{Cached, verdicts};
use crate::support::{Sandbox, requires};

/// Returns what the log says of each miss.
fn reasons(stderr: &str) -> Vec<String> {
    let line = |line: &str| {
        let (_, reason) = line.split_once("miss: ")?;
        let end = reason.find(" key=").unwrap_or(reason.len());
        Some(reason[..end].trim_end_matches('"').to_owned())
    };
    stderr.lines().filter_map(line).collect()
}

#[test]
fn a_miss_names_what_changed() {
    requires!(root);
    let c = Cached::new();
    let dir = format!("--cache-dir={}", c.t.path("shared").display());
    c.t.file("src/a", 0o644, "a");
    c.t.file("src/b", 0o644, "b");
    let text = "FROM BASE\nCOPY src /src\nARG V=1\nRUN cat /src/a; echo $V\n";
    c.dockerfile(text);
    let build = |more: &[&str]| {
        let args: Vec<&str> = [&*dir].into_iter().chain(more.iter().copied()).collect();
        reasons(&c.build(&args).0.stderr)
    };
    assert!(build(&[])[0].starts_with("first build"));
    assert_eq!(build(&[]), [""; 0]);
    c.t.file("src/b", 0o644, "other");
    c.t.file("src/c", 0o644, "");
    let missed = build(&[]);
    assert_eq!(missed[0], "file `src/b` changed, file `src/c` is new");
    assert!(missed[1].starts_with("the step before it is not cached: COPY"));
    assert_eq!(build(&["--build-arg=V=2"]), ["variable `V` changed"]);
    c.dockerfile(&text.replace("cat", "wc"));
    assert_eq!(build(&["--build-arg=V=2"]), ["the command changed"]);
    // a dry run says the same and remembers nothing
    c.t.file("src/b", 0o644, "third");
    for _ in 0..2 {
        let dry = c.t.build([
            "--dryrun",
            "--cache",
            "--cache-copy-layers",
            "--destination",
            &c.t.tag("app"),
            "--build-arg=V=2",
            &dir,
        ]);
        let dry = dry.succeeded();
        assert!(dry.stdout.contains("file `src/b` changed"), "{dry}");
    }
}

#[test]
fn a_stage_in_one_layer_is_cached_whole() {
    requires!(root);
    let c = Cached::new();
    c.t.file("f", 0o644, "f\n");
    c.t.file("g", 0o644, "g\n");
    let text = "FROM BASE AS made\nCOPY f /f\nRUN echo ran-made; cp /f /made\nFROM BASE\nRUN echo ran-one; echo 1 > /one\nCOPY --from=made /made /made\nRUN echo ran-two; cat /made > /two\nCOPY g /g\nLABEL l=1\n";
    c.dockerfile(text);
    let (first, image) = c.build(&["--single-snapshot"]);
    assert_eq!(first.stdout, "ran-made\nran-one\nran-two\n");
    assert_eq!(verdicts(&first).len(), 2, "{first}");
    let (second, again) = c.build(&["--single-snapshot"]);
    assert_eq!(second.stdout, "");
    assert_eq!(again.digest, image.digest);
    assert_eq!(again.history(), image.history());
    assert_eq!(again.layer_count(), 2);
    assert!(second.stderr.contains("Skipping unpacking"), "{second}");
    // what changes at the end is the whole layer, and the other stage's is read
    c.t.file("g", 0o644, "changed\n");
    let (third, image) = c.build(&["--single-snapshot"]);
    assert_eq!(third.stdout, "ran-one\nran-two\n");
    assert_eq!(image.text("g") + &image.text("two"), "changed\nf\n");
    // layers of single steps are others
    assert_eq!(c.build(&[]).0.stdout, "ran-made\nran-one\nran-two\n");
    assert_eq!(c.build(&["--single-snapshot"]).0.stdout, "");
}

#[test]
fn a_cached_build_asks_little_of_the_registry() {
    requires!(root);
    let c = Cached::new();
    let steps: Vec<String> = (0..6).map(|n| format!("RUN echo {n} > /{n}\n")).collect();
    c.dockerfile(&format!("FROM BASE\n{}", steps.concat()));
    c.build(&[]);
    let before = c.t.registry.requests().len();
    c.build(&[]);
    let requests = c.t.registry.requests();
    // what the test itself pulled is not counted
    let ours: Vec<&String> = requests[before..]
        .iter()
        .filter(|request| {
            !["GET /v2/app/manifests/", "GET /v2/app/blobs/"]
                .iter()
                .any(|pulled| request.starts_with(pulled))
        })
        .collect();
    let of = |part: &str| ours.iter().filter(|request| request.contains(part)).count();
    assert_eq!(of("/v2/base/"), 2, "manifest and config: {ours:#?}");
    assert_eq!(of("/v2/app/cache/"), 3 * 6, "{ours:#?}");
    // the permission to push, what is there already, the config, the manifest
    assert!(ours.len() <= 2 + 3 * 6 + 7 + 8, "{ours:#?}");
    assert!(
        !ours.iter().any(|request| request.starts_with("PATCH")),
        "{ours:#?}"
    );
}

#[test]
fn a_cache_that_is_not_there_is_asked_for_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let repository = format!("--cache-repo={}/cache", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let t = Sandbox::new();
    t.file("f", 0o644, "f\n");
    t.dockerfile(
        "FROM scratch AS one\nCOPY f /a\nFROM scratch\nCOPY f /b\nCOPY f /c\nCOPY --from=one / /d\nWORKDIR /w\nWORKDIR /v\n",
    );
    let build = |more: &str| {
        let before = connections.load(Ordering::SeqCst);
        let finished = t.build([
            "--no-push",
            "--cache",
            "--cache-copy-layers",
            "--skip-push-permission-check",
            &repository,
            more,
        ]);
        let finished = finished.succeeded();
        let warned = finished.stderr.matches("cannot look into the layer cache");
        assert_eq!(warned.count(), 1, "{finished}");
        assert!(!finished.stderr.contains("Pushing layer"), "{finished}");
        connections.load(Ordering::SeqCst) - before
    };
    // four times, each time with TLS and without
    for more in ["--single-snapshot=false", "--no-cache-filter=one"] {
        assert_eq!(build(more), 8, "{more}");
    }
    assert_eq!(build("--custom-platform=linux/amd64,linux/arm64"), 8);
}
