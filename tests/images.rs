//! The project's own container images: built by the executor, then by the executor in the image that it built, then used as
//! people use them.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::container::{self, Container};
use crate::support::{Image, Sandbox, base, requires};

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
struct Unpacked {
    image: Image,
    root: PathBuf,
}

impl Unpacked {
    fn new(image: Image) -> Self {
        let root = image.unpack();
        Self { image, root }
    }

    fn config(&self) -> &Value {
        &self.image.config["config"]
    }

    /// Returns a container as a runtime makes it from the image.
    fn container(&self) -> Container<'_> {
        let mut container = Container::new(&self.root);
        for variable in self.config()["Env"].as_array().unwrap() {
            let (name, value) = variable.as_str().unwrap().split_once('=').unwrap();
            container.env.push((name, value.to_owned()));
        }
        container.working_dir = self.config()["WorkingDir"].as_str().unwrap_or("/");
        container
    }

    /// Returns the entrypoint with arguments behind it.
    fn command(&self, args: &[String]) -> Vec<String> {
        let entrypoint = self.config()["Entrypoint"].as_array().unwrap().iter();
        let entrypoint = entrypoint.map(|word| word.as_str().unwrap().to_owned());
        entrypoint.chain(args.iter().cloned()).collect()
    }
}

/// Returns what was printed on stderr, if the program succeeded.
#[track_caller]
fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{stderr}\n{stdout}",
        output.status
    );
    stderr
}

/// A small context for an image to build.
fn application(t: &Sandbox) -> PathBuf {
    let dir = t.path("application");
    fs_err::create_dir(&dir).unwrap();
    let text = format!(
        "FROM {}\nCOPY message /message\nRUN cat /message > /copy && test ! -e /kaniko/.docker/config.json\n",
        t.base()
    );
    fs_err::write(dir.join("Dockerfile"), text).unwrap();
    fs_err::write(dir.join("message"), "hello\n").unwrap();
    dir
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
        executor_files.replace(
            "d 0777 0:0 kaniko/\n",
            "d 0777 0:0 kaniko/\nd 0755 0:0 kaniko/.docker/\n"
        )
    );
    let cases = [
        ("slim", env(&[path]), "", files.to_owned()),
        ("executor", with_path(path), "/workspace", executor_files),
        ("debug", with_path(debug_path), "/workspace", debug_files),
    ];
    for (target, env, working_dir, files) in cases {
        let image = build(&t, target);
        let config = &image.config["config"];
        let mut got: Vec<String> = serde_json::from_value(config["Env"].clone()).unwrap();
        got.sort();
        assert_eq!(got, env, "{target}");
        let entrypoint: Vec<String> = serde_json::from_value(config["Entrypoint"].clone()).unwrap();
        assert_eq!(entrypoint, ["/kaniko/executor"], "{target}");
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
fn a_gitlab_script_runs_in_debug() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = sandbox();
    let unpacked = Unpacked::new(build(&t, "debug"));
    let application = application(&t);
    let mut container = unpacked.container();
    container.working_dir = "/builds/group/project";
    container.volume(&application, "/builds/group/project", false);
    let (first, second) = (t.tag("group/project:1"), t.tag("group/project:2"));
    let call = |destination: &str| {
        format!(
            "/kaniko/executor --context \"$CI_PROJECT_DIR\" --dockerfile \"$CI_PROJECT_DIR/Dockerfile\" --destination {destination} --cleanup"
        )
    };
    let script = format!(
        "set -e\nexport CI_PROJECT_DIR=$PWD\necho '{{\"auths\":{{}}}}' > /kaniko/.docker/config.json\n{}\nsed -i s/hello/bye/ message\n{}\ncat /kaniko/.docker/config.json\nls /\n",
        call(&first),
        call(&second)
    );
    let output = container.run(["sh", "-c", &script]);
    succeeded(&output);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout
            .ends_with("{\"auths\":{}}\nbin\nbuilds\nbusybox\ndev\nkaniko\nproc\nsys\nworkspace\n"),
        "the container is as it was\n{stdout}"
    );
    assert_eq!(Image::pull(&t.registry, &first).text("copy"), "hello\n");
    assert_eq!(Image::pull(&t.registry, &second).text("copy"), "bye\n");
}

#[test]
fn a_tekton_step_gets_its_digest() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = sandbox();
    let unpacked = Unpacked::new(build(&t, "executor"));
    let application = application(&t);
    for dir in ["tekton/results", "tekton/home"] {
        fs_err::create_dir_all(t.path(dir)).unwrap();
    }
    let mut container = unpacked.container();
    container.volume(&application, "/workspace/source", false);
    container.volume(&t.path("tekton"), "/tekton", false);
    container.env.retain(|(name, _)| *name != "HOME");
    container.env.push(("HOME", "/tekton/home".into()));
    let tag = t.tag("tekton");
    let args = [
        "--dockerfile=./Dockerfile",
        "--context=/workspace/source/./",
        &format!("--destination={tag}"),
        "--digest-file=/tekton/results/IMAGE_DIGEST",
    ];
    let args = args.map(str::to_owned);
    succeeded(&container.run(unpacked.command(&args)));
    let image = Image::pull(&t.registry, &tag);
    let digest = fs_err::read_to_string(t.path("tekton/results/IMAGE_DIGEST")).unwrap();
    assert_eq!(digest, image.digest);
    assert!(t.path("tekton/home").exists());
    assert!(!image.unpack().join("tekton").exists());
}
