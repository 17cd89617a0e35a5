//! `--output`: files, layouts and archives instead of a push.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::support::listing::{self, Detail};
use crate::support::{Sandbox, Web, requires, tool};

fn sandbox() -> Sandbox {
    let t = Sandbox::new();
    t.file("f", 0o640, "f\n");
    t.file("d/x", 0o755, "x\n");
    t.dockerfile(
        "FROM scratch AS first\nCOPY --chown=7:8 f /f\nCOPY d /d/\nFROM first\nADD links.tar /\nCMD [\"/f\"]\n",
    );
    let files = t.path("links");
    fs_err::create_dir(&files).unwrap();
    fs_err::write(files.join("one"), "one\n").unwrap();
    fs_err::hard_link(files.join("one"), files.join("two")).unwrap();
    std::os::unix::fs::symlink("/f", files.join("link")).unwrap();
    let tar = t.context().join("links.tar");
    tool(
        "tar",
        [
            "-cf",
            tar.to_str().unwrap(),
            "-C",
            files.to_str().unwrap(),
            "one",
            "two",
            "link",
        ],
    );
    t
}

#[test]
fn files_come_on_top_of_a_directory() {
    let t = sandbox();
    let to = t.path("to");
    fs_err::create_dir_all(to.join("d")).unwrap();
    fs_err::write(to.join("d/mine"), "mine\n").unwrap();
    std::os::unix::fs::symlink("/nowhere", to.join("f")).unwrap();
    t.build([format!("--output=type=local,dest={}", to.display())])
        .succeeded();
    let names = |dir: &str| {
        let entries = fs_err::read_dir(to.join(dir)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names("."), "d f link one two");
    assert_eq!(names("d"), "mine x");
    let f = to.join("f").symlink_metadata().unwrap();
    let me = rustix::process::geteuid().as_raw();
    assert_eq!((f.permissions().mode() & 0o7777, f.uid()), (0o640, me));
    assert_eq!(
        fs_err::read_link(to.join("link")).unwrap().to_str(),
        Some("/f")
    );
    let inode = |name: &str| to.join(name).metadata().unwrap().ino();
    assert_eq!(inode("one"), inode("two"));
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
}

#[test]
fn an_archive_has_standard_output_to_itself() {
    requires!(root);
    let t = sandbox();
    let base = t.base();
    t.dockerfile(&format!("FROM {base} AS b\nRUN echo printed; mkdir /made; echo made > /made/f\nFROM scratch\nCOPY --from=b --chown=7:8 /made /made\n"));
    let output = t
        .command([
            "--context",
            t.context().to_str().unwrap(),
            "-o",
            "type=tar,dest=-",
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("printed"), "{stderr}");
    fs_err::write(t.path("files.tar"), &output.stdout).unwrap();
    let tar = t.path("files.tar");
    let listed = tool("tar", ["--numeric-owner", "-tvf", tar.to_str().unwrap()]);
    let lines: Vec<String> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[words.len() - 1])
        })
        .collect();
    assert_eq!(lines, ["drwxr-xr-x 7/8 made/", "-rw-r--r-- 7/8 made/f"]);
}

#[test]
fn images_are_read_by_others() {
    let t = sandbox();
    let path = |name: &str| t.path(name).display().to_string();
    let args = [
        format!("--output=type=oci,dest={}", path("oci.tar")),
        format!("--output=type=oci,tar=false,dest={}", path("layout")),
        format!(
            "--output=type=docker,dest={},\"name=example.com/x/y,z:2\"",
            path("docker.tar")
        ),
        format!("--output=type=registry,name={}", t.tag("app")),
        format!("--digest-file={}", path("digest")),
    ];
    let finished = t.build(args).succeeded();
    assert!(finished.stderr.contains("Pushed "), "{finished}");
    let digest = fs_err::read_to_string(t.path("digest")).unwrap();
    let inspect = |reference: String| {
        tool(
            "skopeo",
            [
                "inspect",
                "--tls-verify=false",
                "--format={{.Digest}}",
                &reference,
            ],
        )
    };
    assert_eq!(inspect(format!("docker://{}", t.tag("app"))).trim(), digest);
    assert_eq!(inspect(format!("oci:{}", path("layout"))).trim(), digest);
    assert_eq!(
        inspect(format!("oci-archive:{}", path("oci.tar"))).trim(),
        digest
    );
    let listed = tool(
        "skopeo",
        [
            "list-tags",
            &format!("docker-archive:{}", path("docker.tar")),
        ],
    );
    assert!(
        listed.contains("example.com/x/y:latest") && listed.contains("z:2"),
        "{listed}"
    );
    // a layout that nothing else shares its image with is an OCI one
    t.build([format!(
        "--output=type=oci,dest={},name=example.com/x/y:1",
        path("alone.tar")
    )])
    .succeeded();
    let raw = tool(
        "skopeo",
        [
            "inspect",
            "--raw",
            &format!("oci-archive:{}:1", path("alone.tar")),
        ],
    );
    assert!(
        raw.contains("application/vnd.oci.image.manifest.v1+json"),
        "{raw}"
    );
}

#[test]
fn places_are_looked_at_before_the_work() {
    let t = sandbox();
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("type=tar,dest=/no/such/dir/f",      "cannot open `/no/such/dir`"),
        ("type=oci,dest=/tmp",                "cannot write to `/tmp`"),
        ("type=local,dest=/proc/self/status", "cannot write to `/proc/self/status`"),
        ("type=local",                        "invalid value \"type=local\" for --output: type=local needs dest=PATH"),
    ];
    for (output, message) in cases {
        let finished = t.build([format!("--output={output}")]).failed(1, message);
        assert!(!finished.stderr.contains("msg=\"COPY"), "{finished}");
    }
}

#[test]
fn each_platform_has_its_directory() {
    let t = sandbox();
    t.dockerfile("FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n");
    let to = t.path("to");
    t.build([
        "--custom-platform=linux/amd64,linux/arm64".to_owned(),
        format!("-o={}", to.display()),
    ])
    .succeeded();
    let listed = listing::tree(&to, Detail::default());
    for name in ["linux_amd64/amd64", "linux_arm64/arm64"] {
        assert!(listed.contains(name), "{listed}");
    }
}

#[test]
fn the_time_of_a_stage_is_the_time_of_the_image() {
    let web = Web::new(|_| {
        crate::support::Reply::ok("file").header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
    });
    let t = sandbox();
    t.dockerfile(&format!(
        "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD {} /\nFROM scratch\nCOPY f /f\n",
        web.url("/f")
    ));
    let image = t.build_and_pull("app", [""; 0]);
    assert_eq!(image.config["created"], "2001-09-09T01:46:40Z");
    t.dockerfile(
        "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD f /\nFROM scratch\nCOPY f /f\n",
    );
    t.build(["--no-push"]).failed(
        1,
        "invalid SOURCE_DATE_EPOCH: the stage \"src\" is not `FROM scratch` with nothing but ARG and the ADD of one remote source",
    );
}
