//! `--build-context`: what stands for a stage, an image or a source of files.

use expect_test::expect;

use crate::git_contexts::{repositories, serve};
use crate::support::{Sandbox, Web, requires, tool};

/// A directory beside the context that has `app`, a secret, and an ignore file which hides that.
fn directory(t: &Sandbox, name: &str) -> String {
    let dir = t.path(name);
    fs_err::create_dir_all(dir.join("sub")).unwrap();
    fs_err::write(dir.join("sub/app"), "app\n").unwrap();
    fs_err::write(dir.join("secret"), "secret\n").unwrap();
    fs_err::write(dir.join(".dockerignore"), "secret\n.dockerignore\n").unwrap();
    dir.to_str().unwrap().to_owned()
}

#[test]
fn a_directory_is_copied_from_and_started_from() {
    let t = Sandbox::new();
    t.file("own", 0o644, "own\n");
    let dir = directory(&t, "other");
    let option = format!("--build-context=Other={dir}");
    t.dockerfile("FROM scratch\nCOPY own /\nCOPY --from=other . /o/\n");
    let image = t.build_and_pull("copied", [&option]);
    expect![[r#"
        d 0755 0:0 o/
        d 0755 0:0 o/sub/
        f 0644 0:0 4 o/sub/app
    "#]]
    .assert_eq(&image.layer(1));
    t.dockerfile("FROM other\nCOPY own /sub/\n");
    let image = t.build_and_pull("started", [&option]);
    expect![[r#"
        d 0755 0:0 sub/
        f 0644 0:0 4 sub/app
    "#]]
    .assert_eq(&image.layer(0));
    assert_eq!(
        image.history(),
        [
            "local source for context:other",
            "COPY own /sub/ # buildkit"
        ]
    );
    assert_eq!(image.config["config"]["WorkingDir"], "/");
    // a path relative to where the executor was started
    let image = t.build_and_pull("relative", ["--build-context=other=../other"]);
    assert_eq!(image.text("sub/own"), "own\n");
    t.dockerfile("FROM other\nCOPY --from=other secret /\n");
    t.build(["--no-push", &option])
        .failed(1, "\"/secret\": not found")
        .failed(1, "the ignore file excludes it");
}

#[test]
fn a_run_mounts_a_directory() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let dir = directory(&t, "other");
    fs_err::write(t.context().join("app"), "main\n").unwrap();
    t.dockerfile(&format!(
        "FROM {base}\nRUN --mount=from=other,target=/o --mount=target=/m cat /o/sub/app /m/app > /got; ls -A /o >> /got\n"
    ));
    let option = format!("--build-context=other={dir}");
    let image = t.build_and_pull("app", [option]);
    assert_eq!(image.text("got"), "app\nmain\nsub\n");
}

#[test]
fn an_image_takes_the_place_of_another() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nENV FROM=first\nONBUILD COPY own /triggered\nCOPY own /\n");
    t.file("own", 0o644, "own\n");
    let tag = t.tag("first");
    t.build(["--destination", &tag]).succeeded();
    let layout = t.path("layout");
    let layout = layout.to_str().unwrap();
    t.build(["--no-push", "--oci-layout-path", layout])
        .succeeded();
    t.dockerfile("FROM nowhere.invalid/base:1 AS built\nFROM built\nCOPY --from=nowhere.invalid/base:1 own /copied\n");
    let from_registry = format!("docker-image://{tag}");
    let from_layout = format!("oci-layout://{layout}");
    for (name, source) in [("registry", &from_registry), ("layout", &from_layout)] {
        let option = format!("--build-context=nowhere.invalid/base:1={source}");
        let image = t.build_and_pull(name, [&option]);
        let env = image.config["config"]["Env"].to_string();
        assert!(env.contains("FROM=first"), "{env}");
        assert_eq!(image.layer_count(), 3, "{name}");
        assert_eq!(image.text("copied"), "own\n", "{name}");
        assert_eq!(image.text("triggered"), "own\n", "{name}");
    }
    let wrong = format!("--build-context=nowhere.invalid/base:1={from_layout}:v9");
    t.build(["--no-push", &wrong])
        .failed(1, "has no image `v9`");
    // a tag as skopeo writes it
    let tagged = t.path("tagged");
    let tagged = format!("oci:{}:v1", tagged.display());
    tool(
        "skopeo",
        ["copy", "--quiet", &format!("oci:{layout}"), &tagged],
    );
    let option = format!(
        "--build-context=nowhere.invalid/base:1=oci-layout://{}:v1",
        t.path("tagged").display()
    );
    t.build(["--no-push", &option]).succeeded();
}

#[test]
fn a_context_takes_the_place_of_a_stage() {
    let t = Sandbox::new();
    let dir = directory(&t, "other");
    t.dockerfile(
        "FROM nowhere.invalid/x AS build\nRUN make\nFROM scratch AS test\nCOPY --from=build sub/app /\nFROM tested\n",
    );
    let image = t.build_and_pull(
        "app",
        [
            &format!("--build-context=build={dir}"),
            "--build-context=tested=target:test",
            "--build-context=unused=/no/such/directory",
        ],
    );
    assert_eq!(image.text("app"), "app\n");
}

#[test]
fn archives_and_repositories() {
    let t = Sandbox::new();
    let dir = directory(&t, "other");
    let archive = t.path("a.tar.gz");
    let packed = [
        "--owner=7",
        "--group=8",
        "-C",
        &dir,
        "-czf",
        archive.to_str().unwrap(),
        ".",
    ];
    tool("tar", packed);
    let web = Web::with(fs_err::read(&archive).unwrap());
    t.dockerfile("FROM scratch\nCOPY --from=other secret /\n");
    let option = format!("--build-context=other={}", web.url("/a.tar.gz"));
    let image = t.build_and_pull("archive", [option]);
    assert_eq!(image.layer(0), "f 0644 7:8 7 secret\n");
    let git = serve(repositories(&t).root, None);
    t.dockerfile("FROM scratch\nCOPY --from=other . /\n");
    let option = format!("--build-context=other={}", git.url("/app.git#dev:sub"));
    let image = t.build_and_pull("git", [option, "--git=branch=main".to_owned()]);
    assert_eq!(image.text("here"), "here");
    let option = format!("--build-context=other={}", git.url("/outer.git"));
    let image = t.build_and_pull("submodules", [option]);
    assert_eq!(image.text("inner/version"), "second");
    assert!(!image.layer(0).contains(".git/"), "{}", image.layer(0));
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
}

#[test]
fn a_repository_is_what_the_query_says() {
    let t = Sandbox::new();
    let git = serve(repositories(&t).root, None);
    t.dockerfile("FROM scratch\nCOPY --from=other . /\n");
    let build = |query: &str| {
        let option = format!("--build-context=other={}", git.url(query));
        t.build(["--no-push", &option])
    };
    build("/app.git?branch=dev&subdir=sub").succeeded();
    let message = "expected checksum to match 0000000, got";
    build("/app.git?branch=dev&commit=0000000").failed(1, message);
    build("/app.git?subdir=none").failed(1, "there is no directory `none` in the context");
}

#[test]
fn a_private_repository_is_opened_by_a_secret() {
    let t = Sandbox::new();
    // the token `secret` of GitHub's user for tokens
    let login = "Basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0";
    let git = serve(repositories(&t).root, Some(login));
    fs_err::write(t.path("token"), "secret\n").unwrap();
    t.dockerfile("FROM scratch\nCOPY --from=other version /\n");
    let option = format!("--build-context=other={}", git.url("/app.git"));
    let secret = format!(
        "--secret=id=GIT_AUTH_TOKEN,src={}",
        t.path("token").display()
    );
    let image = t.build_and_pull("private", [option, secret]);
    assert_eq!(image.text("version"), "second");
}

#[test]
fn what_is_cached_depends_on_the_files() {
    let t = Sandbox::new();
    let dir = directory(&t, "other");
    t.dockerfile("FROM other\nCOPY --from=other sub/app /copied\n");
    let option = format!("--build-context=other={dir}");
    let cache = format!("--cache-repo=oci:{}", t.path("cache").display());
    let build = || {
        let args = [
            "--no-push",
            "--cache",
            "--cache-copy-layers",
            &cache,
            &option,
        ];
        let log = t.build(args).succeeded().stderr;
        log.matches("Using caching version of cmd").count()
    };
    assert_eq!(build(), 0);
    assert_eq!(build(), 2);
    fs_err::write(t.path("other/sub/app"), "changed\n").unwrap();
    assert_eq!(build(), 0);
    fs_err::write(t.path("other/secret"), "changed\n").unwrap();
    assert_eq!(build(), 2, "what is ignored does not count");
}

#[test]
fn what_is_no_context() {
    let t = Sandbox::new();
    t.dockerfile("FROM other\n");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("other",                        "invalid context value: other, expected key=value"),
        ("scratch=.",                    "the name `scratch` cannot be given to a context"),
        ("other=/no/such/directory",     "cannot open the context `other`"),
        ("other=s3:///key",              "names no bucket"),
        ("other=https://h/a.git?brunch=b", "unexpected query \"brunch\" (did you mean branch?)"),
        ("other=target:none",            "there is no stage \"none\" for the context \"other\""),
        ("other=oci-layout:///no/such",  "cannot get the image `oci-layout:///no/such`"),
    ];
    for (given, message) in cases {
        let option = format!("--build-context={given}");
        t.build(["--no-push", &option]).failed(1, message);
    }
}
