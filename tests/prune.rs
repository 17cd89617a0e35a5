//! `executor cache prune`: what is old goes, what is new, foreign or only told about stays.

use crate::support::{Finished, Sandbox, requires, tool};

struct Caches {
    t: Sandbox,
    base: String,
}

impl Caches {
    fn new() -> Self {
        let t = Sandbox::new();
        let base = t.base();
        Self { t, base }
    }

    /// Builds with two RUNs whose layers are cached in a registry or in directories.
    fn build(&self, cache: &str) -> Finished {
        self.t
            .dockerfile(&format!("FROM {}\nRUN echo one\nRUN echo two\n", self.base));
        let dir = format!("--cache-dir={}", self.t.path("shared").display());
        let repository = format!("--cache-repo={cache}");
        self.t
            .build(["--no-push", "--cache", &repository, &dir])
            .succeeded()
    }

    fn prune(&self, args: &[&str]) -> Finished {
        let own = ["cache", "prune", "--log-format=text"];
        self.t.executor(own.iter().chain(args))
    }

    fn entries(&self) -> usize {
        self.t.registry.tags("cache").len()
    }
}

#[test]
fn entries_of_a_registry() {
    requires!(root);
    let c = Caches::new();
    let cache = c.t.tag("cache");
    c.build(&cache);
    assert_eq!(c.entries(), 2);
    // an image that has no business here, under a name like a key's
    let foreign = format!("docker://{cache}:{}", "0".repeat(64));
    let mut args = vec!["copy".to_owned(), "--quiet".to_owned()];
    args.extend(c.t.registry.skopeo_options("src"));
    args.extend(c.t.registry.skopeo_options("dest"));
    args.extend([format!("docker://{}", c.base), foreign]);
    tool("skopeo", args);

    let repository = format!("--cache-repo={cache}");
    c.prune(&[&repository, "--older-than=30d"]).succeeded();
    let told = c
        .prune(&[&repository, "--older-than=0d", "--keep=1", "--dryrun"])
        .succeeded();
    assert_eq!(
        told.stderr.matches("Would remove 127.0.0.1:").count(),
        1,
        "{told}"
    );
    assert_eq!(c.entries(), 3);
    let finished = c.prune(&[&repository, "--keep=1"]).succeeded();
    assert!(
        finished
            .stderr
            .contains("Removed 1 entries, kept 1, left 1 that are no entries alone"),
        "{finished}"
    );
    c.prune(&[&repository, "--keep=1"]).succeeded();
    let ran = c.build(&cache).stdout;
    assert!(ran == "one\n" || ran == "two\n", "{ran}");
    c.prune(&[&repository, "--older-than=0s"]).succeeded();
    assert_eq!(c.build(&cache).stdout, "one\ntwo\n");
    assert_eq!(c.build(&cache).stdout, "");
    c.prune(&["--cache-repo", &c.t.tag("nothing"), "--keep=1"])
        .succeeded();
}

#[test]
fn entries_in_directories() {
    requires!(root);
    let c = Caches::new();
    let prefix = c.t.path("layers");
    let cache = format!("oci:{}", prefix.display());
    c.build(&cache);
    let repository = format!("--cache-repo={cache}");
    let other = c.t.path("layers:other");
    fs_err::create_dir(&other).unwrap();
    let entries = || {
        let listing = fs_err::read_dir(prefix.parent().unwrap()).unwrap();
        let names = listing.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("layers:")).count()
    };
    assert_eq!(entries(), 3);
    c.prune(&[&repository, "--older-than=1h"]).succeeded();
    c.prune(&[&repository, "--keep=0", "--dryrun"]).succeeded();
    assert_eq!(entries(), 3);
    c.prune(&[&repository, "--keep=1"]).succeeded();
    assert_eq!(entries(), 2);
    c.prune(&[&repository, "--keep=0"]).succeeded();
    assert_eq!(entries(), 1);
    assert!(other.exists());
    assert_eq!(c.build(&cache).stdout, "one\ntwo\n");
}

#[test]
fn the_directory_that_builds_share() {
    requires!(root);
    let c = Caches::new();
    c.build(&c.t.tag("cache"));
    let dir = c.t.path("shared");
    fs_err::create_dir_all(dir.join("mounts/kept")).unwrap();
    let option = format!("--cache-dir={}", dir.display());
    let blobs = || fs_err::read_dir(dir.join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs(), 3);
    c.prune(&[&option, "--older-than=1h"]).succeeded();
    c.prune(&[&option, "--keep=1"]).succeeded();
    c.prune(&[&option, "--older-than=0s", "--dryrun"])
        .succeeded();
    assert_eq!(blobs(), 3);
    let finished = c.prune(&[&option, "--older-than=0s"]).succeeded();
    assert!(
        finished.stderr.contains("Removed 3 blobs, kept 0"),
        "{finished}"
    );
    assert_eq!(blobs(), 0);
    assert!(dir.join("mounts/kept").exists());
    c.prune(&["--cache-dir=/no/such/dir", "--keep=1"])
        .succeeded();
}
