//! `executor push`: images that were put out earlier, or that could not be pushed, get to a registry.

use crate::support::{Image, Registry, Reply, Sandbox, Web, base, tool};
use crate::surroundings::through_env;

/// An application on the base image.
fn application() -> Sandbox {
    let t = Sandbox::new();
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!("FROM {}\nCOPY f /f\n", t.base()));
    t
}

#[test]
fn a_layout_keeps_its_manifest() {
    let t = application();
    let (layout, digest) = (t.path("layout"), t.path("digest"));
    let names = t.path("names");
    t.build([
        "--no-push".to_owned(),
        "--image-format=oci".to_owned(),
        "--annotation=a=b".to_owned(),
        format!("--oci-layout-path={}", layout.display()),
        format!("--digest-file={}", digest.display()),
    ])
    .succeeded();
    let tag = t.tag("pushed:1");
    let finished = t
        .executor([
            "push",
            layout.to_str().unwrap(),
            "-d",
            &tag,
            &format!("--digest-file={}", t.path("again").display()),
            &format!("--image-name-tag-with-digest-file={}", names.display()),
        ])
        .succeeded();
    let image = Image::pull(&t.registry, &tag);
    let want = fs_err::read_to_string(digest).unwrap();
    assert_eq!(image.digest, want, "{finished}");
    assert_eq!(fs_err::read_to_string(t.path("again")).unwrap(), want);
    assert_eq!(
        fs_err::read_to_string(names).unwrap(),
        format!("{tag}@{want}\n")
    );
    assert!(
        finished.stderr.contains(&format!("Pushing image to {tag}")),
        "{finished}"
    );
}

#[test]
fn tarballs_become_docker_images() {
    let t = application();
    let ours = t.path("ours.tar");
    t.build([
        "--no-push".to_owned(),
        format!("--tar-path={}", ours.display()),
    ])
    .succeeded();
    // with plain layers, and links where a layer is repeated
    let theirs = t.path("theirs.tar");
    let base = format!("oci:{}:base", base::layout().display());
    let archive = format!("docker-archive:{}:example.com/base:1", theirs.display());
    tool("skopeo", ["copy", "--quiet", &base, &archive]);
    for (name, tar) in [("ours", ours), ("theirs", theirs)] {
        let tag = t.tag(name);
        t.executor(["push", tar.to_str().unwrap(), "--destination", &tag])
            .succeeded();
        let image = Image::pull(&t.registry, &tag);
        assert_eq!(
            image.manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json",
            "{name}"
        );
        assert!(image.unpack().join("bin/busybox").exists(), "{name}");
        for layer in 0..image.layer_count() {
            image.layer(layer);
        }
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let t = application();
    let tag = t.tag("x");
    let push = |path: &str, message: &str| {
        let path = t.path(path);
        t.executor(["push", path.to_str().unwrap(), "-d", &tag])
            .failed(1, message);
    };
    t.executor(["push", "x"])
        .failed(1, "Error: at least one --destination is required");
    push("missing", "Error: cannot read");
    push("context", "is not an OCI layout");
    let file = t.path("text");
    fs_err::write(&file, "").unwrap();
    push("text", "has no `manifest.json`");
    tool("gzip", ["-k", file.to_str().unwrap()]);
    push(
        "text.gz",
        "text.gz` is compressed\nhelp: decompress it first",
    );
    let two = t.path("two");
    let source = format!("oci:{}:base", base::layout().display());
    for name in ["a", "b"] {
        let copy = format!("oci:{}:{name}", two.display());
        tool("skopeo", ["copy", "--quiet", &source, &copy]);
    }
    push(
        "two",
        "Error: OCI layout must contain exactly one image, found 2",
    );
}

#[test]
fn a_damaged_tarball_is_not_pushed() {
    let t = application();
    let tar = t.path("image.tar");
    t.build([
        "--no-push".to_owned(),
        format!("--tar-path={}", tar.display()),
    ])
    .succeeded();
    let mut bytes = fs_err::read(&tar).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&tar, bytes).unwrap();
    let finished = t.executor(["push", tar.to_str().unwrap(), "-d", &t.tag("damaged")]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(t.registry.tags("damaged").is_empty());
}

#[test]
fn an_image_that_could_not_be_pushed_is_kept() {
    let t = application();
    let locked = Registry::basic_auth();
    let destination = format!("{}/app:1", locked.host());
    let failed = t
        .build([
            "--destination",
            &destination,
            "--skip-push-permission-check",
        ])
        .failed(1, "error pushing image: failed to push to destination");
    let kept = failed.stderr.split("`executor push ").nth(1);
    let kept = kept.unwrap_or_else(|| panic!("no way on is told\n{failed}"));
    let path = kept.split(' ').next().unwrap();
    fs_err::create_dir(t.path("home/.docker")).unwrap();
    fs_err::write(t.path("home/.docker/config.json"), locked.docker_config()).unwrap();
    t.executor(["push", path, "--destination", &destination])
        .succeeded();
    assert_eq!(Image::pull(&locked, &destination).layer_count(), 2);
}

#[test]
fn what_was_kept_goes_when_it_is_pushed() {
    let t = application();
    let locked = Registry::basic_auth();
    let destination = format!("{}/app:1", locked.host());
    t.build([
        "--destination",
        &destination,
        "--skip-push-permission-check",
    ])
    .failed(1, "error pushing image");
    let unpushed = t.path("kaniko/unpushed");
    let kept = fs_err::read_dir(&unpushed).unwrap().next().unwrap();
    let kept = kept.unwrap().path();
    t.executor(["push", kept.to_str().unwrap(), "-d", &destination])
        .failed(1, "error checking push permissions");
    assert!(kept.exists());
    let other = t.tag("elsewhere");
    t.executor(["push", kept.to_str().unwrap(), "-d", &other])
        .succeeded();
    assert_eq!(Image::pull(&t.registry, &other).layer_count(), 2);
    assert!(!unpushed.exists());
}

#[test]
fn an_index_is_pushed_with_all_its_images() {
    let t = Sandbox::new();
    let layout = t.path("layout");
    let mut children = Vec::new();
    let blobs = layout.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |value: &serde_json::Value| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = executor::image::Digest::of(&bytes);
        fs_err::write(blobs.join(digest.hex()), &bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    for architecture in ["amd64", "arm64"] {
        let (config, config_size) = put(&serde_json::json!({
            "architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}
        }));
        let (digest, size) = put(&serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
            "layers": [],
        }));
        children.push(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let (digest, size) = put(&serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children,
    }));
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size}],
    });
    fs_err::write(layout.join("index.json"), index.to_string()).unwrap();
    fs_err::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let file = t.path("digest");
    t.executor([
        "push",
        layout.to_str().unwrap(),
        "-d",
        &t.tag("multi:1"),
        "-d",
        &t.tag("other:1"),
        &format!("--digest-file={}", file.display()),
    ])
    .succeeded();
    assert_eq!(fs_err::read_to_string(file).unwrap(), digest);
    for name in ["multi:1", "other:1"] {
        let image = format!("docker://{}", t.tag(name));
        let raw = tool("skopeo", ["inspect", "--raw", "--tls-verify=false", &image]);
        assert_eq!(
            executor::image::Digest::of(raw.as_bytes()).to_string(),
            digest
        );
        let copy = format!("oci:{}", t.path(name).display());
        tool(
            "skopeo",
            [
                "copy",
                "--all",
                "--quiet",
                "--src-tls-verify=false",
                &image,
                &copy,
            ],
        );
    }
}

/// A registry that takes everything but the manifest, which it answers with `status` and `body`.
fn stubborn(status: u16, body: &'static str) -> Web {
    Web::new(move |request| {
        let is_manifest = request.target.contains("/manifests/");
        match (request.method.as_str(), is_manifest) {
            ("PUT", true) => Reply {
                body: body.into(),
                ..Reply::new(status)
            },
            (_, true) => Reply::new(404),
            ("POST", _) => Reply::new(202).header("Location", "/upload"),
            ("PUT", _) => Reply::new(201),
            _ => Reply::new(200),
        }
    })
}

#[test]
fn an_immutable_tag_is_an_error_or_none() {
    let t = Sandbox::new();
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let web = stubborn(
        400,
        r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists and cannot be overwritten because the tag is immutable."}]}"#,
    );
    let destination = web.url("/app:1").replace("http://", "--destination=");
    t.build([&destination])
        .failed(1, "error pushing image: failed to push to destination");
    let ignored = t
        .build([destination.as_str(), "--push-ignore-immutable-tag-errors"])
        .succeeded();
    let told = destination.replace("--destination=", "Immutable tag error ignored for ");
    assert!(ignored.stderr.contains(&told), "{ignored}");
    let layout = t.path("kaniko/unpushed");
    let layout = fs_err::read_dir(layout).unwrap().next().unwrap();
    let layout = layout.unwrap().path();
    let push = |more: &[&str]| {
        let mut args = vec!["push", layout.to_str().unwrap(), destination.as_str()];
        args.extend(more);
        t.executor(args)
    };
    push(&[]).failed(1, "immutable");
    push(&["--push-ignore-immutable-tag-errors"]).succeeded();
}

#[test]
fn a_push_that_is_told_to_stop_stops() {
    let t = Sandbox::new();
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let layout = t.path("layout");
    t.build([
        "--no-push".to_owned(),
        format!("--oci-layout-path={}", layout.display()),
    ])
    .succeeded();
    let (sender, asked) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let web = Web::new(move |request| {
        if request.method == "POST" {
            sender.lock().unwrap().send(()).unwrap();
            std::thread::park(); // never answers
        }
        Reply::new(200)
    });
    let destination = web.url("/app").replace("http://", "--destination=");
    for (signal, code, name) in [
        (rustix::process::Signal::TERM, 143, "SIGTERM"),
        (rustix::process::Signal::INT, 130, "SIGINT"),
        (rustix::process::Signal::HUP, 129, "SIGHUP"),
        (rustix::process::Signal::QUIT, 131, "SIGQUIT"),
    ] {
        let command = t.command(["push", layout.to_str().unwrap(), &destination]);
        // The tests themselves may have been started by `nohup` or in the background of a script.
        let mut command = through_env("--default-signal=HUP,QUIT", &command);
        command.stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        asked.recv().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let want = format!("error pushing image: stopped by {name}");
        assert!(stderr.contains(&want), "{stderr}");
    }
}

#[test]
fn an_oci_image_names_its_base() {
    let t = application();
    let base = Image::pull(&t.registry, &t.tag("base"));
    let image = t.build_and_pull("app", ["--image-format=oci", "--annotation=a=b"]);
    let annotations = &image.manifest["annotations"];
    assert_eq!(annotations["a"], "b");
    assert_eq!(
        annotations["org.opencontainers.image.base.name"],
        t.tag("base:latest")
    );
    assert_eq!(
        annotations["org.opencontainers.image.base.digest"],
        base.digest
    );
    let image = t.build_and_pull("docker", ["--image-format=docker"]);
    assert!(image.manifest.get("annotations").is_none());
}
