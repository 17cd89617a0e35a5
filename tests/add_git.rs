//! ADD of git repositories, from git's own server.

use expect_test::expect;

use crate::git_contexts::{repositories, serve};
use crate::support::{Sandbox, Web};

#[test]
fn every_way_to_name_a_commit() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let url = serve(made.root.clone(), None).url("/app.git");
    let first = &made.first;
    let short = &first[..10];
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("",           String::new(),                                  "second"),
        ("",           "#dev".into(),                                  "developed"),
        ("",           "#v1".into(),                                   "first"),
        ("",           format!("#{first}"),                            "first"),
        ("",           "?branch=dev".into(),                           "developed"),
        ("",           "?tag=v1".into(),                               "first"),
        ("",           format!("?ref=v1&commit={short}"),              "first"),
        ("",           format!("?commit={first}&fetch-by-commit"),     "first"),
        ("--checksum", "#v1".into(),                                   "first"),
    ];
    for (flag, rest, version) in cases {
        let flag = match flag {
            "" => String::new(),
            flag => format!("{flag}={short} "),
        };
        t.dockerfile(&format!("FROM scratch\nADD {flag}{url}{rest} /a/\n"));
        let image = t.build_and_pull("app", [""; 0]);
        assert_eq!(image.text("a/version"), version, "{rest}");
        let want = format!("ADD {url}{rest} /a/ # buildkit");
        assert_eq!(image.history(), [want]);
    }
}

#[test]
fn files_are_like_those_of_a_commit() {
    let t = Sandbox::new();
    let url = serve(repositories(&t).root, None).url("/app.git");
    t.dockerfile(&format!(
        "FROM scratch\nADD {url} /a\nADD {url}#main:sub /s/\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    expect![[r#"
        d 0755 0:0 a/
        f 0644 0:0 38 a/Dockerfile
        d 0755 0:0 a/sub/
        f 0644 0:0 25 a/sub/Dockerfile
        f 0644 0:0 4 a/sub/here
        f 0644 0:0 6 a/version
    "#]]
    .assert_eq(&image.layer(0));
    expect![[r#"
        d 0755 0:0 s/
        f 0644 0:0 25 s/Dockerfile
        f 0644 0:0 4 s/here
    "#]]
    .assert_eq(&image.layer(1));
    t.dockerfile(&format!(
        "FROM scratch\nADD --keep-git-dir=true --chown=7:8 {url} /a\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    // a commit, not a branch
    assert_eq!(image.text("a/.git/HEAD").trim().len(), 40);
    assert!(image.layer(0).contains("f 0644 7:8 6 a/version\n"));
    t.dockerfile(&format!("FROM scratch\nADD {url}#main:none /a\n"));
    t.build(["--no-push"])
        .failed(1, "there is no directory `none`");
}

#[test]
fn submodules_come_along() {
    let t = Sandbox::new();
    let url = serve(repositories(&t).root, None).url("/outer.git");
    t.dockerfile(&format!("FROM scratch\nADD {url} /\n"));
    let image = t.build_and_pull("app", [""; 0]);
    assert_eq!(image.text("inner/version"), "second");
    assert!(!image.layer(0).contains(".git/"), "{}", image.layer(0));
    t.dockerfile(&format!("FROM scratch\nADD {url}?submodules=0 /\n"));
    let image = t.build_and_pull("app", [""; 0]);
    assert!(!image.layer(0).contains("version"), "{}", image.layer(0));
}

#[test]
fn what_is_refused() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let url = serve(made.root.clone(), None).url("/app.git");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("",                                 "#none",                  "there is no branch"),
        ("--checksum=0123",                  "",                       "expected checksum to match 0123, got "),
        ("--keep-git-dir=false",             "?keep-git-dir=true",     "inconsistent keep-git-dir configuration"),
        ("",                                 "?refs=main",             "unexpected query \"refs\" (did you mean ref?)"),
        ("",                                 "?branch=a&tag=b",        "branch conflicts with tag"),
    ];
    for (flags, rest, message) in cases {
        t.dockerfile(&format!("FROM scratch\nADD {flags} {url}{rest} /\n"));
        let finished = t.build(["--no-push"]).failed(1, message);
        assert!(finished.stderr.contains("--> Dockerfile:2"), "{finished}");
    }
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
}

#[test]
fn the_commit_is_the_key() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let web = serve(made.root.clone(), None);
    t.dockerfile(&format!(
        "FROM scratch\nADD {} /\n",
        web.url("/app.git#main")
    ));
    let cache = format!("--cache-repo=oci:{}", t.path("cache").display());
    let hits = || {
        let args = ["--no-push", "--cache", "--cache-copy-layers", &cache];
        let log = t.build(args).succeeded().stderr;
        log.matches("Using caching version of cmd").count()
    };
    assert_eq!(hits(), 0);
    let fetches = |web: &Web| {
        let seen = web.seen().into_iter();
        seen.filter(|request| request.body.windows(13).any(|w| w == b"command=fetch"))
            .count()
    };
    let before = fetches(&web);
    assert_eq!(hits(), 1);
    assert_eq!(
        fetches(&web),
        before,
        "nothing is fetched for a cached layer"
    );
    let head = made.root.join("app.git/.git/refs/heads/main");
    fs_err::write(head, format!("{}\n", made.first)).unwrap();
    assert_eq!(hits(), 0, "the branch moved");
}

#[test]
fn finding_out_when_a_commit_was_made_leaves_nothing() {
    let t = Sandbox::new();
    let url = serve(repositories(&t).root, None).url("/app.git");
    t.dockerfile(&format!(
        "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD {url} /\nFROM scratch\nCOPY f /\n"
    ));
    let before = t.kaniko_dir();
    t.build(["--no-push", "--dryrun"]).succeeded();
    assert_eq!(t.kaniko_dir(), before);
}

#[test]
fn private_repositories_and_files_need_secrets() {
    let mut t = Sandbox::new();
    let root = repositories(&t).root;
    // x-access-token and sesame
    let web = serve(root.clone(), Some("Basic eC1hY2Nlc3MtdG9rZW46c2VzYW1l"));
    let url = web.url("/app.git");
    let host = url.split('/').nth(2).unwrap().to_owned();
    t.dockerfile(&format!("FROM scratch\nADD {url} /\n"));
    t.env("TOKEN", "sesame");
    t.env("HEADER", "Basic eC1hY2Nlc3MtdG9rZW46c2VzYW1l");
    t.env("GIT_TOKEN", "sesame");
    t.build(["--no-push"])
        .failed(1, "answered 401")
        .failed(1, "--secret id=GIT_AUTH_TOKEN");
    for id in [
        "GIT_AUTH_TOKEN".to_owned(),
        format!("GIT_AUTH_TOKEN.{host}"),
        "GIT_AUTH_TOKEN.127.0.0.1".to_owned(),
    ] {
        let secret = format!("--secret=id={id},env=TOKEN");
        let finished = t
            .build(["--no-push", "--verbosity=debug", &secret])
            .succeeded();
        assert!(!finished.stderr.contains("sesame"), "{finished}");
    }
    t.build(["--no-push", "--secret=id=GIT_AUTH_HEADER,env=HEADER"])
        .succeeded();
    let file = Web::new(
        |request| match request.headers.get("authorization").map(String::as_str) {
            Some("Bearer sesame") => crate::support::Reply::ok("content"),
            _ => crate::support::Reply::new(401),
        },
    );
    let url = file.url("/file");
    t.dockerfile(&format!("FROM scratch\nADD {url} /\n"));
    t.build(["--no-push"])
        .failed(1, "invalid response status 401");
    t.build([
        "--no-push",
        "--secret=id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN",
    ])
    .succeeded();
    t.env("BEARER", "Bearer sesame");
    let host = url.split('/').nth(2).unwrap();
    let secret = format!("--secret=id=HTTP_AUTH_HEADER_{host},env=BEARER");
    t.build(["--no-push", &secret]).succeeded();
}

#[test]
fn a_file_without_checksum_is_cached_by_its_content() {
    let t = Sandbox::new();
    let web = Web::with("one");
    let cache = format!("--cache-repo=oci:{}", t.path("cache").display());
    let hits = |url: &str| {
        t.dockerfile(&format!(
            "FROM scratch\nADD {url} /file\nCOPY Dockerfile /\n"
        ));
        let args = ["--no-push", "--cache", "--cache-copy-layers", &cache];
        let log = t.build(args).succeeded().stderr;
        log.matches("Using caching version of cmd").count()
    };
    let url = web.url("/file");
    assert_eq!(hits(&url), 0);
    assert_eq!(hits(&url), 2);
    let changing = std::sync::atomic::AtomicUsize::new(0);
    let changing = Web::new(move |_| {
        let count = changing.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        crate::support::Reply::ok(count.to_string())
    });
    let url = changing.url("/file");
    assert_eq!(hits(&url), 0);
    assert_eq!(hits(&url), 0);
}
