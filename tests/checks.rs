//! `--check`, `--no-cache-filter` and `--allow`.

use expect_test::expect;

use crate::support::{Sandbox, requires};

#[test]
fn a_check_builds_nothing() {
    let t = Sandbox::new();
    t.dockerfile("from scratch as Y\nMAINTAINER me\nCOPY nosuch /\nFROM scratch\nENV A=1\n");
    let finished = t.build(["--check"]);
    assert_eq!(finished.code, Some(1), "{finished}");
    expect![[r#"
        ConsistentInstructionCasing: `from` is not in upper case like most keywords (line 1)
            --> Dockerfile:1
           > 1 | from scratch as Y
             2 | MAINTAINER me

        StageNameCasing: stage name "Y" has upper-case letters (line 1)
            --> Dockerfile:1
           > 1 | from scratch as Y
             2 | MAINTAINER me

        MaintainerDeprecated: MAINTAINER is deprecated; use a label (line 2)
            --> Dockerfile:2
             1 | from scratch as Y
           > 2 | MAINTAINER me
             3 | COPY nosuch /

    "#]]
    .assert_eq(&finished.stdout);
    assert!(
        finished
            .stderr
            .contains("Check complete, 3 warnings have been found!"),
        "{finished}"
    );
    assert_eq!(t.kaniko_dir(), "", "nothing is built");
    let finished = t
        .build(["--check", "--target=y", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=error=true"])
        .failed(1, "lint violation found for rules: ConsistentInstructionCasing, MaintainerDeprecated, StageNameCasing");
    assert!(finished.stdout.contains("StageNameCasing"), "{finished}");
    t.dockerfile("FROM scratch\nENV A=1\n");
    let finished = t.build(["--check"]).succeeded();
    assert!(!finished.stderr.contains("Built "), "{finished}");
    assert_eq!(
        finished.stdout,
        "Check complete, no warnings have been found.\n"
    );
    t.dockerfile("FROM scratch\nFOO\n");
    t.build(["--check"]).failed(1, "unknown instruction: FOO");
}

#[test]
fn stages_are_made_anew() {
    let t = Sandbox::new();
    t.file("x", 0o644, "x");
    t.dockerfile(
        "FROM scratch AS one\nCOPY x /one\nFROM scratch AS Two\nCOPY x /two\nFROM scratch\nCOPY --from=two two /\nCOPY --from=one one /\n",
    );
    let cache = format!("--cache-repo=oci:{}", t.path("cache").display());
    let hits = |filter: &str| {
        let mut args = vec!["--no-push", "--cache", "--cache-copy-layers", &cache];
        args.extend((!filter.is_empty()).then_some(filter));
        let log = t.build(args).succeeded().stderr;
        log.matches("Using caching version of cmd").count()
    };
    assert_eq!(hits(""), 0);
    assert_eq!(hits(""), 4);
    // what reads the stage is made anew too
    assert_eq!(hits("--no-cache-filter=two"), 1);
    assert_eq!(hits("--no-cache-filter=one,TWO"), 0);
    assert_eq!(hits(""), 4);
    let built = t.build(["--no-push", "--no-cache-filter=tow"]).succeeded();
    let told = "--no-cache-filter tow has no effect: no stage is called so";
    assert!(built.stderr.contains(told), "{built}");
}

#[test]
fn an_insecure_command_needs_permission() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nRUN grep CapBnd /proc/self/status > /sandboxed\nRUN --security=insecure grep CapBnd /proc/self/status > /insecure\n"
    ));
    t.build(["--no-push"])
        .failed(1, "security.insecure is not allowed")
        .failed(1, "--allow security.insecure");
    t.build(["--no-push", "--allow=device"])
        .failed(1, "invalid entitlement \"device\" for --allow");
    let args = [
        "--isolation=namespaces",
        "--allow=security.insecure,network.host",
    ];
    let image = t.build_and_pull("app", args);
    let bits = |name: &str| {
        let text = image.text(name);
        u64::from_str_radix(text.split_whitespace().last().unwrap(), 16).unwrap()
    };
    let (sandboxed, insecure) = (bits("sandboxed"), bits("insecure"));
    assert_eq!(sandboxed & !insecure, 0);
    // CAP_SYS_ADMIN
    assert_eq!((sandboxed >> 21 & 1, insecure >> 21 & 1), (0, 1));
}

#[test]
fn devices_and_options_without_meaning() {
    let t = Sandbox::new();
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("# syntax=docker/dockerfile:1-labs\nFROM scratch\nRUN --device=gpu,required x\n",  "the device \"gpu,required\" is not available"),
        ("FROM scratch\nRUN --device=gpu x\n",                                              "--device is only available with a labs frontend"),
        ("FROM scratch\nRUN --mount=type=secret,id=t,from=x y\n",                           "from not allowed for \"secret\" type mounts"),
        ("FROM scratch\nRUN --mount=target=/t,sharing=locked y\n",                          "sharing not allowed for \"bind\" type mounts"),
    ];
    for (text, message) in cases {
        t.dockerfile(text);
        let finished = t.build(["--no-push"]).failed(1, message);
        assert!(finished.stderr.contains("--> Dockerfile:"), "{finished}");
    }
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base} AS base\nONBUILD RUN --device=gpu true\nFROM base\n"
    ));
    t.build(["--no-push"])
        .failed(1, "--device is only available with a labs frontend");
    t.dockerfile(&format!("# syntax=docker/dockerfile:1-labs\nFROM {base} AS base\nONBUILD RUN --device=gpu true\nFROM base\n"));
    t.build(["--check"]).succeeded();
}
