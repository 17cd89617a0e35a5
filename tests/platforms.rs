//! Several platforms: one index, made at once or joined.

use std::path::Path;

use serde_json::Value;

use crate::support::{Image, Sandbox, requires, tool};
use executor::image::Digest;

/// Returns what a tag points to, and its digest.
pub fn raw(t: &Sandbox, name: &str) -> (Value, String) {
    let image = format!("docker://{}", t.tag(name));
    let raw = tool("skopeo", ["inspect", "--raw", "--tls-verify=false", &image]);
    let digest = Digest::of(raw.as_bytes()).to_string();
    (serde_json::from_str(&raw).unwrap(), digest)
}

/// Returns the architectures that an index lists.
pub fn architectures(index: &Value) -> Vec<String> {
    let manifests = index["manifests"].as_array().unwrap().iter();
    manifests
        .map(|manifest| {
            manifest["platform"]["architecture"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn child(t: &Sandbox, name: &str, index: &Value, position: usize) -> Image {
    let digest = index["manifests"][position]["digest"].as_str().unwrap();
    Image::pull(&t.registry, &t.tag(&format!("{name}@{digest}")))
}

#[test]
fn several_platforms_become_an_index() {
    let t = Sandbox::new();
    t.file("amd64/f", 0o644, "amd64\n");
    t.file("arm64/f", 0o644, "arm64 too\n");
    t.dockerfile("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH/f /f\n");
    let (digest, layout) = (t.path("digest"), t.path("layout"));
    t.build([
        "--custom-platform=linux/amd64,linux/arm64".to_owned(),
        format!("--destination={}", t.tag("app:1")),
        format!("--destination={}", t.tag("other:1")),
        format!("--digest-file={}", digest.display()),
        format!("--oci-layout-path={}", layout.display()),
    ])
    .succeeded();
    for name in ["app", "other"] {
        let (index, found) = raw(&t, &format!("{name}:1"));
        assert_eq!(architectures(&index), ["amd64", "arm64"]);
        assert_eq!(fs_err::read_to_string(&digest).unwrap(), found);
        for (position, size) in [(0, 6), (1, 10)] {
            let image = child(&t, name, &index, position);
            assert_eq!(image.layer(0), format!("f 0644 0:0 {size} f\n"));
            assert_eq!(
                image.config["architecture"],
                index["manifests"][position]["platform"]["architecture"]
            );
        }
    }
    assert_eq!(t.kaniko_dir(), "");
    // the layout holds the same index
    t.executor(["push", layout.to_str().unwrap(), "-d", &t.tag("again:1")])
        .succeeded();
    assert_eq!(
        raw(&t, "again:1").1,
        fs_err::read_to_string(&digest).unwrap()
    );
}

#[test]
fn one_platform_that_fails_leaves_no_tag() {
    let t = Sandbox::new();
    t.file("amd64/f", 0o644, "amd64\n");
    t.dockerfile("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH/f /f\n");
    t.build([
        "--platform=linux/amd64",
        "--platform=linux/arm64",
        "--destination",
        &t.tag("app"),
    ])
    .failed(1, "\"/arm64/f\": not found");
    assert_eq!(t.registry.tags("app"), [""; 0]);
    assert_eq!(t.kaniko_dir(), "");
    t.build([
        "--platform=linux/amd64,linux/arm64",
        "--no-push",
        "--tar-path=x",
    ])
    .failed(1, "--tar-path holds one image");
}

#[test]
fn commands_for_another_machine_are_refused_before_any_work() {
    requires!(root);
    requires!(
        !Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists(),
        "needs a machine without an emulator for s390x"
    );
    let t = Sandbox::new();
    t.dockerfile(&format!("FROM {}\nCMD [\"x\"]\n", t.base()));
    t.build([
        "--custom-platform=linux/s390x",
        "--destination",
        &t.tag("foreign"),
    ])
    .succeeded();
    t.dockerfile(&format!(
        "FROM {}\nCOPY Dockerfile /\nRUN true\n",
        t.tag("foreign")
    ));
    let finished = t
        .build([
            "--custom-platform=linux/s390x",
            "--destination",
            &t.tag("app"),
        ])
        .failed(
            1,
            "its command is for linux/s390x, and nothing here runs that",
        );
    assert!(finished.stderr.contains("> 3 | RUN true"), "{finished}");
    assert!(!finished.stderr.contains("Unpacking"), "{finished}");
}

#[test]
fn images_that_were_pushed_one_by_one_are_joined() {
    let t = Sandbox::new();
    t.file("f", 0o644, vec![7; 100_000]);
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let mut images = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let tag = t.tag(&format!("app:{architecture}"));
        t.build([
            format!("--custom-platform=linux/{architecture}"),
            format!("--destination={tag}"),
        ])
        .succeeded();
        images.push(tag);
    }
    let join = |destinations: &[&str], more: &[&String]| {
        let mut args = vec!["index".to_owned(), "create".to_owned()];
        args.extend(
            destinations
                .iter()
                .map(|name| format!("--destination={}", t.tag(name))),
        );
        args.extend(more.iter().map(|image| (*image).clone()));
        t.executor(args)
    };
    join(&["app:1", "deep/other:1"], &[&images[0], &images[1]]).succeeded();
    for name in ["app", "deep/other"] {
        let (index, _) = raw(&t, &format!("{name}:1"));
        assert_eq!(architectures(&index), ["amd64", "arm64"]);
        for (position, image) in images.iter().enumerate() {
            let found = child(&t, name, &index, position);
            assert_eq!(found.digest, Image::pull(&t.registry, image).digest);
        }
    }
    // an index may be a source, and what is there twice counts once
    join(&["app:2"], &[&t.tag("app:1"), &images[0]]).succeeded();
    assert_eq!(raw(&t, "app:2").1, raw(&t, "app:1").1);
    t.dockerfile("FROM scratch\nCOPY f /g\n");
    let other = t.tag("app:other");
    t.build([
        "--custom-platform=linux/amd64".to_owned(),
        format!("--destination={other}"),
    ])
    .succeeded();
    join(&["app:3"], &[&images[0], &other]).failed(1, "two of the images are for linux/amd64");
    join(&["app:3"], &[&t.tag("app:none")]).failed(1, "404");
    join(&["app:3"], &[]).failed(1, "accepts 1 arg(s), received 0");
}
