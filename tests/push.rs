//! `executor push`: images that were put out earlier, or that could not be pushed, get to a registry.

use crate::support::{Image, Registry, Sandbox, base, tool};

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
