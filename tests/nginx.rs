//! Contexts, Dockerfiles and sources of ADD from nginx, over HTTP and over TLS with a password.

use crate::git_contexts::{repositories, serve};
use crate::support::nginx::Nginx;
use crate::support::registry::{PASSWORD, USER};
use crate::support::{Sandbox, tool};

/// Makes an archive and files to be served, and starts the server.
fn nginx(t: &Sandbox, behind: &str) -> Nginx {
    t.file("message", 0o644, "hello\n");
    t.dockerfile("FROM scratch\nCOPY message /\n");
    let site = t.path("site");
    fs_err::create_dir(&site).unwrap();
    let archive = site.join("context.tar.gz");
    let context = t.context();
    let args = ["-czf", archive.to_str().unwrap(), "-C"];
    tool("tar", args.iter().chain(&[context.to_str().unwrap(), "."]));
    let dockerfile = "FROM scratch\nCOPY message /other\n";
    fs_err::write(site.join("Other.Dockerfile"), dockerfile).unwrap();
    Nginx::new(&site, behind)
}

#[test]
fn files() {
    let mut t = Sandbox::new();
    let server = nginx(&t, "127.0.0.1:1");
    let size = fs_err::metadata(t.path("site/context.tar.gz")).unwrap();
    let finished = t
        .build_from(&server.url("/context.tar.gz"), &[])
        .succeeded();
    assert_eq!(t.pull().text("message"), "hello\n");
    let fetched = format!("; fetched {} B for the context and ADD", size.len());
    assert!(finished.stderr.contains(&fetched), "{finished}");
    t.env("SSL_CERT_FILE", server.ca());
    let login = format!("{USER}:{PASSWORD}@");
    let context = server.secure_url(&login, "/context.tar.gz");
    let other = server.secure_url(&login, "/Other.Dockerfile");
    let finished = t
        .build_from(&context, &["--verbosity=debug", "-f", &other])
        .succeeded();
    assert!(!finished.stderr.contains(PASSWORD), "{finished}");
    assert_eq!(t.pull().text("other"), "hello\n");
    let context = server.secure_url("", "/context.tar.gz");
    t.build_from(&context, &[])
        .failed(1, "bad status from server: 401");
    let missing = server.url("/none.tar.gz");
    t.build_from(&missing, &[])
        .failed(1, "bad status from server: 404");
    t.dockerfile(&format!("FROM scratch\nADD {other} /\n"));
    let image = t.build_and_pull("app", [""; 0]);
    assert!(image.text("Other.Dockerfile").contains("COPY message"));
}

#[test]
fn a_repository() {
    let mut t = Sandbox::new();
    let behind = serve(repositories(&t).root, None);
    let behind = behind.url("").replace("http://", "");
    let server = nginx(&t, &behind);
    t.env("SSL_CERT_FILE", server.ca());
    let url = server.secure_url("", "/git/app.git");
    t.build_from(&url, &[]).failed(1, "answered 401");
    let report = t.path("report.json");
    let report = format!("--report={}", report.display());
    t.env("GIT_USERNAME", USER);
    t.env("GIT_PASSWORD", PASSWORD);
    for url in [&url.replace("https://", "git://"), &url] {
        let finished = t.build_from(&format!("{url}#dev"), &[&report]).succeeded();
        assert!(!finished.stderr.contains(PASSWORD), "{finished}");
        assert_eq!(t.pull().text("version"), "developed");
        let report = fs_err::read_to_string(t.path("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        // compressed files of a commit
        let fetched = report["bytes"]["fetched"].as_u64().unwrap();
        assert!((100..10_000).contains(&fetched), "{fetched}");
    }
}
