//! What tests stand on: a sandbox with a context and a kaniko dir, real registry processes, a base image, and images pulled back.

pub mod base;
pub mod cloud_server;
pub mod container;
pub mod crafted;
pub mod faulty;
pub mod image;
pub mod inetd;
pub mod internet;
pub mod listing;
pub mod manifest;
pub mod meeting;
pub mod nginx;
pub mod registry;
pub mod sandbox;
pub mod sockets;
pub mod token;
pub mod web;

pub use image::Image;
pub use internet::Internet;
pub use registry::Registry;
pub use sandbox::{Finished, Sandbox};
pub use web::{Reply, Web};

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Ends the test early, with its reason, where something it needs is missing. In CI a skip is a failure.
macro_rules! requires {
    ($condition:expr, $reason:literal) => {
        if !$condition {
            assert!(
                std::env::var_os("CI").is_none(),
                "skipped in CI: {}",
                $reason
            );
            eprintln!("skipped: {}", $reason);
            return;
        }
    };
    (root) => {
        requires!(rustix::process::geteuid().is_root(), "needs root")
    };
}
pub(crate) use requires;

/// Runs a command with this on its standard input.
pub fn fed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs a tool of the system and returns its standard output; panics with everything it printed if it fails.
pub fn tool<S: AsRef<std::ffi::OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    tool_in(Path::new("/"), program, args)
}

/// Like [`tool`], in a directory.
pub fn tool_in<S: AsRef<std::ffi::OsStr>>(
    dir: &Path,
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> String {
    let args: Vec<_> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
    let output = Command::new(program)
        .args(&args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("cannot run {program}: {e}; the tests need its Debian package"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
