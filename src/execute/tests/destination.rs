//! Language spec 3.6.

use super::*;

#[test]
fn where_things_go() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // instruction          before               after
        ("COPY f /n",           "",                  "/n"),
        ("COPY f /n/",          "",                  "/n/ /n/f"),
        ("COPY f /n/.",         "",                  "/n/ /n/f"),
        ("COPY f /n",           "n/",                "/n/ /n/f"),
        ("COPY f /a/b/c",       "",                  "/a/ /a/b/ /a/b/c"),
        ("COPY f n",            "",                  "/w/ /w/n"),
        ("COPY f .",            "",                  "/w/ /w/f"),
        ("COPY f ./",           "",                  "/w/ /w/f"),
        ("COPY [\"f\", \"\"]",  "",                  "/w/ /w/f"),
        ("COPY f ..",           "",                  "/f"),
        ("COPY f /",            "",                  "/f"),
        ("COPY f x/../y",       "",                  "/w/ /w/y"),
        ("COPY d /n",           "",                  "/n/ /n/x"),
        ("COPY d/ /n/",         "",                  "/n/ /n/x"),
        ("COPY d/. /n",         "",                  "/n/ /n/x"),
        ("COPY d /n",           "n/z",               "/n/ /n/x /n/z"),
        ("COPY d /n",           "n",                 "error: cannot copy to non-directory: /n"),
        ("COPY d/* /n/",        "",                  "/n/ /n/x"),
        ("COPY f /l",           "dir/ l->/dir",      "/dir/ /dir/f /l->/dir"),
        ("COPY d /l",           "dir/ l->/dir",      "/dir/ /dir/x /l->/dir"),
        ("COPY f /l",           "l->/t",             "/l->/t /t"),
        ("COPY f /l",           "t l->/t",           "/l->/t /t"),
        ("COPY f /l/n",         "l->/t",             "/l->/t /t/ /t/n"),
        ("COPY f /n",           "n/f/",              "error: cannot replace to directory /n/f with file"),
        ("COPY f /n",           "n/ n/f->/other",    "/n/ /n/f"),
        ("COPY nosuch* /n/",    "",                  ""),
        ("COPY f /file/",       "file",              "error: /file: not a directory"),
        ("COPY f /file/x",      "file",              "error: /file/x: not a directory"),
        ("COPY f d /o",         "",                  "error: cannot copy to non-directory: /o"),
        ("COPY d f /o",         "",                  "/o/ /o/f /o/x"),
        ("COPY f g /o",         "",                  "/o"),
        ("COPY <<x <<y /e/\nx\ny", "",               "/e/ /e/x /e/y"),
        ("COPY <<x /e\nx",      "",                  "/e"),
        ("COPY <<x /e\nx",      "e/",                "/e/ /e/x"),
    ];
    for (instruction, before, after) in cases {
        let bed = Bed::new().source("f g d/x").stage(before);
        assert_eq!(bed.after(instruction), after, "{instruction} on {before:?}");
    }
}

#[test]
fn a_source_that_is_missing_leaves_nothing() {
    let bed = Bed::new().source("f");
    assert_eq!(
        bed.after("COPY f nosuch /n/"),
        "error: failed to calculate checksum of ref build context: \"/nosuch\": not found"
    );
    assert_eq!(paths(&bed.stage), "");
}

#[test]
fn the_last_of_several_sources_wins() {
    let bed = Bed::new().source("f g");
    bed.execute("COPY f g /o").unwrap();
    assert_eq!(bed.content("o"), "g");
}

#[test]
fn links_are_replaced_and_their_targets_stay() {
    let bed = Bed::new().source("f").stage("n/ t n/f->/t");
    bed.execute("COPY f /n/").unwrap();
    assert_eq!(
        (bed.content("n/f").as_str(), bed.content("t").as_str()),
        ("f", "t")
    );
    let bed = Bed::new().source("f").stage("t l->t");
    bed.execute("COPY f /l").unwrap();
    assert_eq!(bed.content("t"), "f");
}

#[test]
fn what_was_written_is_told() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("COPY f /a/b/c",             "",                "/a /a/b /a/b/c"),
        ("COPY f /a/b/c",             "a/",              "/a/b /a/b/c"),
        ("COPY f /l/c",               "t/ l->/t",        "/t/c"),
        ("COPY d /n",                 "n/z",             "/n /n/x"),
        ("COPY d /",                  "n/z",             "/x"),
        ("COPY --parents d/x /n",     "",                "/n /n/d /n/d/x"),
        ("COPY nosuch* /n/",          "",                ""),
        ("WORKDIR /a",                "a/",              ""),
        ("COPY --link f /l/c",        "t/ l->/t",        "/l /l/c"),
    ];
    for (instruction, before, want) in cases {
        let bed = Bed::new().source("f d/x").stage(before);
        let written = bed.execute(instruction).unwrap();
        let written: Vec<_> = written.iter().map(LayerPath::to_string).collect();
        assert_eq!(written.join(" "), want, "{instruction}");
    }
}

#[test]
fn link_copies_see_nothing_below() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("COPY --link f /l/c",  "t/ l->/t",    "/l/ /l/c /t/"),
        ("COPY --link f /n",    "n/z",         "/n"),
        ("COPY --link f /n/",   "n/z",         "/n/ /n/f /n/z"),
        ("COPY --link d /n",    "n/z",         "/n/ /n/x /n/z"),
        ("COPY --link d /n",    "n",           "/n/ /n/x"),
        ("COPY --link f /n/x",  "n",           "/n/ /n/x"),
        ("COPY --link d f /o",  "",            "/o/ /o/f /o/x"),
        ("COPY --link f /",     "",            "/f"),
    ];
    for (instruction, before, after) in cases {
        let bed = Bed::new().source("f d/x").stage(before);
        assert_eq!(bed.after(instruction), after, "{instruction} on {before:?}");
    }
    let bed = Bed::new().source("f");
    bed.stage.put(&dir("n", 0o700), "");
    assert_eq!(
        bed.listing("COPY --link f /n/f"),
        "d 0755 0:0 /n\nf 0644 0:0 /n/f 1\n"
    );
}
