//! `executor job`: what it prints is valid in Kubernetes, and does what the same flags do here.

use expect_test::expect;
use serde_json::{Value, json};

use crate::git_contexts::{repositories, serve};
use crate::images::{Unpacked, succeeded};
use crate::platforms::{architectures, raw};
use crate::support::container;
use crate::support::manifest::{self, Cluster, strings, validate, yaml};
use crate::support::{Image, Registry, Sandbox, requires};

const EVERYTHING: [&str; 15] = [
    "job",
    "--executor-image=registry.example.com/executor:1.0",
    "--registry-secret=regcred",
    "--git-secret=deploy-key",
    "--env-secret=git",
    "--env-secret=cloud",
    "--service-account=builder",
    "--namespace=ci",
    "--custom-platform=linux/arm64/v8",
    "-c",
    "git@git.example.com:group/app.git#main",
    "--cache",
    "--build-arg=FROM_HERE",
    "--build-arg=TEXT=a: \"$(b)\" #c",
    "-dregistry.example.com/group/app_1:1.0",
];

#[test]
fn every_flag_has_its_place() {
    requires!(manifest::possible(), "needs packages of PyPI");
    let mut t = Sandbox::new();
    t.env("FROM_HERE", "value");
    let finished = t.executor(EVERYTHING).succeeded();
    assert_eq!(finished.stderr, "");
    validate(&finished.stdout);
    expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          labels:
            app.kubernetes.io/instance: build-app-1-b9a7787b
            app.kubernetes.io/name: executor
          name: build-app-1-b9a7787b
          namespace: ci
        spec:
          backoffLimit: 0
          template:
            metadata:
              labels:
                app.kubernetes.io/instance: build-app-1-b9a7787b
                app.kubernetes.io/name: executor
            spec:
              containers:
                - args:
                    - --cache=true
                    - "--context=git@git.example.com:group/app.git#main"
                    - --custom-platform=linux/arm64/v8
                    - --destination=registry.example.com/group/app_1:1.0
                    - --build-arg=FROM_HERE=value
                    - "--build-arg=TEXT=a: \"$$(b)\" #c"
                    - --digest-file=/dev/termination-log
                  envFrom:
                    - secretRef:
                        name: git
                    - secretRef:
                        name: cloud
                  image: registry.example.com/executor:1.0
                  name: executor
                  volumeMounts:
                    - mountPath: /kaniko/.docker/config.json
                      name: registry-credentials
                      subPath: config.json
                    - mountPath: /root/.ssh
                      name: git-credentials
                      readOnly: true
              nodeSelector:
                kubernetes.io/arch: arm64
                kubernetes.io/os: linux
              restartPolicy: Never
              serviceAccountName: builder
              volumes:
                - name: registry-credentials
                  secret:
                    items:
                      - key: ".dockerconfigjson"
                        path: config.json
                    secretName: regcred
                - name: git-credentials
                  secret:
                    defaultMode: 256
                    secretName: deploy-key
          ttlSecondsAfterFinished: 3600
    "#]]
    .assert_eq(&finished.stdout);
    // the same arguments, the same name: applied twice it is one Job
    assert_eq!(t.executor(EVERYTHING).succeeded().stdout, finished.stdout);
    let other = t.executor(EVERYTHING.iter().map(|arg| arg.replace(":1.0", ":1.1")));
    assert_ne!(
        yaml(&other.succeeded().stdout)["metadata"],
        yaml(&finished.stdout)["metadata"]
    );
}

#[test]
fn a_job_builds_what_its_flags_say() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    requires!(manifest::possible(), "needs packages of PyPI");
    let mut t = Sandbox::with(Registry::basic_auth());
    let web = serve(repositories(&t).root, None);
    t.env("EXECUTOR_IMAGE", "registry.example.com/executor:latest");
    let (context, tag) = (web.url("/app.git#dev"), t.tag("app"));
    let args = [
        "job",
        "--registry-secret=regcred",
        "--context",
        &context,
        "--destination",
        &tag,
    ];
    let text = t.executor(args).succeeded().stdout;
    validate(&text);
    let job = yaml(&text);
    let pod = &job["spec"]["template"]["spec"];
    let spec = &pod["containers"][0];
    assert_eq!(spec["image"], "registry.example.com/executor:latest");
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    let cluster = Cluster {
        dir: &t.path("secrets"),
        docker_config: t.registry.docker_config(),
        storage: &t.context(),
    };
    cluster.mount(pod, spec, &mut container);
    let log = t.path("termination-log");
    fs_err::write(&log, "").unwrap();
    container.volume(&log, "/dev/termination-log", false);
    succeeded(&container.run(executor.command(&strings(&spec["args"]))));
    let image = Image::pull(&t.registry, &tag);
    assert_eq!(image.text("version"), "developed");
    assert_eq!(fs_err::read_to_string(log).unwrap(), image.digest);
}

/// A name that a Job may have, with no room for the platform's.
const LONG: &str = "--job-name=a-name-with-no-less-than-60-characters-in-it-which-is-much";

#[test]
fn an_address_with_credentials_stays_in_a_secret() {
    requires!(manifest::possible(), "needs packages of PyPI");
    let t = Sandbox::new();
    let args = [
        "job",
        "--executor-image=a/b",
        "--context=https://me:sesame@h/a.tgz",
        "--context-secret=address",
        "--destination=a/b",
        "--label=cost=$(EXECUTOR_CONTEXT)",
    ];
    let text = t.executor(args).succeeded().stdout;
    validate(&text);
    assert!(!text.contains("sesame"), "{text}");
    let job = yaml(&text);
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        strings(&container["args"])[..3],
        [
            "--context=$(EXECUTOR_CONTEXT)",
            "--destination=a/b",
            "--label=cost=$$(EXECUTOR_CONTEXT)"
        ]
    );
    let key = &container["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(
        (&key["name"], &key["key"]),
        (&json!("address"), &json!("context"))
    );
}

#[test]
fn the_readmes_command_prints_a_job() {
    requires!(manifest::possible(), "needs PyPI's kubernetes-validate");
    let readme = include_str!("../README.md");
    let (_, command) = readme.split_once("\nexecutor job ").unwrap();
    let (command, _) = command.split_once(" | kubectl apply").unwrap();
    let words = command.split_whitespace().filter(|word| *word != "\\");
    let text = Sandbox::new()
        .executor(["job"].into_iter().chain(words))
        .succeeded()
        .stdout;
    validate(&text);
    let container = &yaml(&text)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.com/executor");
}

/// Prints the Jobs for two platforms and returns them, the index's last.
fn two_platforms(t: &Sandbox, context: &str) -> Vec<Value> {
    let text = t
        .executor([
            "job",
            "--executor-image=a/b",
            "--registry-secret=regcred",
            "--git-secret=deploy-key",
            "--platform=linux/amd64,linux/arm64",
            "--wait=2m",
            "--context",
            context,
            "--destination",
            &t.tag("app:1"),
            "--destination",
            &t.tag("other:1"),
            "--label=a=b",
            // of the builds alone
            "--registry-mirror=mirror.invalid",
        ])
        .succeeded()
        .stdout;
    validate(&text);
    text.split("\n---\n").map(yaml).collect()
}

#[test]
fn platforms_have_a_job_each() {
    requires!(manifest::possible(), "needs packages of PyPI");
    let t = Sandbox::new();
    let web = serve(repositories(&t).root, None);
    let jobs = two_platforms(&t, &web.url("/app.git"));
    let name = |job: &Value| job["metadata"]["name"].as_str().unwrap().to_owned();
    let build = jobs[0]["metadata"]["labels"]["app.kubernetes.io/instance"].clone();
    let build = build.as_str().unwrap();
    let names: Vec<String> = jobs.iter().map(name).collect();
    assert_eq!(
        names,
        ["amd64", "arm64", "index"].map(|end| format!("{build}-{end}"))
    );
    let arguments = |job: &Value| {
        let args = strings(&job["spec"]["template"]["spec"]["containers"][0]["args"]);
        let log = t.path("termination-log").display().to_string();
        let args = args
            .iter()
            .map(|arg| arg.replace("/dev/termination-log", &log));
        args.collect::<Vec<String>>()
    };
    let volumes = |job: &Value| {
        job["spec"]["template"]["spec"]["volumes"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(volumes(&jobs[0]), Some(2));
    assert_eq!(
        volumes(&jobs[2]),
        Some(1),
        "the repository is none of its business"
    );
    // in any order: the index's waits for the others
    let waiting = t.command(arguments(&jobs[2])).spawn().unwrap();
    for (job, architecture) in jobs.iter().zip(["amd64", "arm64"]) {
        let node = &job["spec"]["template"]["spec"]["nodeSelector"];
        assert_eq!(node["kubernetes.io/arch"], architecture);
        t.executor(arguments(job)).succeeded();
    }
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let index = raw(&t, "app:1");
    assert_eq!(architectures(&index.0), ["amd64", "arm64"]);
    assert_eq!(raw(&t, "other:1").1, index.1);
    let log = fs_err::read_to_string(t.path("termination-log")).unwrap();
    assert_eq!(log, index.1);
    // printed again, nothing is taken from what is there
    let again = arguments(&two_platforms(&t, &web.url("/app.git"))[2]);
    let again = again.iter().map(|arg| match arg.starts_with("--wait=") {
        true => "--wait=1ms",
        false => arg,
    });
    t.executor(again).failed(1, "nobody pushed ");
}

#[test]
fn jobs_that_cannot_be() {
    let t = Sandbox::new();
    let image = "--executor-image=a/b";
    let git = "--context=git://h/a";
    let to = "--destination=a/b";
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&[&str], &str); 15] = [
        (&[git, to],                                   "give --executor-image, or set EXECUTOR_IMAGE"),
        (&[image, to],                                 "a Job cannot see this machine's files"),
        (&[image, to, "--context=tar://stdin"],        "a Job cannot see this machine's files"),
        (&[image, to, "--context=nfs://x"],            "unknown build context prefix provided"),
        (&[image, git],                                "you must provide --destination, or use --no-push"),
        (&[image, git, to, "--job-name=Build_1"],      "--job-name is not a name in Kubernetes"),
        (&[image, git, to, "--platform=linux/amd64,linux/arm64", LONG], "--job-name is too long"),
        (&[image, to, "--context=git://sesame@h/a"],   "the manifest would show the credentials in --context"),
        (&[image, to, "--context=https://h/a.tgz?sig=sesame"], "give --context-secret NAME besides"),
        (&[image, to, "--context=https://me:sesame@h/a.git"], "with the keys GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD"),
        (&[image, git, to, "-fhttps://me:sesame@h/f"], "the manifest would show the credentials in --dockerfile"),
        (&[image, git, to, "--build-context=a=https://me:sesame@h/a.git"], "the manifest would show the credentials in --build-context"),
        (&[image, to, "--context-secret=s"],           "a Job cannot see this machine's files"),
        (&[image, git, to, "now"],                     "unknown command \"now\""),
        (&[image, git, "--destination=UPPER"],         "cannot push to `UPPER`"),
    ];
    for (args, message) in cases {
        let finished = t.executor(["job"].iter().chain(args)).failed(1, message);
        assert_eq!(finished.stdout, "");
        assert!(!finished.stderr.contains("sesame"), "{finished}");
    }
    // flags of a Job are none of a build
    t.build([image, to])
        .failed(1, "unknown flag: --executor-image");
}
