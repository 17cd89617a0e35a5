//! Contexts that are fetched, and Dockerfiles.

use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::expect;
use tar::EntryType;

use crate::support::crafted::{self, Member};
use crate::support::registry::{PASSWORD, USER};
use crate::support::{Registry, Reply, Sandbox, Web, tool};
use executor::image::Digest;

/// A context as a tar that `options` compress, in which `app` is a directory with a Dockerfile too.
fn packed(t: &Sandbox, name: &str, options: &[&str]) -> String {
    let dir = t.path("packed");
    if !dir.exists() {
        fs_err::create_dir_all(dir.join("app/deep")).unwrap();
        fs_err::write(dir.join("Dockerfile"), "FROM scratch\nCOPY . /c/\n").unwrap();
        fs_err::write(dir.join("app/Dockerfile"), "FROM scratch\nCOPY deep /d\n").unwrap();
        fs_err::write(dir.join("app/deep/file"), "deep\n").unwrap();
        fs_err::write(
            dir.join(".dockerignore"),
            "Dockerfile\n.dockerignore\n.wh.*\n",
        )
        .unwrap();
        fs_err::write(dir.join(".wh.app"), "kept\n").unwrap();
        fs_err::os::unix::fs::symlink("app", dir.join("link")).unwrap();
    }
    let path = t.path(name);
    let path = path.to_str().unwrap();
    let plain = [
        "--owner=7",
        "--group=8",
        "--mode=u=rwX,go=rX",
        "-C",
        dir.to_str().unwrap(),
        "-cf",
        path,
    ];
    tool("tar", plain.iter().chain(options).chain(&["."]));
    path.to_owned()
}

#[test]
fn archives_of_every_compression() {
    let t = Sandbox::new();
    for option in ["-S", "--gzip", "--zstd", "--bzip2", "--xz"] {
        let archive = packed(&t, "context.tar.gz", &[option]);
        let built = t.build_from(&format!("tar://{archive}"), &[]).succeeded();
        // it counts as it does from elsewhere
        let fetched = built.stderr.split_once("; fetched ").map(|(_, rest)| rest);
        assert!(
            fetched.is_some_and(|rest| !rest.starts_with("0 B")),
            "{built}"
        );
        expect![[r#"
            d 0755 0:0 c/
            d 0755 0:0 c/app/
            f 0644 0:0 26 c/app/Dockerfile
            d 0755 0:0 c/app/deep/
            f 0644 0:0 5 c/app/deep/file
            l 0777 0:0 c/link -> app
        "#]]
        .assert_eq(&t.pull().layer(0));
    }
    t.build_from("tar://../context.tar.gz", &[]).succeeded();
    for sub_path in ["app", "/link"] {
        let archive = format!("tar://{}", t.path("context.tar.gz").display());
        t.build_from(&archive, &["--context-sub-path", sub_path])
            .succeeded();
        assert_eq!(t.pull().text("d/file"), "deep\n");
    }
    let archive = format!("tar://{}", t.path("context.tar.gz").display());
    for sub_path in ["nothing", "link/Dockerfile"] {
        t.build_from(&archive, &["--context-sub-path", sub_path])
            .failed(1, &format!("there is no directory `{sub_path}`"));
    }
    t.build_from("tar:///no/such.tar", &[])
        .failed(1, "/no/such.tar");
    t.file("text", 0o644, "no tar\n");
    t.build_from(
        &format!("tar://{}", t.context().join("text").display()),
        &[],
    )
    .failed(1, "help: an archive is a whole tar");
}

#[test]
fn an_archive_from_standard_input() {
    let t = Sandbox::new();
    let archive = packed(&t, "context.tar", &["--zstd"]);
    let tag = t.tag("app");
    let mut command = t.command(["--context=tar://stdin", "--destination", &tag]);
    let output = command
        .stdin(fs_err::File::open(archive).unwrap().into_file())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("To simulate EOF and exit, press 'Ctrl+D'"));
    assert_eq!(t.pull().text("c/app/deep/file"), "deep\n");
    // standard input is a device here
    let message = "no data found.. don't forget to add the '--interactive, -i' flag";
    t.build_from("tar://stdin", &[]).failed(1, message);
}

#[test]
fn archives_that_do_harm_or_are_none() {
    let t = Sandbox::new();
    let outside = t.path("outside");
    fs_err::create_dir(&outside).unwrap();
    let file = |name, content| Member {
        kind: EntryType::Regular,
        name,
        link: "",
        content,
    };
    let dockerfile = file("Dockerfile", b"FROM scratch\nCOPY . /\n");
    let climbing = crafted::tar_of(&[file("a/../../evil", b"x")]);
    let through_link = crafted::tar_of(&[
        Member {
            kind: EntryType::Symlink,
            link: outside.to_str().unwrap(),
            ..file("dir", b"")
        },
        file("dir/new", b"new"),
        dockerfile,
    ]);
    let mut cut = crafted::gzip(&through_link);
    cut.truncate(cut.len() - 12);
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&[u8], &str); 4] = [
        (&climbing,             ".."),
        (b"no archive at all",  "cannot unpack the archive"),
        (b"",                   "it is empty, or no tar"),
        (&cut,                  "cannot unpack the archive"),
    ];
    let path = t.path("context.tar");
    let context = format!("tar://{}", path.display());
    for (content, message) in cases {
        fs_err::write(&path, content).unwrap();
        t.build_from(&context, &[]).failed(1, message);
    }
    fs_err::write(&path, through_link).unwrap();
    t.build_from(&context, &[]);
    assert!(!outside.join("new").exists());
}

#[test]
fn what_is_fetched_shows_no_file_of_this_machine() {
    let t = Sandbox::new();
    let secret = t.path("secret");
    fs_err::write(&secret, "sesame\n").unwrap();
    let archive = packed(&t, "context.tar", &[]);
    let dir = t.path("packed");
    for name in ["leak", "Dockerfile.dockerignore"] {
        fs_err::os::unix::fs::symlink(&secret, dir.join(name)).unwrap();
    }
    fs_err::os::unix::fs::symlink("app/Plain", dir.join("plain")).unwrap();
    fs_err::write(dir.join("app/Plain"), "FROM scratch\nCOPY file /\n").unwrap();
    packed(&t, "context.tar", &[]);
    let context = format!("tar://{archive}");
    for name in ["leak", "Dockerfile"] {
        let finished = t.build_from(&context, &["-f", name]);
        let finished = finished.failed(1, "leads out of the context");
        assert!(!finished.stderr.contains("sesame"), "{finished}");
    }
    // but one that stays inside, and outside the part that is built, is as good as any
    let args = ["--context-sub-path=app/deep", "-f", "../../plain"];
    t.build_from(&context, &args).succeeded();
}

#[test]
fn archives_and_dockerfiles_from_a_server() {
    let t = Sandbox::new();
    let archive = fs_err::read(packed(&t, "context.tar.gz", &["--gzip"])).unwrap();
    let web = Web::with(archive);
    let url = web.url("/context.tar.gz?token=hidden");
    let finished = t
        .build_from(&url.replace("http://", "http://user:hidden@"), &[])
        .succeeded();
    for line in ["Retrieving", "Retrieved", "Extracted"] {
        let line = format!("{line} https tar file");
        assert!(finished.stderr.contains(&line), "{finished}");
    }
    assert!(!finished.stderr.contains("hidden"), "{finished}");
    assert_eq!(web.seen()[0].target, "/context.tar.gz?token=hidden");
    assert_eq!(
        web.seen()[0].headers["authorization"],
        "Basic dXNlcjpoaWRkZW4="
    );
    assert_eq!(t.pull().text("c/app/deep/file"), "deep\n");
    t.build_from(&url, &["--context-sub-path=app"]).succeeded();
    assert_eq!(t.pull().text("d/file"), "deep\n");

    let missing = Web::new(|_| Reply::new(404));
    let finished = t.build_from(&missing.url("/c.tar.gz?token=hidden"), &[]);
    let finished = finished.failed(1, "HTTPSTar bad status from server: 404 Not Found");
    assert!(!finished.stderr.contains("hidden"), "{finished}");

    let other = Web::with("FROM scratch\nCOPY app/deep/file /other\n");
    t.build_from(&url, &["-f", &other.url("/a/My.Dockerfile")])
        .succeeded();
    assert_eq!(t.pull().text("other"), "deep\n");
    let broken = Web::with("FROM scratch\nFOO\n");
    t.build_from(&url, &["-f", &broken.url("/My.Dockerfile")])
        .failed(1, "--> My.Dockerfile:2");
    t.build_from(&url, &["-f", &missing.url("/f")])
        .failed(1, "request failed: 404 Not Found");
}

#[test]
fn a_download_that_breaks_is_resumed() {
    let t = Sandbox::new();
    let noise: Vec<u8> = (0..300_000u32)
        .flat_map(|n| (n.wrapping_mul(n)).to_le_bytes())
        .collect();
    let file = |name, content| Member {
        kind: EntryType::Regular,
        name,
        link: "",
        content,
    };
    let archive = crafted::tar_of(&[
        file("Dockerfile", b"FROM scratch\nCOPY noise /\n"),
        file("noise", &noise),
    ]);
    let serve = |ranges: bool, changes: bool| {
        let (archive, count) = (archive.clone(), AtomicUsize::new(0));
        Web::new(move |request| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let range = request.headers.get("range");
            let start = range.map(|range| range["bytes=".len()..].trim_end_matches('-'));
            let start: usize = start.map_or(0, |start| start.parse().unwrap());
            let tag = if changes && number > 0 {
                "\"b\""
            } else {
                "\"a\""
            };
            let reply = match ranges && start > 0 && request.headers["if-range"] == tag {
                true => {
                    let range = format!("bytes {start}-{}/{}", archive.len() - 1, archive.len());
                    Reply {
                        status: 206,
                        ..Reply::ok(&archive[start..])
                    }
                    .header("Content-Range", range)
                }
                false => Reply::ok(archive.clone()),
            };
            let cut = (number < 2).then(|| 300_000 + 200_000 * number);
            Reply { cut, ..reply }.header("ETag", tag)
        })
    };
    for ranges in [true, false] {
        let web = serve(ranges, false);
        t.build_from(&web.url("/c.tar"), &[]).succeeded();
        assert_eq!(
            fs_err::read(t.pull().unpack().join("noise")).unwrap(),
            noise
        );
        assert_eq!(web.seen().len(), 3);
    }
    t.build_from(&serve(true, true).url("/c.tar"), &[])
        .failed(1, "the connection broke after");
    // no answer at first
    let (archive, count) = (archive.clone(), AtomicUsize::new(0));
    let busy = Web::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::new(503),
        _ => Reply::ok(archive.clone()),
    });
    t.build_from(&busy.url("/c.tar"), &[]).succeeded();
}

#[test]
fn add_fetches_from_a_server() {
    let t = Sandbox::new();
    let tar = crafted::tar_of(&[Member {
        kind: EntryType::Regular,
        name: "inside",
        link: "",
        content: b"unpacked",
    }]);
    let archive = crafted::gzip(&tar);
    let web = Web::new(move |request| match &*request.target {
        "/dated?secret=x" => Reply::ok("dated\n")
            .header("Last-Modified", "Fri, 13 Feb 2009 23:31:30 GMT")
            .header("ETag", "\"x\""),
        "/plain/" => Reply::ok("plain\n"),
        "/moved" => Reply::new(302).header("Location", "/plain/"),
        "/encoded" => Reply::ok(crafted::gzip(b"decoded\n")).header("Content-Encoding", "gzip"),
        "/a.tar.gz" => Reply::ok(archive.clone()),
        "/cut" => Reply {
            cut: Some(3),
            ..Reply::ok("half of it")
        },
        "/gone" => Reply::new(410),
        _ => Reply::new(404),
    });
    let url = web.url("");
    let plain = Digest::of(b"plain\n");
    t.dockerfile(&format!(
        "FROM scratch\n\
         ADD {url}/dated?secret=x /\n\
         ADD --chmod=755 --chown=3:4 --checksum={plain} {url}/plain/ /bin/named\n\
         ADD {url}/moved {url}/encoded /dir/\n\
         ADD {url}/a.tar.gz /\n\
         ADD --unpack {url}/a.tar.gz /x\n\
         ADD {url}/plain/ name\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    let layers: Vec<String> = (0..image.layer_count()).map(|n| image.layer(n)).collect();
    expect![[r#"
        f 0600 0:0 6 dated
        d 0755 3:4 bin/
        f 0755 3:4 6 bin/named
        d 0755 0:0 dir/
        f 0600 0:0 8 dir/encoded
        f 0600 0:0 6 dir/moved
        f 0600 0:0 104 a.tar.gz
        d 0755 0:0 x/
        f 0644 0:0 8 x/inside
        f 0600 0:0 6 name
    "#]]
    .assert_eq(&layers.concat());
    assert_eq!(image.text("dir/encoded"), "decoded\n");
    let mtime = |name: &str| {
        let found = fs_err::metadata(image.unpack().join(name)).unwrap();
        std::os::unix::fs::MetadataExt::mtime(&found)
    };
    assert_eq!(mtime("dated"), 1_234_567_890);
    assert_eq!(mtime("name"), 0);

    let other = Digest::of(b"other");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (format!("ADD {url}/gone /"),                            "invalid response status 410".to_owned()),
        (format!("ADD {url}/cut /"),                             "cannot fetch".to_owned()),
        (format!("ADD --checksum={other} {url}/plain/ /"),       format!("digest mismatch {plain}: {other}")),
        (format!("ADD --checksum=md5:00 {url}/plain/ /"),        "unsupported digest algorithm".to_owned()),
        (format!("ADD --checksum=00 {url}/plain/ /"),            "invalid checksum digest format".to_owned()),
        (format!("ADD --checksum={other} Dockerfile /"),         "checksum requires HTTP(S) or Git sources".to_owned()),
        (format!("ADD --checksum={other} {url}/a {url}/b /d/"),  "checksum can't be specified for multiple sources".to_owned()),
    ];
    for (instruction, message) in cases {
        t.dockerfile(&format!("FROM scratch\n{instruction}\n"));
        t.build(["--no-push"]).failed(1, &message);
        assert_eq!(t.kaniko_dir(), "", "{instruction}");
    }
}

#[test]
fn certificates_of_private_authorities() {
    let mut t = Sandbox::with(Registry::tls());
    let (host, ca) = (t.registry.host(), t.registry.ca());
    fs_err::create_dir(t.path("docker")).unwrap();
    fs_err::write(t.path("docker/config.json"), t.registry.docker_config()).unwrap();
    t.env("DOCKER_CONFIG", t.path("docker"));
    // a layer is a compressed tar, and so is a context
    t.dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    let trusted = format!("--registry-certificate={host}={}", ca.display());
    let image = t.build_and_pull("source", [&trusted]);
    let blob = image.manifest["layers"][0]["digest"].as_str().unwrap();
    let url = format!("https://{USER}:{PASSWORD}@{host}/v2/source/blobs/{blob}");
    // flags about registries are not about contexts and ADD
    for flag in [trusted.as_str(), "--skip-tls-verify"] {
        let refused = t.build_from(&url, &[flag]).failed(1, "SSL_CERT_FILE");
        assert!(!refused.stderr.contains("Retrying"), "{refused}");
        t.dockerfile(&format!("FROM scratch\nADD {url} /\n"));
        t.build(["--no-push", flag]).failed(1, "SSL_CERT_FILE");
    }
    let git = format!("https://{host}/a.git");
    t.build_from(&git, &[]).failed(1, "SSL_CERT_FILE");
    let option = "--git=insecure-skip-tls=true";
    t.build_from(&git, &[option])
        .failed(1, "/a.git answered 404");
    t.env("SSL_CERT_FILE", ca);
    t.build_from(&url, &[]).succeeded();
    t.build(["--no-push"]).succeeded();
}
