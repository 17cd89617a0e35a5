//! Wrong Dockerfiles, and all that the user is told of each: message, excerpt with the word at fault, and help, to the letter.
//!
//! `testdata/dockerfile/err` has what no parser takes, `testdata/dockerfile/refused` what parses and cannot be built. `UPDATE_EXPECT=1`
//! rewrites what is expected.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;

use crate::support::{Reply, Sandbox, Web};

fn folder(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/dockerfile")
        .join(kind);
    let entries = fs_err::read_dir(root).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// Builds a case's Dockerfile with its folder as the context; returns what is printed beside the log.
fn report(case: &Path) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_executor"));
    command
        .args(["--no-push", "--log-format=text", "--context"])
        .arg(case)
        .current_dir(dir.path())
        .env_clear()
        .env("HOME", dir.path())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("KANIKO_DIR", dir.path())
        .stdin(Stdio::null());
    if let Ok(args) = fs_err::read_to_string(case.join("args")) {
        command.args(args.lines());
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}: {text}", case.display());
    let text = text.replace(case.to_str().unwrap(), "CONTEXT");
    let lines = text.lines().filter(|line| !line.starts_with("time="));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Tells whether a line points at the word above it.
fn is_carets(line: &str) -> bool {
    let shown = line.trim_start().strip_prefix("| ");
    shown.is_some_and(|rest| {
        rest.trim_start().starts_with('^') && rest.trim().trim_matches('^').is_empty()
    })
}

/// Compares the reports of a folder, and looks that each tells the place, the word and what to do.
fn check(kind: &str, without_place: &[&str]) {
    for case in folder(kind) {
        let report = report(&case);
        expect_file![case.join("expected")].assert_eq(&report);
        let name = case.file_name().unwrap().to_str().unwrap();
        let has_place = report.contains("--> Dockerfile:") && report.lines().any(is_carets);
        assert_eq!(
            has_place,
            !without_place.contains(&name),
            "{name}: {report}"
        );
        assert!(report.contains("\nhelp: "), "{name}: {report}");
    }
}

#[test]
fn of_what_no_parser_takes() {
    check("err", &["empty", "only-blank", "only-comments", "only-arg"]);
}

#[test]
fn of_what_cannot_be_built() {
    check("refused", &["checks-are-errors", "ignore-file", "target"]);
}

/// What only shows once a server has answered.
#[test]
fn of_what_servers_do_not_give() {
    let t = Sandbox::new();
    let web = Web::new(|request| match request.target.as_str() {
        "/file" => Reply::ok("content"),
        _ => Reply::new(404),
    });
    let (missing, file) = (web.url("/missing"), web.url("/file"));
    let digest = "0".repeat(64);
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (format!("ADD {missing} /"),                           "invalid response status 404",  missing.clone()),
        (format!("ADD --checksum=sha256:{digest} {file} /"),   "digest mismatch",              "--checksum".to_owned()),
        (format!("ADD --chmod=600 {missing}.git /"),           "cannot fetch the repository",  format!("{missing}.git")),
        (format!("COPY --from={}/none x /", t.registry.host()), "cannot get the image",        "from=".to_owned()),
    ];
    for (instruction, message, word) in cases {
        t.dockerfile(&format!("FROM scratch\n{instruction}\n"));
        for cache in ["--cache=false", "--cache=true"] {
            let repo = format!("--cache-repo=oci:{}", t.path("cache").display());
            let finished = t.build(["--no-push", "--cache-copy-layers", cache, &repo]);
            let finished = finished.failed(1, message);
            let column = instruction.find(&word).unwrap() + 1;
            let carets = format!(
                "       | {}{}\n",
                " ".repeat(column - 1),
                "^".repeat(word.len())
            );
            for text in [&format!("--> Dockerfile:2:{column}\n"), &carets, "\nhelp: "] {
                assert!(finished.stderr.contains(text), "{text:?}: {finished}");
            }
        }
    }
    t.dockerfile(&format!(
        "FROM scratch AS a\nFROM {}/none AS b\n",
        t.registry.host()
    ));
    t.build(["--no-push"])
        .failed(1, "cannot get the image")
        .failed(1, "--> Dockerfile:2:6\n");
}
