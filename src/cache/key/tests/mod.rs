//! Every input flipped gives another key; what is no input does not.

mod copies;
mod runs;

use std::collections::BTreeMap;

use super::*;
use crate::plan::testing;

fn writing() -> Writing {
    Writing {
        compression: Compression::Gzip,
        level: None,
        epoch: None,
        ignore: Vec::new(),
    }
}

fn run_step() -> RunStep {
    let script = testing::run("RUN <<EOF\n#!/bin/sh\nEOF").script;
    let step = testing::run(
        "WORKDIR /w\nENV A=1\nUSER app\n\
         RUN --mount=target=/b --mount=type=cache,target=/c,id=c --mount=type=tmpfs,target=/t \
         --mount=type=secret,id=s --mount=type=ssh,target=/ssh make",
    );
    RunStep { script, ..step }
}

fn copy_step() -> CopyStep {
    testing::copy("COPY src <<EOF /dst/\ntext\nEOF")
}

fn file(path: &str, content: &str) -> InputFile {
    InputFile {
        origin: LayerPath::clean(path),
        source: 0,
        path: LayerPath::clean(path),
        is_intermediate: false,
        content: Content::File(Digest::of(content.as_bytes())),
        mode: 0o644,
        owner: None,
        xattrs: Vec::new(),
        mtime: 1_000,
    }
}

fn files() -> Vec<InputFile> {
    vec![file("a", "1"), file("b", "2")]
}

fn below() -> Key {
    scratch(&Platform::new("linux", "amd64", ""))
}

/// What is changed, and how.
type Change<'c, T> = (&'c str, &'c dyn Fn(&mut T));

/// Checks that all changes give keys that differ from the original's and from each other's.
fn all_differ<T: Clone>(original: &T, key: impl Fn(&T) -> Key, changes: &[Change<'_, T>]) {
    let mut seen = BTreeMap::from([(key(original), "nothing")]);
    for (name, change) in changes {
        let mut changed = original.clone();
        change(&mut changed);
        if let Some(other) = seen.insert(key(&changed), name) {
            panic!("changing {name} gives the key of changing {other}");
        }
    }
}

#[test]
fn times_of_files_count_only_where_a_layer_shows_them() {
    let at = |mtime: i64| {
        let mut files = files();
        files[0].mtime = mtime;
        Input::Files(files)
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // epoch      one time  another  same
        (None,        1,        2,       true),
        (Some(100),   100,      101,     true),
        (Some(100),   100,      99,      false),
        (Some(100),   98,       99,      false),
        (Some(100),   -1,       99,      false),
    ];
    for (epoch, one, another, same) in cases {
        let writing = Writing { epoch, ..writing() };
        let copied = |input: &Input| copy(&below(), &copy_step(), input, &writing).key;
        let ran =
            |input: &Input| run(&below(), &run_step(), std::slice::from_ref(input), &writing).key;
        let (one, another) = (at(one), at(another));
        assert_eq!(copied(&one) == copied(&another), same, "{epoch:?}");
        assert_eq!(
            ran(&one),
            ran(&another),
            "a RUN leaves no times of what it mounts"
        );
    }
}

#[test]
fn bases_differ_by_layers_and_platform_only() {
    let platform = |architecture| Platform::new("linux", architecture, "");
    let layers = |names: &[&str]| -> Vec<DiffId> {
        let layer = |name: &&str| DiffId::new(Digest::of(name.as_bytes()));
        names.iter().map(layer).collect()
    };
    let keys = [
        scratch(&platform("amd64")),
        scratch(&platform("arm64")),
        image(&layers(&[]), &platform("amd64")),
        image(&layers(&["a"]), &platform("amd64")),
        image(&layers(&["a"]), &platform("arm64")),
        image(&layers(&["a", "b"]), &platform("amd64")),
        image(&layers(&["b", "a"]), &platform("amd64")),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key), "{index}");
    }
    let step = WorkdirStep {
        path: "/w".to_owned(),
        user: String::new(),
    };
    let other = WorkdirStep {
        user: "app".to_owned(),
        ..step.clone()
    };
    let key = |step| workdir(&keys[0], step, &writing()).key;
    assert_ne!(key(&step), key(&other));
    let elsewhere = WorkdirStep {
        path: "/v".to_owned(),
        ..step.clone()
    };
    assert_ne!(key(&step), key(&elsewhere));
    let writing = Writing {
        level: Some(1),
        ..writing()
    };
    assert_ne!(key(&step), workdir(&keys[0], &step, &writing).key);
}

#[test]
fn a_stage_in_one_layer_has_a_key_of_its_own() {
    let (start, end) = (below(), after(&below(), &below()));
    let of = |start, end| single(start, end, Vec::new()).key;
    let keys = [
        of(&start, &end),
        of(&end, &end),
        of(&start, &start),
        end,
        start,
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key), "{index}");
    }
}
