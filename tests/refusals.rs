//! Bad input: a message that names the thing, the line and a next step; nothing pushed, nothing half-written.

use crate::support::{Sandbox, requires};

/// Builds a Dockerfile that must fail with `code` and `message`, and checks that nothing is left of it.
#[track_caller]
fn refused(t: &Sandbox, dockerfile: &str, code: i32, message: &str) {
    t.dockerfile(dockerfile);
    let digest = t.path("digest");
    let tag = t.tag("app");
    t.build([
        "--destination",
        &tag,
        "--digest-file",
        digest.to_str().unwrap(),
    ])
    .failed(code, message);
    assert!(!digest.exists(), "no digest file of a failed build");
    assert_eq!(t.registry.tags("app"), [""; 0], "no tag of a failed build");
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
}

#[test]
fn dockerfiles_that_are_wrong() {
    let t = Sandbox::new();
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("",                                        "the Dockerfile cannot be empty"),
        ("FROM scratch\nFOO bar\n",                 "dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)"),
        ("FROM scratch\nCOPY --frm=x a b\n",        "unknown flag: --frm (did you mean from?)"),
        ("FROM scratch\nCOPY nosuch /\n",           "\"/nosuch\": not found"),
        ("FROM scratch AS a\nCOPY --from=a f /\n",  "circular dependency detected on stage: a"),
        ("FROM scratch\nCOPY --from=5 f /\n",       "invalid stage index 5"),
        ("FROM scratch\nENV A=\"${U:?is needed}\"\n",   "U: is needed"),
        ("FROM scratch\nEXPOSE 99999\n",            "invalid containerPort: 99999"),
        ("FROM scratch\nRUN --mount=type=foo x\n",  "unsupported mount type \"foo\""),
    ];
    for (dockerfile, message) in cases {
        refused(&t, dockerfile, 1, message);
    }
}

#[test]
fn what_is_taken_without_effect_is_told() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nENV A=1\n");
    let finished = t.build(["--no-push", "--git=new=1", "--git=depth=1"]);
    let finished = finished.succeeded();
    let told = "--git new=… has no effect";
    assert!(finished.stderr.contains(told), "{finished}");
    assert!(!finished.stderr.contains("--git depth"), "{finished}");
}

#[test]
fn errors_show_the_line() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nWORKDIR /src\nCOPY nosuch.rs ./\nENV A=1\n");
    let finished = t.build(["--no-push"]).failed(1, "error building image");
    assert!(
        finished.stderr.contains("> 3 | COPY nosuch.rs ./"),
        "{finished}"
    );
}

#[test]
fn a_failed_run_gives_its_status() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    refused(
        &t,
        &format!("FROM {base}\nRUN exit 42\n"),
        42,
        "process \"/bin/sh -c exit 42\" did not complete successfully: exit code: 42",
    );
    refused(&t, &format!("FROM {base}\nRUN kill -9 $$\n"), 255, "memory");
    refused(
        &t,
        &format!("FROM {base}\nUSER nosuch\nRUN true\n"),
        1,
        "nosuch",
    );
    refused(
        &t,
        &format!("FROM {base}\nRUN [\"/no/such/program\"]\n"),
        1,
        "/no/such/program",
    );
}

#[test]
fn things_that_are_missing() {
    let t = Sandbox::new();
    let missing = format!("{}/missing:1", t.registry.host());
    refused(&t, &format!("FROM {missing}\n"), 1, &missing);
    refused(
        &t,
        "FROM scratch AS a\nFROM nostage:x:y\n",
        1,
        "failed to parse stage name",
    );
    t.executor(["--context", "/no/such/context", "--no-push"])
        .failed(1, "/no/such/context");
    let dir = t.context();
    t.executor([
        "--context",
        dir.to_str().unwrap(),
        "-f",
        "No.Dockerfile",
        "--no-push",
    ])
    .failed(
        1,
        "please provide a valid path to a Dockerfile within the build context with --dockerfile",
    );
    t.dockerfile("FROM scratch\nENV A=1\n");
    t.build([""; 0])
        .failed(1, "you must provide --destination, or use --no-push");
    t.build(["--no-push", "--target", "x"]).failed(1, "\"x\"");
    t.build(["--no-push", "--such-flag"])
        .failed(1, "unknown flag: --such-flag");
    t.build(["--destination", "127.0.0.1:1/app"])
        .failed(1, "error checking push permissions");
}

#[test]
fn a_kaniko_dir_that_cannot_be_written() {
    requires!(root);
    let mut t = Sandbox::new();
    t.dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    t.env("KANIKO_DIR", "/proc/nowhere");
    t.build(["--no-push"]).failed(1, "/proc/nowhere");
}
