//! The warmer: base images into the directory that builds share, under both of its names.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::{Finished, Image, Reply, Sandbox, Web, requires};

struct Warmer {
    t: Sandbox,
    base: String,
}

impl Warmer {
    fn new() -> Self {
        let t = Sandbox::new();
        let base = t.base();
        Self { t, base }
    }

    fn warm(&self, more: &[&str]) -> Finished {
        let dir = self.t.path("shared");
        let mut args = vec!["warm", "--log-format=text", "--cache-dir"];
        args.push(dir.to_str().unwrap());
        self.t
            .executor(args.into_iter().chain(more.iter().copied()))
    }

    fn blobs(&self) -> usize {
        let blobs = self.t.path("shared/blobs/sha256");
        fs_err::read_dir(blobs).map_or(0, Iterator::count)
    }

    /// Returns the requests for blobs and manifests since then.
    fn requests(&self, since: usize) -> Vec<String> {
        self.t.registry.requests()[since..].to_vec()
    }
}

#[test]
fn a_build_finds_what_was_warmed() {
    requires!(root);
    let w = Warmer::new();
    let finished = w.warm(&["-i", &w.base]).succeeded();
    assert!(finished.stderr.contains("Stored"), "{finished}");
    assert_eq!(w.blobs(), 3, "manifest, config, layer");
    let before = w.t.registry.requests().len();
    let finished = w.warm(&["-i", &w.base]).succeeded();
    assert!(
        finished
            .stderr
            .contains("Image already in cache: 127.0.0.1:"),
        "{finished}"
    );
    assert_eq!(w.requests(before), ["HEAD /v2/base/manifests/latest"]);

    w.t.dockerfile(&format!("FROM {}\nRUN true\n", w.base));
    let before = w.t.registry.requests().len();
    let dir = w.t.path("shared");
    w.t.build([
        "--no-push",
        "--cache",
        "--no-push-cache",
        "--cache-dir",
        dir.to_str().unwrap(),
    ])
    .succeeded();
    assert_eq!(w.requests(before), ["HEAD /v2/base/manifests/latest"]);

    // --force fetches everything again, and what is damaged is made good without it
    let before = w.t.registry.requests().len();
    w.warm(&["-f", "-i", &w.base]).succeeded();
    assert_eq!(w.requests(before).len(), 4);
    let image = Image::pull(&w.t.registry, &w.base);
    let layer = image.manifest["layers"][0]["digest"].as_str().unwrap();
    let blob = dir.join("blobs/sha256").join(&layer["sha256:".len()..]);
    let right = fs_err::read(&blob).unwrap();
    let mut wrong = right.clone();
    wrong[100] ^= 1;
    fs_err::write(&blob, wrong).unwrap();
    w.warm(&["-i", &w.base]).succeeded();
    assert_eq!(fs_err::read(&blob).unwrap(), right);
}

#[test]
fn the_base_images_of_a_dockerfile() {
    let w = Warmer::new();
    let host = w.t.registry.host();
    w.t.dockerfile(
        "ARG BASE=nowhere\nFROM ${BASE} AS one\nFROM one AS two\nFROM scratch\nFROM $BASE AS unused\n",
    );
    let file = w.t.context().join("Dockerfile");
    let file = file.to_str().unwrap();
    // the build arg wins over the declared default
    let argument = format!("--build-arg=BASE={}", w.base);
    let finished = w.warm(&["--dockerfile", file, &argument]).succeeded();
    assert_eq!(finished.stderr.matches("Stored").count(), 1, "{finished}");
    assert!(!finished.stderr.contains("WARN"), "{finished}");

    // what cannot be had is a warning, unless nothing can
    let missing = format!("{host}/missing:1");
    let finished = w.warm(&["-i", &missing, "-i", &w.base]).succeeded();
    assert!(
        finished.stderr.contains(&format!("cannot warm {missing}")),
        "{finished}"
    );
    w.warm(&["-i", &missing, "-i", "No:Such:Name"])
        .failed(1, "failed to warm any of the given images");
    w.warm(&[]).failed(
        1,
        "you must select at least one image to cache or a dockerfilepath to parse",
    );
    w.warm(&["-d", "/no/such/Dockerfile"])
        .failed(1, "Dockerfile");
    w.t.dockerfile("FROM scratch\nFOO\n");
    w.warm(&["-d", file]).failed(1, "> 2 | FOO");
    w.t.dockerfile("FROM scratch\n");
    w.warm(&["-d", file]).succeeded();
}

#[test]
fn the_program_is_the_warmer_under_that_name() {
    let w = Warmer::new();
    let warmer = w.t.path("warmer");
    symlink(env!("CARGO_BIN_EXE_executor"), &warmer).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(&warmer)
            .args(args)
            .env_clear()
            .current_dir(w.t.path("home"))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let dir = format!("-c={}", w.t.path("shared").display());
    assert_eq!(run(&[&dir, "-i", &w.base]).0, Some(0));
    assert_eq!(w.blobs(), 3);
    let (code, help) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("--customPlatform"), "{help}");
    assert_eq!(run(&["--destination=a/b"]).0, Some(1));
}

#[test]
fn who_is_told_to_stop_stops() {
    let w = Warmer::new();
    let (sender, asked) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let web = Web::new(move |request| {
        if request.target != "/v2/" {
            sender.lock().unwrap().send(()).unwrap();
            std::thread::park(); // never answers
        }
        Reply::new(200)
    });
    let app = web.url("/app").replace("http://", "");
    let dir = w.t.path("shared").display().to_string();
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&[&str], &str); 2] = [
        (&["warm", "--image", &app, "--cache-dir", &dir],            "error warming the cache: stopped by SIGTERM"),
        (&["cache", "prune", "--cache-repo", &app, "--keep", "1"],   "error pruning the cache: stopped by SIGTERM"),
    ];
    for (args, want) in cases {
        let mut command = w.t.command(args);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        asked.recv().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(143), "{args:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(want), "{stderr}");
    }
}

#[test]
fn one_platform_of_several() {
    let w = Warmer::new();
    let finished = w
        .warm(&["-i", &w.base, "--customPlatform=linux/not/a/platform"])
        .failed(1, "platform");
    assert_eq!(finished.code, Some(1));
    // an image for one platform is taken whatever it is for
    w.warm(&["-i", &w.base, "--customPlatform=linux/arm64"])
        .succeeded();
}
