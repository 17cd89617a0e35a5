//! Contexts that are git repositories, from git's own server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::web::Request;
use crate::support::{Reply, Sandbox, Web, fed, tool_in};

/// Serves the repositories below `root` as git's CGI program does, to who knows `login` if there is one.
pub fn serve(root: PathBuf, login: Option<&'static str>) -> Web {
    Web::new(move |request| {
        let given = request.headers.get("authorization").map(String::as_str);
        match login {
            Some(login) if given != Some(login) => {
                Reply::new(401).header("WWW-Authenticate", "Basic realm=\"git\"")
            }
            _ => backend(&root, request),
        }
    })
}

/// Answers as git's CGI program does for the repositories below `root`.
pub fn backend(root: &Path, request: &Request) -> Reply {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string());
    let output = fed(&mut command, &request.body).stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut reply = Reply::ok(&output[end + 4..]);
    for line in head.lines() {
        match line.split_once(": ").unwrap() {
            ("Status", status) => reply.status = status[..3].parse().unwrap(),
            (name, value) => reply = reply.header(name, value),
        }
    }
    reply
}

/// Two repositories: `app` has branches, a tag and a history; `outer` has it as a submodule.
pub struct Repositories {
    pub root: PathBuf,
    pub first: String,
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let identity = [
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "protocol.file.allow=always",
    ];
    tool_in(dir, "git", identity.iter().chain(args))
        .trim()
        .to_owned()
}

pub fn repositories(t: &Sandbox) -> Repositories {
    let root = t.path("repositories");
    let app = root.join("app.git");
    fs_err::create_dir_all(app.join("sub")).unwrap();
    git(&app, &["init", "-q", "-b", "main"]);
    let commit = |version: &str| {
        fs_err::write(app.join("version"), version).unwrap();
        git(&app, &["add", "-A"]);
        git(&app, &["commit", "-q", "-m", version]);
        git(&app, &["rev-parse", "HEAD"])
    };
    let dockerfile = "FROM scratch\nCOPY version .git/HEAD /\n";
    fs_err::write(app.join("Dockerfile"), dockerfile).unwrap();
    fs_err::write(app.join("sub/Dockerfile"), "FROM scratch\nCOPY here /\n").unwrap();
    fs_err::write(app.join("sub/here"), "here").unwrap();
    let first = commit("first");
    git(&app, &["tag", "-a", "v1", "-m", "one"]);
    commit("second");
    git(&app, &["checkout", "-q", "-b", "dev"]);
    commit("developed");
    git(&app, &["update-ref", "refs/pull/7/head", "dev"]);
    git(&app, &["update-ref", "refs/merge-requests/8/head", "dev"]);
    git(&app, &["checkout", "-q", "main"]);
    let outer = root.join("outer.git");
    fs_err::create_dir(&outer).unwrap();
    git(&outer, &["init", "-q", "-b", "main"]);
    fs_err::write(
        outer.join("Dockerfile"),
        "FROM scratch\nCOPY inner/version /\n",
    )
    .unwrap();
    git(
        &outer,
        &[
            "submodule",
            "--quiet",
            "add",
            app.to_str().unwrap(),
            "inner",
        ],
    );
    git(
        &outer,
        &[
            "config",
            "-f",
            ".gitmodules",
            "submodule.inner.url",
            "../app.git",
        ],
    );
    git(&outer, &["add", "-A"]);
    git(&outer, &["commit", "-q", "-m", "outer"]);
    Repositories { root, first }
}

#[test]
fn every_way_to_name_a_commit() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let web = serve(made.root.clone(), None);
    let root = made.root.clone();
    let old = Web::new(move |request| {
        let mut request = request.clone();
        request.headers.remove("git-protocol");
        backend(&root, &request)
    });
    let url = web.url("/app.git");
    let first = &made.first;
    let head = "ref: refs/heads/main\n";
    let dev = "ref: refs/heads/dev\n";
    let detached = format!("{first}\n");
    let developed = git(&made.root.join("app.git"), &["rev-parse", "dev"]) + "\n";
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (String::new(),               "",             "second",     head),
        ("#main".into(),              "",             "second",     head),
        ("#dev".into(),               "",             "developed",  dev),
        ("#refs/heads/dev".into(),    "",             "developed",  dev),
        ("#refs/pull/7/head".into(),  "",             "developed",  &developed),
        ("#refs/merge-requests/8/head".into(), "",    "developed",  &developed),
        ("#v1".into(),                "",             "first",      &detached),
        ("#refs/tags/v1".into(),      "",             "first",      &detached),
        (format!("#{first}"),         "",             "first",      &detached),
        (format!("#dev#{first}"),     "",             "first",      &detached),
        ("#main".into(),              "branch=dev",   "developed",  dev),
        ("#main".into(),              "branch=v1",    "first",      &detached),
        (String::new(),               "depth=0",      "second",     head),
    ];
    for (fragment, option, version, head) in cases {
        let context = format!("{url}{fragment}");
        let options = [format!("--git={option}")];
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let given = if option.is_empty() { &[][..] } else { &options };
        t.build_from(&context, given).succeeded();
        let image = t.pull();
        assert_eq!(image.text("version"), version, "{fragment} {option}");
        assert_eq!(image.text("HEAD"), head, "{fragment} {option}");
        // a server that knows only the protocol's old version
        let context = format!("{}{fragment}", old.url("/app.git"));
        t.build_from(&context, given).succeeded();
        let image = t.pull();
        assert_eq!(image.text("version"), version, "{fragment} {option}");
        assert_eq!(image.text("HEAD"), head, "{fragment} {option}");
    }
    t.build_from(&format!("{url}#main:sub"), &[]).succeeded();
    assert_eq!(t.pull().text("here"), "here");
    t.build_from(&url, &["--context-sub-path=sub"]).succeeded();
    for name in ["none", "refs/heads/none"] {
        let told = format!("there is no branch, tag or other reference `{name}` in {url}");
        t.build_from(&format!("{url}#{name}"), &[]).failed(1, &told);
    }
    t.build_from(&format!("{url}#1234abc"), &[])
        .failed(1, "help: a commit is named by all 40 digits of its id");
    t.build_from(&url, &["--git=branch=none"])
        .failed(1, "invalid branch: none");
    t.build_from(&web.url("/none.git"), &[])
        .failed(1, "/none.git answered 404");
    let page = Web::with("<html>no git");
    t.build_from(&page.url("/a.git"), &[])
        .failed(1, "cannot clone the repository");
}

#[test]
fn submodules_come_when_asked_for() {
    let t = Sandbox::new();
    let web = serve(repositories(&t).root, None);
    let url = web.url("/outer.git");
    t.build_from(&url, &["--git=recurse-submodules=true"])
        .succeeded();
    assert_eq!(t.pull().text("version"), "second");
    t.build_from(&url, &[])
        .failed(1, "\"/inner/version\": not found");
}

#[test]
fn private_repositories() {
    let mut t = Sandbox::new();
    let root = repositories(&t).root;
    // sesame and no password
    let web = serve(root.clone(), Some("Basic c2VzYW1lOg=="));
    let refused = t
        .build_from(&web.url("/app.git"), &[])
        .failed(1, "answered 401");
    assert!(refused.stderr.contains("GIT_TOKEN"), "{refused}");
    let typed = web.url("/app.git").replace("http://", "http://sesame@");
    let finished = t.build_from(&typed, &[]).succeeded();
    assert!(!finished.stderr.contains("sesame"), "{finished}");
    t.env("GIT_TOKEN", "sesame");
    t.env("GIT_PULL_METHOD", "http");
    let git_url = web.url("/app.git").replace("http://", "git://");
    let finished = t.build_from(&git_url, &["--verbosity=debug"]).succeeded();
    assert!(!finished.stderr.contains("sesame"), "{finished}");
    let mut t = Sandbox::new();
    // me and sesame
    let web = serve(root, Some("Basic bWU6c2VzYW1l"));
    t.env("GIT_USERNAME", "me");
    t.env("GIT_PASSWORD", "sesame");
    t.build_from(&web.url("/app.git"), &[]).succeeded();
    t.env("GIT_TOKEN", "wrong-token");
    let refused = t
        .build_from(&web.url("/app.git"), &[])
        .failed(1, "answered 401");
    assert!(!refused.stderr.contains("wrong-token"), "{refused}");
}

#[test]
fn a_repository_that_has_moved_is_followed() {
    let mut t = Sandbox::new();
    let root = repositories(&t).root;
    let moved = |request: &Request, to: &str| {
        let query = request.target.strip_prefix("/old.git/info/refs");
        query.map(|query| Reply::new(301).header("Location", format!("{to}/info/refs{query}")))
    };
    t.env("GIT_TOKEN", "sesame");
    let new = serve(root.clone(), None);
    let target = new.url("/app.git");
    let old = Web::new(move |request| moved(request, &target).unwrap_or(Reply::new(404)));
    t.build_from(&old.url("/old.git"), &[]).succeeded();
    assert_eq!(t.pull().text("version"), "second");
    let login = "Basic c2VzYW1lOg=="; // sesame and no password
    assert_eq!(old.seen()[0].headers["authorization"], login);
    for request in new.seen() {
        assert_eq!(request.headers.get("authorization"), None, "{request:?}");
    }
    // on the same server the login holds
    let web = Web::new(move |request| {
        let given = request.headers.get("authorization");
        match moved(request, "/app.git") {
            Some(reply) => reply,
            None if given.is_some_and(|given| given == login) => backend(&root, request),
            None => Reply::new(401),
        }
    });
    t.build_from(&web.url("/old.git"), &[]).succeeded();
}

#[test]
fn a_commit_has_a_time() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let web = serve(made.root.clone(), None);
    let url = web.url("/app.git");
    t.build_from(&url, &["--build-arg=SOURCE_DATE_EPOCH=context"])
        .succeeded();
    let app = made.root.join("app.git");
    let seconds = git(&app, &["log", "-1", "--format=%ct", "main"]);
    let time = time::OffsetDateTime::from_unix_timestamp(seconds.parse().unwrap()).unwrap();
    let format = &time::format_description::well_known::Rfc3339;
    assert_eq!(t.pull().config["created"], time.format(format).unwrap());
}

#[test]
fn an_archive_has_a_time() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nCOPY . /\n");
    let context = t.context();
    let mtime = [
        "--mtime=@70",
        "-C",
        context.to_str().unwrap(),
        "-cf",
        "-",
        ".",
    ];
    let tar = tool_in(&context, "tar", mtime);
    for (header, time) in [
        (
            Some("Thu, 01 Jan 1970 00:01:40 GMT"),
            "1970-01-01T00:01:40Z",
        ),
        (None, "1970-01-01T00:01:10Z"),
    ] {
        let mut reply = Reply::ok(tar.clone());
        if let Some(modified) = header {
            reply = reply.header("Last-Modified", modified);
        }
        let web = Web::new(move |_| reply.clone());
        let url = web.url("/context.tar");
        t.build_from(&url, &["--build-arg=SOURCE_DATE_EPOCH=context"])
            .succeeded();
        assert_eq!(t.pull().config["created"], time);
    }
}

#[test]
fn a_server_without_tls_is_asked_once() {
    let t = Sandbox::new();
    let context = format!("git://{}/app.git", t.registry.host());
    let refused = t.build_from(&context, &["--no-push"]);
    let refused = refused.failed(1, "for a repository set GIT_PULL_METHOD=http");
    assert!(!refused.stderr.contains("Retrying"), "{refused}");
}

#[test]
fn what_answers_and_is_no_repository() {
    let mut t = Sandbox::new();
    t.env("GIT_PULL_METHOD", "http");
    let web = Web::new(|_| Reply::ok("0123456789abcdef refs/heads/main\n"));
    let context = web.url("/app.git").replace("http://", "git://");
    let refused = t.build_from(&context, &["--no-push"]);
    refused.failed(1, "/app.git is no git repository, or its server speaks an unknown protocol\nhelp: is that the address");
}
