//! The examples of README and `src/pipelines.md`: image, arguments, environment, script and mounts are taken from the text and run as the
//! places they are written for run them, with a registry that asks for a password.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::git_contexts::{repositories, serve};
use crate::images::{Unpacked, succeeded};
use crate::support::container::{self, Container};
use crate::support::manifest::{self, Cluster, example, strings, validate, yaml};
use crate::support::registry::{PASSWORD, USER};
use crate::support::{Image, Registry, Sandbox, base, requires, tool_in};

/// The names that the examples use.
const EXECUTOR: &str = "registry.example.com/executor:latest";
const DEBUG: &str = "registry.example.com/executor:debug";
const APP: &str = "registry.example.com/app";

/// A sandbox with a private registry and an application to build.
struct Stage {
    t: Sandbox,
    source: PathBuf,
    /// Where a node would lay out secrets.
    secrets: PathBuf,
}

impl Stage {
    /// `hides` says that the container's credentials can be kept from a RUN.
    fn new(hides: bool) -> Self {
        Self::with(Registry::basic_auth(), hides)
    }

    fn with(registry: Registry, hides: bool) -> Self {
        let t = Sandbox::with(registry);
        let source = t.path("source");
        fs_err::create_dir(&source).unwrap();
        let base = base::push(&t.registry);
        let hidden = match hides {
            true => " && test ! -e /kaniko/.docker/config.json",
            false => "",
        };
        let text = format!(
            "FROM {base}\nARG VERSION=0\nCOPY message /message\nRUN echo $VERSION > /version{hidden}\nRUN cat /message > /copy\n"
        );
        fs_err::write(source.join("Dockerfile"), text).unwrap();
        fs_err::write(source.join("message"), "hello\n").unwrap();
        let secrets = t.path("secrets");
        Self { t, source, secrets }
    }

    /// Puts our registry in the place of the example's.
    fn argument(&self, text: &str) -> String {
        text.replace(APP, &self.t.tag("app"))
    }

    fn arguments(&self, list: &Value) -> Vec<String> {
        strings(list)
            .iter()
            .map(|text| self.argument(text))
            .collect()
    }

    fn cluster(&self) -> Cluster<'_> {
        Cluster {
            dir: &self.secrets,
            docker_config: self.t.registry.docker_config(),
            storage: &self.source,
        }
    }

    fn pull(&self, tag: &str) -> Image {
        let image = Image::pull(&self.t.registry, &self.t.tag(&format!("app:{tag}")));
        assert_eq!(image.text("copy"), "hello\n");
        for place in ["kaniko", "workspace", "tekton", "builder", "github"] {
            assert!(!image.unpack().join(place).exists(), "{place}");
        }
        image
    }
}

/// Has a shell expand an example in a directory; returns what it calls `docker` with, a word a line.
fn docker_is_given(t: &Sandbox, heading: &str, dir: &Path) -> String {
    let bin = t.path("bin");
    fs_err::create_dir(&bin).unwrap();
    // made by another process: what this one writes, no thread can start while another starts something
    let script = "printf '#!/bin/sh\\nprintf \"%%s\\\\n\" \"$@\"\\n' >docker && chmod 755 docker";
    tool_in(&bin, "sh", ["-c", script]);
    let output = Command::new("sh")
        .args(["-c", example(heading)])
        .current_dir(dir)
        .env("HOME", t.path("home"))
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_images() {
    let t = Sandbox::new();
    let words = docker_is_given(&t, "The images", &t.context());
    let words: Vec<&str> = words.lines().collect();
    let mut names = Vec::new();
    for calls in words.chunks(8) {
        let [
            "build",
            "--target",
            target,
            "--tag",
            name,
            ".",
            "push",
            pushed,
        ] = calls
        else {
            panic!("{words:?}");
        };
        assert_eq!(name, pushed);
        let stage = format!(" AS {target}\n");
        assert!(include_str!("../Dockerfile").contains(&stage), "{target}");
        names.push(*name);
    }
    assert_eq!(names[..2], [EXECUTOR, DEBUG]);
    assert_eq!(names[2..], ["registry.example.com/executor:warmer"]);
}

#[test]
fn docker_run() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let stage = Stage::new(true);
    let t = &stage.t;
    let home = t.path("home");
    fs_err::create_dir(home.join(".docker")).unwrap();
    fs_err::write(home.join(".docker/config.json"), t.registry.docker_config()).unwrap();
    let words = docker_is_given(t, "docker run", &stage.source);
    let mut words = words.lines();
    assert_eq!((words.next(), words.next()), (Some("run"), Some("--rm")));
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    let image = loop {
        match words.next().unwrap() {
            "-v" => {
                let mut parts = words.next().unwrap().split(':');
                let (from, to) = (parts.next().unwrap(), parts.next().unwrap());
                container.volume(Path::new(from), to, parts.next() == Some("ro"));
            }
            image => break image,
        }
    };
    assert_eq!(image, EXECUTOR);
    let args: Vec<String> = words.map(|word| stage.argument(word)).collect();
    succeeded(&container.run(executor.command(&args)));
    stage.pull("1.0");
}

#[test]
fn a_kubernetes_job() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    validate(example("Kubernetes"));
    let stage = Stage::new(true);
    let job = yaml(example("Kubernetes"));
    let pod = &job["spec"]["template"]["spec"];
    let spec = &pod["containers"][0];
    assert_eq!(spec["image"], EXECUTOR);
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    stage.cluster().mount(pod, spec, &mut container);
    // what a node adds to every container
    let log = stage.t.path("termination-log");
    fs_err::write(&log, "").unwrap();
    container.volume(&log, "/dev/termination-log", false);
    let args = stage.arguments(&spec["args"]);
    succeeded(&container.run(executor.command(&args)));
    let image = stage.pull("1.0");
    assert_eq!(fs_err::read_to_string(log).unwrap(), image.digest);
}

#[test]
fn gitlab_ci() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::new(true);
    let job = &yaml(example("GitLab CI"))["build"];
    assert_eq!(job["image"]["name"], DEBUG);
    assert_eq!(strings(&job["image"]["entrypoint"]), [""]);
    let script = strings(&job["script"]);
    let [login, build] = &script[..] else {
        panic!("{script:?}");
    };
    assert!(login.starts_with("echo "), "{login}");
    let debug = Unpacked::of("debug");
    let mut container = debug.container();
    let project = "/builds/group/project";
    container.volume(&stage.source, project, false);
    container.working_dir = project;
    let host = stage.t.registry.host();
    container.env.extend([
        ("CI_PROJECT_DIR", project.to_owned()),
        ("CI_REGISTRY", host),
        ("CI_REGISTRY_USER", USER.to_owned()),
        ("CI_REGISTRY_PASSWORD", PASSWORD.to_owned()),
        ("CI_REGISTRY_IMAGE", stage.t.tag("app")),
        ("CI_COMMIT_TAG", "1.0".to_owned()),
    ]);
    // two jobs' scripts in one container, as with a runner that keeps it; then what is said of the line that may be left out
    let script = format!("set -e\n{login}\n{build}\n{login}\n{build}\n");
    succeeded(&container.run(["sh", "-c", &script]));
    stage.pull("1.0");
    succeeded(&container.run(["sh", "-ec", build]));
    stage.pull("1.0");
}

#[test]
fn a_jenkins_pod() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::new(false);
    let parts: Vec<&str> = example("Jenkins").split("'''").collect();
    let head = "apiVersion: v1\nkind: Pod\nmetadata: {name: agent}\n";
    validate(&format!("{head}{}", parts[1]));
    let pod = &yaml(parts[1])["spec"];
    let spec = &pod["containers"][0];
    assert_eq!(spec["image"], DEBUG);
    let (_, step) = parts[2].split_once("sh '").unwrap();
    let script = stage.argument(step.split_once('\'').unwrap().0);
    let debug = Unpacked::of("debug");
    let mut container = debug.container();
    stage.cluster().mount(pod, spec, &mut container);
    container.volume(&stage.source, "/home/jenkins/agent/workspace/app", false);
    let running = container.start(strings(&spec["command"]));
    for number in ["7", "8"] {
        let workspace = "/home/jenkins/agent/workspace/app";
        let env = [format!("BUILD_NUMBER={number}")];
        let output = running.exec(workspace, &env, &["/bin/sh", "-xec", &script]);
        succeeded(&output);
        stage.pull(number);
    }
    let left = running.exec("/", &[], &["ls", "/", "/home/jenkins/agent/workspace/app"]);
    assert_eq!(
        String::from_utf8_lossy(&left.stdout),
        "/:\nbin\nbusybox\ndev\nhome\nkaniko\nproc\nsys\nworkspace\n\n\
         /home/jenkins/agent/workspace/app:\nDockerfile\nmessage\n"
    );
}

#[test]
fn a_tekton_task() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::new(false);
    let task = &yaml(example("Tekton"))["spec"];
    let step = &task["steps"][0];
    assert_eq!(step["image"], EXECUTOR);
    assert_eq!(step["securityContext"]["runAsUser"], "0");
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    let tekton = stage.t.path("tekton");
    for dir in ["bin", "home", "results"] {
        fs_err::create_dir_all(tekton.join(dir)).unwrap();
    }
    fs_err::copy(base::busybox(), tekton.join("bin/busybox")).unwrap();
    container.volume(&tekton, "/tekton", false);
    container.volume(&stage.source, "/workspace/source", false);
    let config = stage.t.path("dockerconfig");
    fs_err::create_dir(&config).unwrap();
    fs_err::write(config.join("config.json"), stage.t.registry.docker_config()).unwrap();
    let workspace = &task["workspaces"][1];
    assert_eq!(workspace["name"], "dockerconfig");
    container.volume(&config, workspace["mountPath"].as_str().unwrap(), true);
    container.env.retain(|(name, _)| *name != "HOME");
    container.env.push(("HOME", "/tekton/home".into()));
    let result = task["results"][0]["name"].as_str().unwrap();
    let fill_in = |text: String| {
        text.replace("$(workspaces.source.path)", "/workspace/source")
            .replace("$(params.IMAGE)", &stage.t.tag("app:1.0"))
            .replace(
                &format!("$(results.{result}.path)"),
                "/tekton/results/digest",
            )
    };
    let args: Vec<String> = strings(&step["args"]).into_iter().map(fill_in).collect();
    // Tekton's program starts the image's
    let shell = ["/tekton/bin/busybox", "sh", "-c", "\"$0\" \"$@\""].map(str::to_owned);
    let command: Vec<String> = shell.into_iter().chain(executor.command(&args)).collect();
    succeeded(&container.run(command));
    let image = stage.pull("1.0");
    let digest = fs_err::read_to_string(tekton.join("results/digest")).unwrap();
    assert_eq!(digest, image.digest);
    assert!(tekton.join("bin/busybox").exists() && tekton.join("home").exists());
}

#[test]
fn an_argo_workflow() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::new(true);
    let workflow = &yaml(example("Argo Workflows"))["spec"];
    let spec = &workflow["templates"][0]["container"];
    assert_eq!(spec["image"], EXECUTOR);
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    stage.cluster().mount(workflow, spec, &mut container);
    container.env.push(("GIT_PULL_METHOD", "http".into()));
    let web = serve(repositories(&stage.t).root, None);
    let git = web.url("").replace("http://", "git://");
    let args = stage.arguments(&spec["args"]);
    let fill_in = |text: &String| {
        text.replace("git://git.example.com", &git)
            .replace("{{workflow.uid}}", "1.0")
    };
    let args: Vec<String> = args.iter().map(fill_in).collect();
    succeeded(&container.run(executor.command(&args)));
    let image = Image::pull(&stage.t.registry, &stage.t.tag("app:1.0"));
    assert_eq!(image.text("version"), "second");
}

#[test]
fn skaffold() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::new(false);
    let build = &yaml(example("Skaffold"))["build"];
    let artifact = &build["artifacts"][0];
    let kaniko = &artifact["kaniko"];
    assert_eq!(kaniko["image"], EXECUTOR);
    assert_eq!(build["cluster"]["dockerConfig"]["secretName"], "regcred");
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    // The context comes into a volume below the executor's own directory.
    container.volume(&stage.source, "/kaniko/buildcontext", false);
    let config = stage.t.path("docker-cfg");
    fs_err::create_dir(&config).unwrap();
    fs_err::write(config.join("config.json"), stage.t.registry.docker_config()).unwrap();
    container.volume(&config, "/kaniko/.docker/", true);
    let client = "UpstreamClient(skaffold-v2.16.0)".to_owned();
    container.env.push(("UPSTREAM_CLIENT_TYPE", client));
    let destination = format!("{}:1.0", artifact["image"].as_str().unwrap());
    let version = kaniko["buildArgs"]["VERSION"].as_str().unwrap();
    let args = [
        "--destination",
        &stage.argument(&destination),
        "--dockerfile",
        kaniko["dockerfile"].as_str().unwrap(),
        "--context",
        "dir:///kaniko/buildcontext",
        "--build-arg",
        &format!("VERSION={version}"),
    ];
    let args = args.map(str::to_owned);
    succeeded(&container.run(executor.command(&args)));
    assert_eq!(stage.pull("1.0").text("version"), "1\n");
}

/// Runs a step that gets its files and its working directory from the place, and `env` besides.
fn run_step(stage: &Stage, at: &str, args: &[String], configure: impl FnOnce(&mut Container<'_>)) {
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    container.volume(&stage.source, at, false);
    container.env.retain(|(name, _)| *name != "HOME");
    configure(&mut container);
    succeeded(&container.run(executor.command(args)));
}

#[test]
fn cloud_build() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::with(Registry::plain(), true);
    let step = &yaml(example("Cloud Build"))["steps"][0];
    assert_eq!(step["name"], EXECUTOR);
    let args = stage.arguments(&step["args"]);
    let args: Vec<String> = args
        .iter()
        .map(|text| text.replace("$COMMIT_SHA", "1.0"))
        .collect();
    let builder = stage.t.path("builder");
    for dir in ["home", "outputs"] {
        fs_err::create_dir_all(builder.join(dir)).unwrap();
    }
    run_step(&stage, "/workspace", &args, |container| {
        container.volume(&builder, "/builder", false);
        container.env.push(("HOME", "/builder/home".into()));
        container
            .env
            .push(("BUILDER_OUTPUT", "/builder/outputs".into()));
    });
    let image = stage.pull("1.0");
    let images = fs_err::read_to_string(builder.join("outputs/images")).unwrap();
    assert!(images.contains(&image.digest), "{images}");
    assert!(!stage.t.registry.tags("app/cache").is_empty());
}

#[test]
fn github_actions() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let stage = Stage::new(true);
    let job = &yaml(example("GitHub Actions"))["jobs"]["image"];
    let step = &job["steps"][1];
    assert_eq!(step["uses"], format!("docker://{EXECUTOR}"));
    let args = stage.argument(step["with"]["args"].as_str().unwrap());
    let args = args.replace("${{ github.sha }}", "1.0");
    let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
    assert!(step["env"]["DOCKER_AUTH_CONFIG"].is_string());
    let home = stage.t.path("github");
    fs_err::create_dir(&home).unwrap();
    run_step(&stage, "/github/workspace", &args, |container| {
        container.volume(&home, "/github/home", false);
        container.working_dir = "/github/workspace";
        let config = stage.t.registry.docker_config();
        container.env.push(("DOCKER_AUTH_CONFIG", config));
        container.env.push(("HOME", "/github/home".into()));
    });
    stage.pull("1.0");
}
