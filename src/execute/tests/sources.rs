//! Language spec 3.7.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::plan;
use crate::rootfs::{Rootfs, testing};

const TREE: &str = "a.go b.go .env src/c.go src/sub/d.go src/l->sub la->a.go ld->src dangling->nowhere out->../../etc weird[1] d/.x";

#[test]
fn what_a_word_means() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // source           after, below /d
        ("a.go",            "a.go"),
        ("/a.go",           "a.go"),
        ("../a.go",         "a.go"),
        ("./src/../a.go",   "a.go"),
        ("*.go",            "a.go b.go"),
        ("**.go",           "a.go b.go"),
        (".e*",             ".env"),
        ("?.go",            "a.go b.go"),
        ("[^b].go",         "a.go"),
        ("src/*",           "c.go d.go"),
        ("s*/*.go",         "c.go"),
        ("*/sub",           "d.go"),
        ("*/sub/*",         "d.go"),
        ("src",             "c.go l->sub sub/ sub/d.go"),
        ("src/.",           "c.go l->sub sub/ sub/d.go"),
        ("la",              "la"),
        ("ld",              "c.go l->sub sub/ sub/d.go"),
        ("ld/c*",           "c.go"),
        ("src/l",           "d.go"),
        ("l?",              "c.go l->sub la sub/ sub/d.go"),
        ("weird[[]1]",      "weird[1]"),
        ("d",               ".x"),
        ("d/*",             ".x"),
    ];
    for (source, want) in cases {
        let bed = Bed::new().source(TREE);
        let after = bed.after(&format!("COPY {source} /d/"));
        let below: Vec<_> = after
            .split(' ')
            .skip(1)
            .map(|path| path.trim_start_matches("/d/"))
            .collect();
        assert_eq!(below.join(" "), want, "{source}");
    }
}

#[test]
fn what_is_not_found() {
    let where_it_is = Some("sources are looked for in the build context, which `--context` names");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("COPY nodir/* /n/",   "failed to calculate checksum of ref build context: \"/nodir\": not found",    where_it_is),
        ("COPY dangling /n",   "failed to calculate checksum of ref build context: \"/dangling\": not found", where_it_is),
        ("COPY out/passwd /n", "failed to calculate checksum of ref build context: \"/out/passwd\": not found", where_it_is),
        ("COPY a.go/x /n",     "failed to calculate checksum of ref build context: \"/a.go/x\": not found",   where_it_is),
        ("COPY weird[1] /n",   "",                                                                            None),
        ("COPY weird\\\\[1\\\\] /n", "failed to calculate checksum of ref build context: \"/weird\\\\[1\\\\]\": not found", Some("there is \"weird[1]\"")),
        ("COPY a.goo /n",      "failed to calculate checksum of ref build context: \"/a.goo\": not found",    Some("there is \"a.go\"")),
        ("COPY [ /n",          "syntax error in pattern: \"[\"",                                              Some("in a pattern, `[` begins a set of characters; `[[]` stands for the character itself")),
    ];
    for (instruction, want, help) in cases {
        match Bed::new().source(TREE).execute(instruction) {
            Ok(written) => assert_eq!((want, written.len()), ("", 0), "{instruction}"),
            Err(error) => {
                assert_eq!(error.to_string(), want);
                assert_eq!(error.help().as_deref(), help, "{instruction}");
            }
        }
    }
}

#[test]
fn a_file_that_a_link_names_is_copied_under_the_links_name() {
    let bed = Bed::new().source(TREE);
    bed.execute("COPY la /d/").unwrap();
    assert_eq!(bed.content("d/la"), "a.go");
}

#[test]
fn ignored_files_do_not_exist() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // patterns          instruction        after
        ("*.go",             "COPY a.go /d/",   "error: failed to calculate checksum of ref build context: \"/a.go\": not found"),
        ("*.go",             "COPY *.go /d/",   ""),
        ("*.go",             "COPY la /d/",     "error: failed to calculate checksum of ref build context: \"/la\": not found"),
        ("src",              "COPY src /d/",    "error: failed to calculate checksum of ref build context: \"/src\": not found"),
        ("src\n!src/sub",    "COPY src /d/",    "/d/ /d/sub/ /d/sub/d.go"),
        ("src\n!**/d.go",    "COPY . /d/",      "/d/ /d/.env /d/a.go /d/b.go /d/d/ /d/d/.x /d/dangling->nowhere /d/la->a.go /d/ld->src \
                                                 /d/out->../../etc /d/src/ /d/src/sub/ /d/src/sub/d.go /d/weird[1]"),
        ("*",                "COPY . /d/",      "/d/"),
        ("src/*",            "COPY src /d/",    "/d/"),
        ("**/*.go",          "COPY s* /d/",     "/d/ /d/l->sub /d/sub/"),
    ];
    for (patterns, instruction, after) in cases {
        let bed = Bed::new().source(TREE).ignore(patterns);
        assert_eq!(bed.after(instruction), after, "{patterns:?} {instruction}");
    }
    let error = Bed::new()
        .source("f")
        .ignore("f")
        .execute("COPY f /")
        .unwrap_err();
    assert_eq!(
        error.help().as_deref(),
        Some("it exists, but the ignore file excludes it")
    );
}

#[test]
fn conflicts() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // source      before            after
        ("d/s/f",      "n/s",            "error: cannot copy to non-directory: /n/s"),
        ("d/s/f",      "n/ n/s->/t",     "error: cannot copy to non-directory: /n/s"),
        ("d/s",        "n/s/",           "error: cannot replace to directory /n/s with file"),
        ("d/ d/s->x",  "n/s/",           "error: cannot replace to directory /n/s with file"),
        ("d/s",        "n/ n/s->/t",     "/n/ /n/s"),
        ("d/ d/s->x",  "n/s",            "/n/ /n/s->x"),
    ];
    for (source, before, after) in cases {
        let bed = Bed::new().source(source).stage(before);
        assert_eq!(bed.after("COPY d /n"), after, "{source} on {before}");
    }
}

#[test]
fn what_a_user_may_not_read_stays_closed() {
    let bed = Bed::new().source("open closed/f");
    let path = bed.source.root.path().to_owned();
    let closed = path.join("closed");
    if testing::is_root() {
        for path in [bed.source.outside(), closed.as_path()] {
            std::os::unix::fs::chown(path, Some(1000), Some(1000)).unwrap();
        }
    }
    fs_err::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    testing::as_user(move || {
        let after = |patterns: &str| {
            let source = Rootfs::open_foreign(&path).unwrap();
            let ignore = dockerignore::parse(patterns.as_bytes()).unwrap();
            let tree = Tree {
                root: &source,
                ignore: Some(&ignore),
                owners: Owners::Root,
                name: "build context",
            };
            let (step, stage) = (plan::testing::copy("COPY . /"), Scratch::new());
            let copied = copy(&step, &tree, &[], &stage.root, Time::from_seconds(NOW));
            copied.map(|_| paths(&stage))
        };
        assert_eq!(after("closed").unwrap(), "/open");
        let error = after("").unwrap_err().to_string();
        assert!(error.ends_with("`/closed`"), "{error}");
        let mode = fs_err::metadata(&closed).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0);
    });
    fs_err::set_permissions(
        bed.source.root.path().join("closed"),
        Permissions::from_mode(0o755),
    )
    .unwrap();
}
