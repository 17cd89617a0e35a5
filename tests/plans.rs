//! `--dryrun` and `KANIKO_PRINT_PLAN`: what would be done and why, and that nothing of it is.

use expect_test::{Expect, expect};

use crate::support::{Sandbox, requires};

const TEXT: &str = "FROM BASE AS builder\nENV A=1\nCOPY a /a\nRUN cat /a > /out\n\
    FROM builder AS tests\nRUN false\n\
    FROM BASE\nCOPY --from=builder /out /out\nRUN test -s /out\nCMD [\"x\"]\n";

/// Makes a context whose Dockerfile has several stages; the middle one is needed by nothing.
fn context(t: &Sandbox, base: &str) {
    t.file("a", 0o644, "a\n");
    t.dockerfile(&TEXT.replace("BASE", base));
}

/// Compares a plan in which what differs from run to run has names.
fn check(t: &Sandbox, stdout: &str, want: Expect) {
    let words = stdout.split_inclusive([' ', '\n']);
    let named = words.map(|word| {
        let bare = word.trim_end();
        let name = match bare.strip_suffix(':').unwrap_or(bare) {
            key if key.contains("/cache:") => "ENTRY",
            digest if digest.starts_with("sha256:") => "DIGEST",
            _ => return word.to_owned(),
        };
        let end = word.trim_start_matches(|c: char| !c.is_whitespace() && c != ':');
        let colon = if bare.ends_with(':') { ":" } else { "" };
        format!(
            "{name}{colon}{}",
            end.trim_start_matches(|c: char| !c.is_whitespace())
        )
    });
    let text: String = named.collect();
    want.assert_eq(&text.replace(&t.registry.host(), "HOST"));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let t = Sandbox::new();
    let base = t.base();
    context(&t, &base);
    let tag = t.tag("app");
    let finished = t.build(["--dryrun", "-d", &tag]).succeeded();
    check(
        &t,
        &finished.stdout,
        expect![[r#"
        FROM HOST/base:latest AS builder
          UNPACK stages/0/rootfs: COPY a /a requires it
        ENV A=1
        COPY a /a
          EXECUTE: there is no layer cache
        RUN cat /a > /out
          EXECUTE: there is no layer cache
        SAVE FILES [/out] stages/0/rootfs

        FROM HOST/base:latest
          UNPACK stages/1/rootfs: COPY --from=builder /out /out requires it
        COPY --from=builder /out /out
          EXECUTE: there is no layer cache
        RUN test -s /out
          EXECUTE: there is no layer cache
        CMD ["x"]
        PUSH [HOST/app:latest]
          MOUNT DIGEST FROM HOST/base
          UPLOAD layer OF COPY --from=builder /out /out
          UPLOAD layer OF RUN test -s /out
        CLEAN

    "#]],
    );
    assert_eq!(t.registry.tags("app"), [""; 0]);
    assert_eq!(t.kaniko_dir(), "");
    assert!(!finished.stderr.contains("Unpacking"), "{finished}");
}

#[test]
fn a_dry_run_needs_no_rights_to_push_and_none_to_run() {
    let t = Sandbox::with(crate::support::Registry::basic_auth());
    t.dockerfile("FROM scratch\nRUN anything\n");
    let finished = t.build(["--dryrun", "-d", &t.tag("app")]).succeeded();
    check(
        &t,
        &finished.stdout,
        expect![[r#"
        FROM scratch
        RUN anything
          EXECUTE: there is no layer cache
        PUSH [HOST/app:latest]
          UPLOAD layer OF RUN anything
        CLEAN

    "#]],
    );
}

#[test]
fn the_plan_says_what_is_cached() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    context(&t, &base);
    let tag = t.tag("app");
    let args = ["-d", &tag, "--cache", "--cache-copy-layers", "--dryrun"];
    t.build(&args[..4]).succeeded();
    let finished = t.build(args).succeeded();
    check(
        &t,
        &finished.stdout,
        expect![[r#"
        FROM HOST/base:latest AS builder
          SKIP: the layers of all that reads it are cached
        ENV A=1
        COPY a /a
        RUN cat /a > /out

        FROM HOST/base:latest
          STREAM HOST/base:latest: no step needs its files
        COPY --from=builder /out /out
          CACHE HIT: ENTRY
          SKIP: its layer is cached
        RUN test -s /out
          CACHE HIT: ENTRY
          SKIP: its layer is cached
        CMD ["x"]
        PUSH [HOST/app:latest]
          MOUNT DIGEST FROM HOST/base
          UPLOAD DIGEST OF COPY --from=builder /out /out
          UPLOAD DIGEST OF RUN test -s /out

    "#]],
    );
    t.dockerfile(&TEXT.replace("BASE", &base).replace("-s /out", "-e /out"));
    let finished = t.build(args).succeeded();
    check(
        &t,
        &finished.stdout,
        expect![[r#"
        FROM HOST/base:latest AS builder
          SKIP: the layers of all that reads it are cached
        ENV A=1
        COPY a /a
        RUN cat /a > /out

        FROM HOST/base:latest
          UNPACK stages/1/rootfs: RUN test -e /out requires it
        COPY --from=builder /out /out
          CACHE HIT: ENTRY
          UNPACK: a later step needs its files
        RUN test -e /out
          CACHE MISS: ENTRY: the instruction, a variable it sees, or a file it reads changed
          EXECUTE: its layer is not cached
          UPLOAD ENTRY
        CMD ["x"]
        PUSH [HOST/app:latest]
          MOUNT DIGEST FROM HOST/base
          UPLOAD DIGEST OF COPY --from=builder /out /out
          UPLOAD layer OF RUN test -e /out
        CLEAN

    "#]],
    );
    t.file("a", 0o644, "changed\n");
    let finished = t.build(args).succeeded();
    check(
        &t,
        &finished.stdout,
        expect![[r#"
        FROM HOST/base:latest AS builder
          UNPACK stages/0/rootfs: COPY a /a requires it
        ENV A=1
        COPY a /a
          CACHE MISS: ENTRY: first build, the base image moved, or the first instruction or what it reads changed
          EXECUTE: its layer is not cached
          UPLOAD ENTRY
        RUN cat /a > /out
          CACHE MISS: ENTRY: the step before it is not cached: COPY a /a
          EXECUTE: its layer is not cached
          UPLOAD ENTRY
        SAVE FILES [/out] stages/0/rootfs

        FROM HOST/base:latest
          UNPACK stages/1/rootfs: COPY --from=builder /out /out requires it
        COPY --from=builder /out /out
          CACHE MISS: ENTRY: stage `builder`, which it reads, has steps that are not cached
          EXECUTE: its layer is not cached
          UPLOAD ENTRY
        RUN test -e /out
          CACHE MISS: ENTRY: the step before it is not cached: COPY --from=builder /out /out
          EXECUTE: its layer is not cached
          UPLOAD ENTRY
        CMD ["x"]
        PUSH [HOST/app:latest]
          MOUNT DIGEST FROM HOST/base
          UPLOAD layer OF COPY --from=builder /out /out
          UPLOAD layer OF RUN test -e /out
        CLEAN

    "#]],
    );
}

#[test]
fn a_printed_plan_is_built() {
    let mut t = Sandbox::new();
    t.env("KANIKO_PRINT_PLAN", "true");
    t.file("a", 0o644, "a\n");
    t.dockerfile("FROM scratch\nCOPY a /a\n");
    let tag = t.tag("app");
    let finished = t.build(["-d", &tag]).succeeded();
    check(
        &t,
        &finished.stdout,
        expect![[r#"
        FROM scratch
        COPY a /a
          EXECUTE: there is no layer cache
        PUSH [HOST/app:latest]
          UPLOAD layer OF COPY a /a
        CLEAN

    "#]],
    );
    assert_eq!(t.registry.tags("app"), ["latest"]);
}
