//! What a build writes beside the registry: tarball, layout, digest files.

use crate::support::{Sandbox, tool};

fn small() -> Sandbox {
    let t = Sandbox::new();
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\nCMD [\"/f\"]\n");
    t
}

#[test]
fn digest_files_have_kanikos_form() {
    let t = small();
    let tag = t.tag("app");
    let (digest, name, tagged) = (t.path("out/digest"), t.path("name"), t.path("tagged"));
    let args = [
        format!("--destination={tag}"),
        format!("--destination={}", t.tag("other:2")),
        format!("--digest-file={}", digest.display()),
        format!("--image-name-with-digest-file={}", name.display()),
        format!("--image-name-tag-with-digest-file={}", tagged.display()),
    ];
    let finished = t.build(args).succeeded();
    let digest = fs_err::read_to_string(digest).unwrap();
    assert!(
        digest.starts_with("sha256:") && digest.len() == 71,
        "{digest}"
    );
    let host = t.registry.host();
    assert_eq!(
        fs_err::read_to_string(name).unwrap(),
        format!("{host}/app@{digest}\n{host}/other@{digest}\n")
    );
    assert_eq!(
        fs_err::read_to_string(tagged).unwrap(),
        format!("{host}/app:latest@{digest}\n{host}/other:2@{digest}\n")
    );
    assert!(
        finished.stderr.contains(&format!("Pushing image to {tag}")),
        "{finished}"
    );
    assert!(
        finished
            .stderr
            .contains(&format!("Pushed {host}/app@{digest}")),
        "{finished}"
    );
}

#[test]
fn tarball_and_layout_are_read_by_others() {
    let t = small();
    let (tar, layout) = (t.path("image.tar"), t.path("layout"));
    let args = [
        "--no-push".to_owned(),
        "--destination=example.com/x/y".to_owned(),
        format!("--tar-path={}", tar.display()),
        format!("--oci-layout-path={}", layout.display()),
    ];
    let finished = t.build(args).succeeded();
    assert!(
        finished
            .stderr
            .contains("Skipping push to container registry due to --no-push flag"),
        "{finished}"
    );
    let inspected = tool(
        "skopeo",
        ["inspect", &format!("docker-archive:{}", tar.display())],
    );
    assert!(inspected.contains("sha256:"), "{inspected}");
    let members = tool("tar", ["-tf", tar.to_str().unwrap()]);
    assert!(
        members.starts_with("sha256:") && members.ends_with("manifest.json\n"),
        "{members}"
    );
    let copied = t.path("copied");
    tool(
        "skopeo",
        [
            "copy",
            "--quiet",
            &format!("oci:{}", layout.display()),
            &format!("dir:{}", copied.display()),
        ],
    );
}

#[test]
fn names_in_a_tarball_are_as_typed() {
    let t = small();
    let tar = t.path("image.tar");
    #[rustfmt::skip] // a table keeps its columns
    let cases: &[(&[&str], &str)] = &[
        (&[],                               r#"["docker.io/unset-repo/unset-image-name:latest"]"#),
        (&["-d=busybox", "-d=r.io/a/b:1"],  r#"["busybox:latest","r.io/a/b:1"]"#),
    ];
    for (destinations, want) in cases {
        let tar_path = format!("--tar-path={}", tar.display());
        let args = destinations.iter().map(|d| d.to_string());
        t.build(args.chain(["--no-push".to_owned(), tar_path]))
            .succeeded();
        let manifest = tool("tar", ["-xOf", tar.to_str().unwrap(), "manifest.json"]);
        let names = format!("\"RepoTags\":{want},");
        assert!(manifest.contains(&names), "{manifest}");
    }
}

#[test]
fn the_termination_log_is_written_through() {
    let t = small();
    let log = t.path("termination-log");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &log,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let reader = std::thread::spawn({
        let log = log.clone();
        move || fs_err::read_to_string(log).unwrap()
    });
    t.build(["--no-push", "--digest-file", log.to_str().unwrap()])
        .succeeded();
    assert!(reader.join().unwrap().starts_with("sha256:"));
}

#[test]
fn formats_are_chosen_or_refused() {
    let t = small();
    let tag = t.tag("app");
    let image = t.build_and_pull("app", ["--image-format=oci", "--compression=zstd"]);
    assert_eq!(
        image.manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert_eq!(
        image.manifest["layers"][0]["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+zstd"
    );
    assert_eq!(image.layer(0), "f 0644 0:0 2 f\n");
    // what cannot be is told before any work, at the base that it is about
    t.dockerfile(&format!("FROM {tag}\nCOPY f /g\n"));
    let refused = t.build(["--no-push", "--image-format=docker"]);
    let refused = refused.failed(1, "error building image: cannot relabel zstd layer sha256:");
    assert!(refused.stderr.contains("Dockerfile:1:6"), "{refused}");
    assert!(refused.stderr.contains("help: leave out"), "{refused}");
    assert!(!refused.stderr.contains("Building stage"), "{refused}");
    let kept = t.build_and_pull("kept", [""; 0]);
    let kinds = |n: usize| kept.manifest["layers"][n]["mediaType"].as_str();
    assert_eq!(
        kinds(0),
        Some("application/vnd.oci.image.layer.v1.tar+zstd")
    );
    assert_eq!(
        kinds(1),
        Some("application/vnd.oci.image.layer.v1.tar+gzip")
    );
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let image = t.build_and_pull("app", [""; 0]);
    assert_eq!(
        image.manifest["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    let refused = t.build([
        "--destination",
        &tag,
        "--image-format=docker",
        "--compression=zstd",
    ]);
    refused.failed(
        1,
        "--compression=zstd cannot be used with --image-format=docker",
    );
    let refused = t.build([
        "--destination",
        &tag,
        "--image-format=oci",
        "--tar-path=x.tar",
    ]);
    refused.failed(
        1,
        "--tar-path writes a Docker schema2 tarball and cannot be used with --image-format=oci",
    );
}
