//! What cases find on the network: a web server with the files and the repository of each.
//!
//! `[WEB]` in a case stands for the URL of its files, which are described as those of a context: one with a time says when it was modified, a symlink
//! is a redirection, and what is `gzip` comes encoded. `[GIT]` stands for the URL of its repository, which is described as files, `commit TEXT`,
//! `tag NAME` and `branch NAME` in order; the times of commits are fixed, and so are their ids.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::case::Case;
use super::files::{self, File};
use crate::git_contexts::backend;
use crate::support::{Reply, Web};

/// Makes what the cases serve below `dir`, starts to serve it, and tells the cases where.
pub fn serve(dir: &Path, cases: &mut [Case]) -> Web {
    let repositories = dir.join("git");
    let mut replies = BTreeMap::new();
    for case in &*cases {
        if !case.repository.is_empty() {
            repository(
                &repositories.join(format!("{}.git", case.name)),
                &case.repository,
            );
        }
        web(&dir.join("web").join(&case.name), case, &mut replies);
    }
    let web = Web::new(move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let path = path.trim_end_matches('/').replace("%20", " ");
        match (request.target.strip_prefix("/git"), replies.get(&path)) {
            (Some(rest), _) => {
                let mut request = request.clone();
                request.target = rest.to_owned();
                backend(&repositories, &request)
            }
            (None, Some(reply)) => reply.clone(),
            (None, None) => Reply::new(404),
        }
    });
    for case in cases {
        let name = &case.name;
        let places = [
            ("[WEB]", web.url(&format!("/{name}"))),
            ("[GIT]", web.url(&format!("/git/{name}.git"))),
        ];
        for (mark, url) in places {
            case.fill(mark, &url);
        }
    }
    web
}

/// Makes the files of a case and what the server says for each.
fn web(dir: &Path, case: &Case, replies: &mut BTreeMap<String, Reply>) {
    fs_err::create_dir_all(dir).unwrap();
    files::make(dir, &case.web, b"");
    for line in case.web.iter().filter(|line| !line.starts_with("  ")) {
        let file = File::parse(line);
        let path = dir.join(&file.path);
        let target = |path: &str| format!("/{}/{path}", case.name);
        let reply = match file.kind.as_str() {
            "l" => Reply::new(302).header("Location", target(&file.rest)),
            "gzip" => Reply::ok(fs_err::read(path).unwrap()).header("Content-Encoding", "gzip"),
            _ => Reply::ok(fs_err::read(path).unwrap()),
        };
        let reply = match file.time {
            files::TIME => reply,
            time => reply.header("Last-Modified", date(time)),
        };
        replies.insert(target(&file.path), reply);
    }
}

/// Writes a time as HTTP does.
fn date(time: i64) -> String {
    let form = "%a, %d %b %Y %H:%M:%S GMT";
    let mut date = Command::new("date");
    date.env("LC_ALL", "C")
        .args(["-u", "-d", &format!("@{time}"), &format!("+{form}")]);
    let output = date.output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn repository(dir: &Path, lines: &[String]) {
    fs_err::create_dir_all(dir).unwrap();
    git(dir, &["init", "-q", "-b", "main"]);
    let mut waiting = Vec::new();
    for line in lines {
        match line.split_once(' ') {
            Some(("commit", text)) => {
                files::make(dir, &std::mem::take(&mut waiting), b"");
                git(dir, &["add", "-A"]);
                git(dir, &["commit", "-q", "-m", text]);
            }
            Some(("tag", name)) => git(dir, &["tag", name]),
            Some(("branch", name)) => git(dir, &["checkout", "-q", "-b", name]),
            _ => waiting.push(line.clone()),
        }
    }
    git(dir, &["checkout", "-q", "main"]);
}

fn git(dir: &Path, args: &[&str]) {
    let date = format!("@{} +0000", files::TIME);
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", &date)
        .env("GIT_COMMITTER_DATE", &date)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {told}");
}
