//! Wrong Dockerfiles, and all that the user is told of each: message, excerpt with the word at fault, and help, to the letter.
//!
//! `testdata/dockerfile/err` has what no parser takes, `testdata/dockerfile/refused` what parses and cannot be built. `UPDATE_EXPECT=1`
//! rewrites what is expected.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;

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

#[test]
fn of_what_no_parser_takes() {
    for case in folder("err") {
        expect_file![case.join("expected")].assert_eq(&report(&case));
    }
}

#[test]
fn of_what_cannot_be_built() {
    for case in folder("refused") {
        expect_file![case.join("expected")].assert_eq(&report(&case));
    }
}
