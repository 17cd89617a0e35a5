//! The project's own container images: built by the executor, then by the executor in the image that it built, then used as
//! people use them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::container::{self, Container};
use crate::support::{Image, Sandbox, base, requires, tool};

const EPOCH: &str = "1000000000";

/// The repository's `Dockerfile` and what a build without internet access needs beside it.
fn sandbox() -> Sandbox {
    let mut t = Sandbox::new();
    t.env("SOURCE_DATE_EPOCH", EPOCH);
    t.dockerfile(include_str!("../Dockerfile"));
    t.file("dist/ca-certificates.crt", 0o600, "certificates\n");
    for (name, from) in [
        ("executor", Path::new(env!("CARGO_BIN_EXE_executor"))),
        ("busybox", base::busybox()),
    ] {
        fs_err::copy(from, t.context().join("dist").join(name)).unwrap();
    }
    t
}

fn args(target: &str, destination: &str) -> Vec<String> {
    let args = [
        "--build-arg=BINARY=prebuilt",
        "--build-arg=BUSYBOX=prebuilt-busybox",
        "--log-format=text",
        &format!("--target={target}"),
        &format!("--destination={destination}"),
    ];
    args.map(str::to_owned).into()
}

fn build(t: &Sandbox, target: &str) -> Image {
    t.build_and_pull(target, &args(target, &t.tag(target))[..4])
}

/// An unpacked image and what its config says about starting it.
pub struct Unpacked {
    config: Value,
    root: PathBuf,
    /// Holds the files, unless they are to stay.
    _image: Option<Image>,
}

impl Unpacked {
    /// Returns one of the images, which is built once a test run.
    pub fn of(target: &str) -> &'static Self {
        static EXECUTOR: OnceLock<Unpacked> = OnceLock::new();
        static DEBUG: OnceLock<Unpacked> = OnceLock::new();
        let built = match target {
            "debug" => &DEBUG,
            _ => &EXECUTOR,
        };
        built.get_or_init(|| {
            let dir = tempfile::Builder::new()
                .prefix(&format!("{target}-"))
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .unwrap()
                .keep();
            let image = build(&sandbox(), target);
            let from = image.unpack();
            let [from, to] = [&from, &dir].map(|path| path.to_str().unwrap());
            tool("cp", ["-a", &format!("{from}/."), to]);
            Self {
                config: image.config["config"].clone(),
                root: dir,
                _image: None,
            }
        })
    }

    fn new(image: Image) -> Self {
        Self {
            config: image.config["config"].clone(),
            root: image.unpack(),
            _image: Some(image),
        }
    }

    fn config(&self) -> &Value {
        &self.config
    }

    /// Returns a container as a runtime makes it from the image.
    pub fn container(&self) -> Container<'_> {
        let mut container = Container::new(&self.root);
        for variable in self.config()["Env"].as_array().unwrap() {
            let (name, value) = variable.as_str().unwrap().split_once('=').unwrap();
            container.env.push((name, value.to_owned()));
        }
        container.working_dir = self.config()["WorkingDir"].as_str().unwrap_or("/");
        container
    }

    /// Returns the entrypoint with arguments behind it.
    pub fn command(&self, args: &[String]) -> Vec<String> {
        let entrypoint = self.config()["Entrypoint"].as_array().unwrap().iter();
        let entrypoint = entrypoint.map(|word| word.as_str().unwrap().to_owned());
        entrypoint.chain(args.iter().cloned()).collect()
    }
}

/// Returns what was printed on stderr, if the program succeeded.
#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{stderr}\n{stdout}",
        output.status
    );
    stderr
}

#[test]
fn every_target_has_what_its_users_expect() {
    requires!(root);
    let t = sandbox();
    let env = |more: &[&str]| {
        let common = ["HOME=/root", "USER=root", "SSL_CERT_DIR=/kaniko/ssl/certs"];
        let mut all: Vec<String> = common.iter().chain(more).map(|v| v.to_string()).collect();
        all.sort();
        all
    };
    let gcr =
        "DOCKER_CREDENTIAL_GCR_CONFIG=/kaniko/.config/gcloud/docker_credential_gcr_config.json";
    let with_path = |path| env(&[path, "DOCKER_CONFIG=/kaniko/.docker/", gcr]);
    let (path, debug_path) = (
        "PATH=/usr/local/bin:/kaniko",
        "PATH=/usr/local/bin:/kaniko:/busybox",
    );
    let files = "d 0777 0:0 kaniko/\nf 0755 0:0 kaniko/executor\nd 0755 0:0 kaniko/ssl/\nd 0755 0:0 kaniko/ssl/certs/\nf 0644 0:0 kaniko/ssl/certs/ca-certificates.crt\n";
    let helpers = ["acr-env", "ecr-login", "gcr"]
        .map(|name| format!("l 0:0 kaniko/docker-credential-{name} -> executor\n"))
        .concat();
    let executor = "f 0755 0:0 kaniko/executor\n";
    let executor_files = format!("{files}d 0755 0:0 workspace/\n")
        .replace(executor, &format!("{helpers}{executor}"));
    let debug_files = format!(
        "d 0755 0:0 bin/\nl 0:0 bin/sh -> /busybox/sh\nd 0755 0:0 busybox/\n{}",
        executor_files
            .replace(
                "d 0777 0:0 kaniko/\n",
                "d 0777 0:0 kaniko/\nd 0755 0:0 kaniko/.docker/\n"
            )
            .replace(
                "d 0755 0:0 workspace/\n",
                "l 0:0 kaniko/warmer -> executor\nd 0755 0:0 workspace/\n"
            )
    );
    let warmer_files = executor_files.replace(
        "d 0755 0:0 workspace/\n",
        "f 0755 0:0 kaniko/warmer\nd 0755 0:0 workspace/\n",
    );
    let cases = [
        ("slim", env(&[path]), "", files.to_owned()),
        ("executor", with_path(path), "/workspace", executor_files),
        ("debug", with_path(debug_path), "/workspace", debug_files),
        ("warmer", with_path(path), "/workspace", warmer_files),
    ];
    for (target, env, working_dir, files) in cases {
        let image = build(&t, target);
        let config = &image.config["config"];
        let mut got: Vec<String> = serde_json::from_value(config["Env"].clone()).unwrap();
        got.sort();
        assert_eq!(got, env, "{target}");
        let entrypoint: Vec<String> = serde_json::from_value(config["Entrypoint"].clone()).unwrap();
        let program = match target {
            "warmer" => "/kaniko/warmer",
            _ => "/kaniko/executor",
        };
        assert_eq!(entrypoint, [program], "{target}");
        let got = config["WorkingDir"].as_str().unwrap_or_default();
        assert_eq!(got.trim_end_matches('/'), working_dir, "{target}");
        assert!(
            config["User"].as_str().unwrap_or_default().is_empty(),
            "{target}"
        );
        assert_eq!(listing(&image), files, "{target}");
    }
}

/// Lists an image's files without sizes, contents and busybox's applets.
fn listing(image: &Image) -> String {
    let tree = image.tree(".");
    let lines = tree
        .lines()
        .filter(|line| !line.contains(" busybox/") || line.ends_with(" busybox/"));
    let short = lines.map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            ["f", mode, owner, _, _, path] => format!("f {mode} {owner} {path}\n"),
            _ => format!("{line}\n"),
        }
    });
    short.collect()
}

#[test]
fn the_executor_builds_its_images_with_itself() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = sandbox();
    let unpacked = Unpacked::new(build(&t, "executor"));
    for target in ["executor", "debug", "slim"] {
        let by_the_host = build(&t, target);
        let tag = t.tag(&format!("again-{target}"));
        let mut container = unpacked.container();
        container.volume(&t.context(), "/context", true);
        container.env.push(("SOURCE_DATE_EPOCH", EPOCH.to_owned()));
        let mut args = args(target, &tag);
        args.push("--context=/context".into());
        let output = container.run(unpacked.command(&args));
        let stderr = succeeded(&output);
        let again = Image::pull(&t.registry, &tag);
        for layer in 0..again.layer_count() {
            assert_eq!(
                again.layer(layer),
                by_the_host.layer(layer),
                "{target} {layer}"
            );
        }
        assert_eq!(again.digest, by_the_host.digest, "{target}\n{stderr}");
    }
}

#[test]
fn the_warmer_fills_a_directory() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = sandbox();
    let unpacked = Unpacked::new(build(&t, "warmer"));
    let dir = t.path("shared");
    fs_err::create_dir(&dir).unwrap();
    let mut container = unpacked.container();
    container.volume(&dir, "/cache", false);
    let args = [
        "--log-format=text".to_owned(),
        format!("--image={}", t.base()),
    ];
    let stored = || fs_err::read_dir(dir.join("blobs/sha256")).unwrap().count();
    succeeded(&container.run(unpacked.command(&args)));
    assert_eq!(stored(), 3, "manifest, config, layer");
    // the debug image has it beside its shell
    fs_err::remove_dir_all(dir.join("blobs")).unwrap();
    let mut container = Unpacked::of("debug").container();
    container.volume(&dir, "/cache", false);
    let script = format!("cd / && /kaniko/warmer --image={}", t.base());
    succeeded(&container.run(["sh", "-c", &script]));
    assert_eq!(stored(), 3, "manifest, config, layer");
}
