//! `--ignore-path`: paths, and patterns of paths, that are no part of the image.

use crate::support::{Sandbox, requires};

#[test]
fn what_matches_is_in_no_layer() {
    requires!(root);
    let mut t = Sandbox::new();
    t.env("SOURCE_DATE_EPOCH", "1000000000");
    t.file("tree/a.log", 0o644, "a\n");
    t.file("tree/b", 0o644, "b\n");
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM {}\n\
         RUN mkdir -p /srv/cache/deep /srv/keep && echo 1 > /srv/cache/deep/f && echo 2 > /srv/keep/a.log && echo 3 > /srv/keep/b\n\
         COPY tree /srv/keep/copied\n\
         COPY f /srv/cache/f\n\
         RUN test -e /srv/cache/f && rm -r /srv/cache && echo 4 > /srv/keep/a.log && rm /srv/keep/copied/a.log && touch /srv/keep/c\n",
        t.base()
    ));
    let args = [
        "--ignore-path=/srv/c*",
        "--ignore-path=/srv/keep/*.log",
        "--ignore-path=/*/keep/copied/?.log",
    ];
    let image = t.build_and_pull("app", args);
    let layers: Vec<String> = (1..image.layer_count())
        .map(|n| paths(&image.layer(n)))
        .collect();
    assert_eq!(
        layers,
        [
            "srv/ srv/keep/ srv/keep/b",
            "srv/ srv/keep/ srv/keep/copied/ srv/keep/copied/b",
            "",
            "srv/ srv/keep/ srv/keep/c",
        ]
    );
}

/// Returns the last words of a listing's lines.
fn paths(listing: &str) -> String {
    let paths = listing
        .lines()
        .filter_map(|line| line.split(' ').next_back());
    paths.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_can_match_nothing_is_told() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nLABEL a=b\n");
    let args = [
        "--no-push",
        "--ignore-path=srv/cache",
        "--ignore-path=/srv/[a",
    ];
    let finished = t.build(args).succeeded();
    for told in [
        "--ignore-path srv/cache has no effect: it does not begin with `/`",
        "--ignore-path /srv/[a has no effect: its pattern is malformed",
    ] {
        assert!(finished.stderr.contains(told), "{finished}");
    }
}
