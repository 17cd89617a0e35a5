//! A private root to run commands in, isolated as this process is told to.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use executor::dockerfile::instruction::{Network, Security};
use executor::execute::run::{
    Error, Isolation, IsolationOptions, Output, Requested, RunContext, SelectError, execute,
    inside_container, select,
};
use executor::interrupt::Interrupt;
use executor::plan::RunStep;
use executor::rootfs::Rootfs;

use crate::support::base;

/// A private root with busybox in it, and an isolation to run commands in.
pub struct Machine {
    pub isolation: Isolation,
    pub root: Rootfs,
    pub interrupt: Interrupt,
    _dir: tempfile::TempDir,
}

/// Variables that tell a process which isolation to test and what to expect of it.
pub const REQUESTED: &str = "REQUESTED_ISOLATION";
pub const EXPECTED: &str = "EXPECTED_ISOLATION";
pub const EXECUTABLE: &str = "ISOLATING_EXECUTABLE";

pub fn executable() -> PathBuf {
    match std::env::var_os(EXECUTABLE) {
        Some(path) => path.into(),
        None => env!("CARGO_BIN_EXE_executor").into(),
    }
}

pub fn selected(
    requested: Requested,
    work_dir: &Path,
    force: bool,
) -> Result<Isolation, SelectError> {
    select(&IsolationOptions {
        requested,
        force,
        in_container: inside_container(),
        work_dir,
        executable: &executable(),
        keep: Vec::new(),
        hide: Vec::new(),
        interrupt: &Interrupt::new(),
    })
}

impl Machine {
    pub fn new(requested: Requested) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let isolation = selected(requested, dir.path(), false);
        let isolation = isolation.unwrap_or_else(|error| panic!("{error}"));
        let dir = match isolation.work_dir() {
            Some(work_dir) => {
                let stages = work_dir.join("stages");
                fs_err::create_dir_all(&stages).unwrap();
                tempfile::tempdir_in(stages).unwrap()
            }
            None => dir,
        };
        let path = dir.path().join("root");
        fs_err::create_dir(&path).unwrap();
        base::fill(&path);
        give_away(&path, isolation.id_shift().offset);
        let root = Rootfs::open(path)
            .unwrap()
            .with_id_shift(isolation.id_shift());
        Self {
            isolation,
            root,
            interrupt: Interrupt::new(),
            _dir: dir,
        }
    }

    pub fn run(&self, step: &RunStep) -> Result<(), Error> {
        let context = RunContext {
            executable: &executable(),
            lent: &[],
            secret_env: &BTreeMap::from([("TOKEN".to_owned(), "secret".to_owned())]),
            interrupt: &self.interrupt,
            halt: &self.interrupt,
            output: &Output::Own,
        };
        execute(&self.isolation, &self.root, step, &context).map(drop)
    }

    /// What the command prints.
    pub fn output(&self, step: &RunStep) -> String {
        let mut step = step.clone();
        let script = step.args.pop().unwrap();
        step.args.push(format!("exec >/tmp/output; {script}"));
        self.run(&step).unwrap();
        let output = self.root.path().join("tmp/output");
        let text = fs_err::read_to_string(&output).unwrap();
        fs_err::remove_file(output).unwrap();
        text
    }

    pub fn sh(&self, script: &str) -> String {
        self.output(&sh(script))
    }

    /// Why the command failed, and its cause.
    pub fn failure(&self, step: &RunStep) -> String {
        let error = self.run(step).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    /// Everything in the root that a layer could hold.
    pub fn listing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in walkdir::WalkDir::new(self.root.path()).sort_by_file_name() {
            let entry = entry.unwrap();
            let meta = fs_err::symlink_metadata(entry.path()).unwrap();
            lines.push(format!(
                "{} {:o} {}:{} {} {}.{}",
                entry.path().display(),
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.size(),
                meta.mtime(),
                meta.mtime_nsec(),
            ));
        }
        lines
    }
}

/// Adds `offset` to every owner, as unpacking into the root would.
fn give_away(root: &Path, offset: u32) {
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let meta = fs_err::symlink_metadata(entry.path()).unwrap();
        let (uid, gid) = (meta.uid() + offset, meta.gid() + offset);
        std::os::unix::fs::lchown(entry.path(), Some(uid), Some(gid)).unwrap();
    }
}

pub fn sh(script: &str) -> RunStep {
    RunStep {
        args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([("PATH".to_owned(), "/bin:/usr/bin".to_owned())]),
        proxy_env: BTreeMap::new(),
        working_dir: "/".into(),
        user: String::new(),
        hostname: "buildkitsandbox".into(),
        network: Network::Default,
        security: Security::Sandbox,
        script: None,
        mounts: Vec::new(),
    }
}

pub fn exec(args: &[&str]) -> RunStep {
    RunStep {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..sh("")
    }
}
