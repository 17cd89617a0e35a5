//! One instruction in, a tree out; on real directories.

mod archives;
mod destination;
mod metadata;
mod selection;
mod sources;

use std::io::Write as _;

use super::*;
use crate::context::dockerignore::{self, Matcher};
use crate::layer::entry::Time;
use crate::layer::{Entry, LayerPath};
use crate::plan::Action;
use crate::plan::testing::{parsed, plan_of};
use crate::rootfs::testing::{Scratch, dir, entry, file, listing, symlink};

/// When everything is built.
const NOW: i64 = 2_000_000_000;

/// A stage's root and what is copied into it.
pub(super) struct Bed {
    pub source: Scratch,
    pub stage: Scratch,
    pub ignore: Option<Matcher>,
    pub owners: Owners,
}

impl Bed {
    pub fn new() -> Self {
        Self {
            source: Scratch::new(),
            stage: Scratch::new(),
            ignore: None,
            owners: Owners::Root,
        }
    }

    /// Makes files, directories (`d/`) and links (`l->t`) in the source.
    pub fn source(self, paths: &str) -> Self {
        make(&self.source, paths);
        self
    }

    /// The same in the stage's root.
    pub fn stage(self, paths: &str) -> Self {
        make(&self.stage, paths);
        self
    }

    pub fn ignore(mut self, patterns: &str) -> Self {
        self.ignore = Some(dockerignore::parse(patterns.as_bytes()).unwrap());
        self
    }

    /// Executes one instruction in `WORKDIR /w`; returns the paths that were written.
    pub fn execute(&self, instruction: &str) -> Result<Vec<LayerPath>, Error> {
        let plan = plan_of(&dockerfile(instruction));
        let step = plan.stages[0].steps.last().unwrap();
        let tree = Tree {
            root: &self.source.root,
            ignore: self.ignore.as_ref(),
            owners: self.owners,
            name: "build context",
        };
        let now = Time::from_seconds(NOW);
        match &step.action {
            Action::Copy(step) => copy(step, &tree, &[], &self.stage.root, now),
            Action::Workdir(step) => workdir(step, &self.stage.root, now),
            other => panic!("{other:?}"),
        }
    }

    /// Executes one instruction; returns the stage's paths, `/` after directories and `->` in links, or the error.
    pub fn after(&self, instruction: &str) -> String {
        if let Err(error) = self.execute(instruction) {
            return format!("error: {error}");
        }
        paths(&self.stage)
    }

    /// Like [`after`](Self::after), with modes and owners.
    pub fn listing(&self, instruction: &str) -> String {
        self.execute(instruction).unwrap();
        listing(&self.stage.root)
    }

    pub fn mtime(&self, path: &str) -> i64 {
        let stat = self.stage.root.stat(&LayerPath::clean(path)).unwrap();
        stat.expect(path).mtime.seconds
    }

    /// The content of a file in the stage.
    pub fn content(&self, path: &str) -> String {
        let file = self.stage.root.open_file(&LayerPath::clean(path)).unwrap();
        std::io::read_to_string(file).unwrap()
    }
}

/// A stage with `WORKDIR /w` and the instructions.
fn dockerfile(instructions: &str) -> String {
    format!("FROM x\nWORKDIR /w\n{instructions}\n")
}

fn make(scratch: &Scratch, paths: &str) {
    for path in paths.split_whitespace() {
        let entry = match path.split_once("->") {
            Some((link, target)) => symlink(link, target),
            None if path.ends_with('/') => dir(path, 0o755),
            None => file(path, 0o644, path.len()),
        };
        scratch.put(&entry, path);
    }
}

fn paths(scratch: &Scratch) -> String {
    let mut walk = scratch.root.walk(&LayerPath::root()).unwrap();
    let mut found = Vec::new();
    while let Some(next) = walk.next().unwrap() {
        found.push((next.layer_path(), next.stat));
    }
    let show = |(path, stat): (LayerPath, crate::rootfs::Stat)| {
        if stat.is_dir() {
            return format!("{path}/");
        }
        match stat.is_symlink() {
            true => {
                let target = scratch.root.read_link(&path).unwrap();
                format!("{path}->{}", String::from_utf8_lossy(&target))
            }
            false => path.to_string(),
        }
    };
    found.into_iter().map(show).collect::<Vec<_>>().join(" ")
}

#[test]
fn workdirs() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // before             instruction                     after
        ("",                  "WORKDIR /a/b",                 "/a/ /a/b/"),
        ("a/f",               "WORKDIR /a/b",                 "/a/ /a/b/ /a/f"),
        ("a/",                "WORKDIR /a",                   "/a/"),
        ("usr/lib/ lib->usr/lib", "WORKDIR /lib/x",           "/lib->usr/lib /usr/ /usr/lib/ /usr/lib/x/"),
        ("l->t/u",            "WORKDIR /l",                   "/l->t/u /t/ /t/u/"),
        ("f",                 "WORKDIR /f/x",                 "error: /f/x: not a directory"),
        ("f",                 "WORKDIR /f",                   "error: /f: not a directory"),
    ];
    for (before, instruction, after) in cases {
        assert_eq!(
            Bed::new().stage(before).after(instruction),
            after,
            "{instruction} on {before}"
        );
    }
}

#[test]
fn a_workdir_belongs_to_the_user() {
    let passwd = "bob:x:10:20::/:\n";
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("bob",    "10:20"),
        ("7",      "7:7"),
        ("7:8",    "7:8"),
        ("nosuch", "0:0"),
    ];
    for (user, owner) in cases {
        let bed = Bed::new();
        bed.stage
            .put(&file("etc/passwd", 0o644, passwd.len()), passwd);
        let written = bed.execute(&format!("USER {user}\nWORKDIR /a/b")).unwrap();
        let stat = bed
            .stage
            .root
            .stat(&LayerPath::clean("a"))
            .unwrap()
            .unwrap();
        assert_eq!(format!("{}:{}", stat.uid, stat.gid), owner, "{user}");
        assert_eq!(written, ["a", "a/b"].map(LayerPath::clean));
        assert_eq!(bed.mtime("a/b"), NOW);
    }
}

#[test]
fn sources_that_the_ignore_file_hides() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // patterns      instruction               findings
        ("*.md",         "COPY a.md b.go /d/",     "CopyIgnoredFile: `a.md` is excluded by the ignore file (line 3)"),
        ("src",          "ADD ./src/x /d/",        "CopyIgnoredFile: `./src/x` is excluded by the ignore file (line 3)"),
        ("*.md\n!a.md",  "COPY b.md /d/",          ""),
        ("*.md",         "COPY . /d/",             ""),
        ("**/*",         "COPY . /d/",             "CopyIgnoredFile: `.` is excluded by the ignore file (line 3)"),
        ("*.md",         "COPY --from=x a.md /d/", ""),
        ("*.md",         "ADD http://h/a.md /d/",  ""),
        ("*.md",         "# check=skip=CopyIgnoredFile\nCOPY a.md /d/", ""),
    ];
    for (patterns, instruction, want) in cases {
        let text = dockerfile(instruction);
        let ignore = dockerignore::parse(patterns.as_bytes()).unwrap();
        let findings = ignored_sources(&plan_of(&text), &ignore, &parsed(&text).checks);
        let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(findings.join("\n"), want, "{patterns:?} {instruction}");
    }
}
