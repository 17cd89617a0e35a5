//! The layer cache: what is cached is not done again, what changed is, and the image is the same either way.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Finished, Image, Sandbox, requires, tool};

const CACHED: [&str; 2] = ["--cache", "--cache-copy-layers"];

/// A build with the cache, of which only what matters here is kept.
pub struct Cached {
    pub t: Sandbox,
    pub base: String,
}

impl Cached {
    pub fn new() -> Self {
        let t = Sandbox::new();
        let base = t.base();
        Self { t, base }
    }

    /// Writes the Dockerfile; `BASE` stands for the base image.
    pub fn dockerfile(&self, text: &str) -> &Self {
        self.t.dockerfile(&text.replace("BASE", &self.base));
        self
    }

    pub fn build(&self, more: &[&str]) -> (Finished, Image) {
        let tag = self.t.tag("app");
        let args = ["--destination", &tag, "--verbosity=debug"];
        let args = args.iter().chain(&CACHED).chain(more);
        let finished = self.t.build(args).succeeded();
        assert_eq!(self.t.kaniko_dir(), "", "{finished}");
        let image = Image::pull(&self.t.registry, &tag);
        (finished, image)
    }

    /// Returns the reference of the entry whose layer the instruction made.
    pub fn entry(&self, created_by: &str) -> (String, Image) {
        let tags = self.t.registry.tags("app/cache");
        let entries = tags.iter().map(|tag| {
            let reference = format!("{}:{tag}", self.t.tag("app/cache"));
            let image = Image::pull(&self.t.registry, &reference);
            (reference, image)
        });
        entries
            .into_iter()
            .find(|(_, image)| image.history()[0].contains(created_by))
            .unwrap_or_else(|| panic!("no entry for {created_by}"))
    }
}

/// Returns what the log says of each instruction: `+` for a hit, `-` for a miss.
pub fn verdicts(finished: &Finished) -> Vec<String> {
    let line = |line: &str| {
        let (_, hit) = line.split_once("Using caching version of cmd: ").unzip();
        let (_, miss) = line.split_once("No cached layer found for cmd ").unzip();
        let line = hit.map(|text| format!("+ {text}"));
        let line = line.or(miss.map(|text| format!("- {text}")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    finished.stderr.lines().filter_map(line).collect()
}

#[test]
fn a_second_build_executes_nothing() {
    requires!(root);
    let c = Cached::new();
    c.t.file("f", 0o644, "f\n");
    c.dockerfile("FROM BASE\nCOPY f /f\nRUN echo ran-one; date +%s%N > /date\nENV A=1\nWORKDIR /srv\nRUN echo ran-two; cat /date /f > /both\n");
    let digest_file = c.t.path("digest");
    let digest_option = format!("--digest-file={}", digest_file.display());
    let (first, image) = c.build(&[&digest_option]);
    assert_eq!(
        verdicts(&first),
        [
            "- COPY f /f",
            "- RUN echo ran-one; date +%s%N > /date",
            "- WORKDIR /srv",
            "- RUN echo ran-two; cat /date /f > /both"
        ],
    );
    assert!(
        first
            .stderr
            .contains("Checking for cached layer 127.0.0.1:"),
        "{first}"
    );
    assert!(first.stderr.contains("Pushing layer 127.0.0.1:"), "{first}");
    assert!(first.stderr.contains("miss: first build"), "{first}");
    assert_eq!(first.stdout, "ran-one\nran-two\n");
    assert_eq!(
        fs_err::read_to_string(&digest_file).unwrap().trim(),
        image.digest
    );
    assert_eq!(c.t.registry.tags("app/cache").len(), 4);

    let (second, again) = c.build(&[]);
    assert_eq!(
        verdicts(&second),
        [
            "+ COPY f /f",
            "+ RUN echo ran-one; date +%s%N > /date",
            "+ WORKDIR /srv",
            "+ RUN echo ran-two; cat /date /f > /both"
        ],
    );
    assert_eq!(second.stdout, "");
    assert!(
        second
            .stderr
            .contains("Skipping unpacking as no commands require it."),
        "{second}"
    );
    assert!(
        !second.stderr.contains("pushed blob"),
        "nothing is uploaded: {second}"
    );
    assert_eq!(image.digest, again.digest, "cached layers keep their times");

    // another repository gets the layers by mounting
    let other = c.t.tag("other");
    let cache = c.t.tag("app/cache");
    let mounted = c.t.build([
        "--destination",
        &other,
        "--verbosity=debug",
        "--cache",
        "--cache-copy-layers",
        "--cache-repo",
        &cache,
    ]);
    let mounted = mounted.succeeded();
    assert_eq!(
        mounted.stderr.matches("mounted blob").count(),
        image.layer_count(),
        "{mounted}"
    );
    assert_eq!(Image::pull(&c.t.registry, &other).digest, image.digest);
}

#[test]
fn an_edit_misses_only_what_depends_on_it() {
    requires!(root);
    let c = Cached::new();
    c.t.file("a", 0o644, "a\n");
    c.t.file("b", 0o644, "b\n");
    c.t.file(".dockerignore", 0o644, "ignored\n");
    let text = "FROM BASE\nLABEL l=1\nRUN echo ran-start > /start; echo ran-start\nCOPY a /a\nRUN cat /a\nCOPY --link b /b\nRUN cat /b\n";
    c.dockerfile(text).build(&[]);
    let ran = |c: &Cached| c.build(&[]).0.stdout;
    assert_eq!(ran(&c), "");

    c.t.file("a", 0o644, "a\n"); // another mtime
    c.t.file("ignored", 0o644, "x");
    c.t.file("unrelated", 0o644, "x");
    c.dockerfile(&text.replace("l=1", "l=2 m=3"));
    assert_eq!(
        ran(&c),
        "",
        "times, ignored and unrelated files and labels are in no key"
    );

    c.t.file("b", 0o644, "changed\n");
    assert_eq!(ran(&c), "changed\n");
    c.t.file("a", 0o755, "a\n");
    let (finished, image) = c.build(&[]);
    assert_eq!(finished.stdout, "a\nchanged\n");
    assert!(
        verdicts(&finished).contains(&"+ COPY --link b /b".to_owned()),
        "a linked copy stands alone: {finished}"
    );
    assert!(
        finished
            .stderr
            .contains("miss: the instruction, a variable it sees, or a file it reads changed"),
        "{finished}"
    );
    assert!(
        image.tree("").starts_with("f 0755 0:0 2 "),
        "{}",
        image.tree("")
    );

    c.dockerfile(&text.replace("COPY --link", "ENV X=1\nCOPY --link"));
    let (finished, _) = c.build(&[]);
    assert_eq!(
        finished.stdout, "changed\n",
        "the variable is seen by what comes after it"
    );
    // a build arg counts where it is in scope
    c.dockerfile("FROM BASE\nRUN echo one\nARG V\nRUN echo $V\n")
        .build(&["--build-arg=V=1"]);
    assert_eq!(c.build(&["--build-arg=V=2"]).0.stdout, "2\n");
    assert_eq!(c.build(&["--build-arg=V=1"]).0.stdout, "");
}

#[test]
fn mounted_files_are_seen_and_secrets_are_not() {
    requires!(root);
    let c = Cached::new();
    c.t.file("src/f", 0o644, "one\n");
    fs_err::write(c.t.path("secret"), "first").unwrap();
    let secret = format!("--secret=id=s,src={}", c.t.path("secret").display());
    c.dockerfile(
        "FROM BASE AS tools\nRUN echo tool > /tool\nFROM BASE\n\
         RUN --mount=type=bind,source=src,target=/m --mount=type=secret,id=s cat /m/f\n\
         RUN --mount=type=bind,from=tools,source=/,target=/t cat /t/tool\n",
    );
    let ran = || c.build(&[&secret]).0.stdout;
    assert_eq!(ran(), "one\ntool\n");
    fs_err::write(c.t.path("secret"), "second").unwrap();
    assert_eq!(ran(), "");
    c.t.file("src/f", 0o644, "two\n");
    assert_eq!(ran(), "two\ntool\n");
}

#[test]
fn stages_that_nobody_needs_are_not_built() {
    requires!(root);
    let c = Cached::new();
    c.t.file("f", 0o644, "f\n");
    let text = "FROM BASE AS builder\nCOPY f /f\nRUN echo ran-builder; cp /f /out\nFROM BASE\nCOPY --from=builder /out /out\nRUN echo ran-last\n";
    c.dockerfile(text).build(&[]);
    c.dockerfile(&text.replace("ran-last", "ran-other"));
    let (finished, image) = c.build(&[]);
    assert_eq!(finished.stdout, "ran-other\n");
    assert!(finished.stderr.contains("skipping the stage"), "{finished}");
    assert_eq!(
        finished.stderr.matches("Unpacking rootfs as cmd").count(),
        1,
        "{finished}"
    );
    assert_eq!(image.text("out"), "f\n");

    // without cached copies the stage is put together from its layers, and nothing is executed
    let tag = c.t.tag("app");
    let finished = c.t.build(["--destination", &tag, "--cache"]).succeeded();
    assert_eq!(finished.stdout, "", "{finished}");
    assert!(
        finished
            .stderr
            .contains("Found cached layer, extracting to filesystem"),
        "{finished}"
    );
    assert_eq!(Image::pull(&c.t.registry, &tag).text("out"), "f\n");

    c.t.file("f", 0o644, "changed\n");
    let (finished, image) = c.build(&[]);
    assert_eq!(finished.stdout, "ran-builder\nran-other\n");
    assert_eq!(image.text("out"), "changed\n");
}

#[test]
fn old_entries_and_switches() {
    requires!(root);
    let c = Cached::new();
    c.dockerfile("FROM BASE\nRUN echo ran\n")
        .build(&["--no-push-cache"]);
    assert!(c.t.registry.tags("app/cache").is_empty());
    assert_eq!(c.build(&["--cache-run-layers=false"]).0.stdout, "ran\n");
    assert!(c.t.registry.tags("app/cache").is_empty());
    assert_eq!(c.build(&[]).0.stdout, "ran\n");
    let (finished, _) = c.build(&["--cache-ttl=1ns"]);
    assert_eq!(finished.stdout, "ran\n");
    assert!(
        finished.stderr.contains("Cache entry expired: "),
        "{finished}"
    );
    assert_eq!(c.build(&["--cache-ttl=1h"]).0.stdout, "");
    // what is compressed otherwise is another layer
    assert_eq!(
        c.build(&["--compression=zstd", "--image-format=oci"])
            .0
            .stdout,
        "ran\n"
    );
    assert_eq!(
        c.build(&["--compression=zstd", "--image-format=oci"])
            .0
            .stdout,
        ""
    );
    // media types follow the image, not the entry
    let (finished, image) = c.build(&["--image-format=docker"]);
    assert_eq!(finished.stdout, "");
    let last = image.manifest["layers"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        last["mediaType"],
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    );
    // a cache that cannot be reached costs a warning
    let unreachable =
        c.t.build([
            "--no-push",
            "--cache",
            "--cache-repo=127.0.0.1:1/cache",
            "--skip-push-permission-check",
        ])
        .succeeded();
    let mut lines = unreachable.stderr.lines();
    let advised = lines.find(|line| line.contains("cannot look into the layer cache"));
    assert!(
        advised.is_some_and(|line| line.contains("; check its name and port")),
        "{unreachable}"
    );
}

#[test]
fn layers_are_cached_in_directories_too() {
    requires!(root);
    let c = Cached::new();
    let prefix = c.t.path("layers");
    let repository = format!("--cache-repo=oci:{}", prefix.display());
    c.t.file("f", 0o644, "f\n");
    c.dockerfile("FROM BASE\nCOPY f /f\nRUN echo ran-one; cat /f > /g\nRUN echo ran-two\n");
    let build = || {
        let args = ["--no-push", "--cache", "--cache-copy-layers", &repository];
        c.t.build(args).succeeded().stdout
    };
    assert_eq!(build(), "ran-one\nran-two\n");
    assert_eq!(build(), "");
    let entries = || -> Vec<PathBuf> {
        let entries = fs_err::read_dir(prefix.parent().unwrap()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.display().to_string().contains("layers:"))
            .collect()
    };
    assert_eq!(entries().len(), 3);
    let entry = entries().into_iter().find(|path| {
        config(path)["history"][0]["created_by"]
            .as_str()
            .unwrap()
            .contains("ran-one")
    });
    let entry = entry.unwrap();
    // skopeo, too, finds an image there; it takes what stands behind a colon for a tag
    let plain = c.t.path("plain");
    tool("cp", [Path::new("-r"), &entry, &plain]);
    tool("skopeo", ["inspect", &format!("oci:{}", plain.display())]);
    let layer = manifest(&entry)["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let blob = entry
        .join("blobs/sha256")
        .join(layer.strip_prefix("sha256:").unwrap());
    let mut bytes = fs_err::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&blob, bytes).unwrap();
    assert_eq!(build(), "ran-one\n", "only the damaged layer is made anew");
    assert_eq!(build(), "");
    let tag = c.t.tag("app");
    c.t.build([
        "--destination",
        &tag,
        "--cache",
        "--cache-copy-layers",
        &repository,
    ])
    .succeeded();
    assert_eq!(Image::pull(&c.t.registry, &tag).text("g"), "f\n");
}

fn manifest(layout: &Path) -> Value {
    let index: Value =
        serde_json::from_slice(&fs_err::read(layout.join("index.json")).unwrap()).unwrap();
    document(layout, &index["manifests"][0]["digest"])
}

fn config(layout: &Path) -> Value {
    document(layout, &manifest(layout)["config"]["digest"])
}

fn document(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&fs_err::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
}
