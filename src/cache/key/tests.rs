//! Every input flipped gives another key; what is no input does not.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::dockerfile::instruction::{Heredoc, Network, Security};
use crate::plan::{RunMount, Sharing, Source};

fn writing() -> Writing {
    Writing {
        compression: Compression::Gzip,
        level: None,
        epoch: None,
        ignore: Vec::new(),
    }
}

fn run_step() -> RunStep {
    RunStep {
        args: ["/bin/sh", "-c", "make"].map(str::to_owned).to_vec(),
        env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
        proxy_env: BTreeMap::new(),
        working_dir: "/w".to_owned(),
        user: "app".to_owned(),
        hostname: "host".to_owned(),
        network: Network::Default,
        security: Security::Sandbox,
        script: Some(Heredoc {
            name: "EOF".to_owned(),
            body: b"#!/bin/sh\n".to_vec(),
            raw_body: String::new(),
            expand: true,
            strip_tabs: false,
        }),
        mounts: vec![
            RunMount::Bind {
                target: "/b".to_owned(),
                from: Source::Context,
                source: "/".to_owned(),
                readonly: true,
            },
            RunMount::Cache {
                target: "/c".to_owned(),
                id: "c".to_owned(),
                from: None,
                source: String::new(),
                sharing: Sharing::Shared,
                readonly: false,
                mode: 0o755,
                uid: 0,
                gid: 0,
            },
            RunMount::Tmpfs {
                target: "/t".to_owned(),
                size: None,
            },
            RunMount::Secret {
                id: "s".to_owned(),
                target: None,
                env: None,
                required: false,
                mode: 0o400,
                uid: 0,
                gid: 0,
            },
            RunMount::Ssh {
                id: "default".to_owned(),
                target: "/ssh".to_owned(),
                required: false,
                mode: 0o600,
                uid: 0,
                gid: 0,
            },
        ],
    }
}

fn git_source(keep_git_dir: bool) -> GitSource {
    GitSource {
        url: "u".to_owned(),
        repository: "u".to_owned(),
        reference: crate::plan::GitReference::Default,
        sub_directory: String::new(),
        commit: None,
        by_commit: false,
        keep_git_dir,
        submodules: true,
        commit_time: false,
    }
}

fn copy_step() -> CopyStep {
    CopyStep {
        unpack: Unpack::Never,
        from: Source::Context,
        sources: vec![
            CopySource::Path("src".to_owned()),
            CopySource::Inline {
                name: "EOF".to_owned(),
                content: b"text".to_vec(),
            },
        ],
        destination: "/dst/".to_owned(),
        working_dir: "/".to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
    }
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
fn whatever_a_run_sees_is_in_its_key() {
    type Seen = (RunStep, Vec<Input>, Writing, Key);
    fn mount(seen: &mut Seen, index: usize) -> &mut RunMount {
        &mut seen.0.mounts[index]
    }
    let original: Seen = (run_step(), vec![Input::Files(files())], writing(), below());
    let key = |(step, mounts, writing, below): &Seen| run(below, step, mounts, writing).key;
    #[rustfmt::skip] // a table keeps its columns
    let changes: &[Change<'_, Seen>] = &[
        ("an argument",     &|s| s.0.args[2] = "make x".into()),
        ("the shell",       &|s| s.0.args[0] = "/bin/bash".into()),
        ("a split word",    &|s| s.0.args = vec!["/bin/sh".into(), "-cmake".into()]),
        ("a value",         &|s| drop(s.0.env.insert("A".into(), "2".into()))),
        ("an empty value",  &|s| drop(s.0.env.insert("A".into(), "".into()))),
        ("a new variable",  &|s| drop(s.0.env.insert("B".into(), "".into()))),
        ("no variable",     &|s| s.0.env.clear()),
        ("the directory",   &|s| s.0.working_dir = "/".into()),
        ("the user",        &|s| s.0.user = String::new()),
        ("the host name",   &|s| s.0.hostname = "other".into()),
        ("the network",     &|s| s.0.network = Network::None),
        ("host network",    &|s| s.0.network = Network::Host),
        ("the security",    &|s| s.0.security = Security::Insecure),
        ("the script",      &|s| s.0.script.as_mut().unwrap().body.push(b'x')),
        ("its name",        &|s| s.0.script.as_mut().unwrap().name.push('x')),
        ("no script",       &|s| s.0.script = None),
        ("mount order",     &|s| s.0.mounts.swap(0, 1)),
        ("a mount less",    &|s| drop(s.0.mounts.pop())),
        ("bind target",     &|s| if let RunMount::Bind { target, .. } = mount(s, 0) { target.push('x') }),
        ("bind source",     &|s| if let RunMount::Bind { source, .. } = mount(s, 0) { source.push('x') }),
        ("bind writable",   &|s| if let RunMount::Bind { readonly, .. } = mount(s, 0) { *readonly = false }),
        ("cache id",        &|s| if let RunMount::Cache { id, .. } = mount(s, 1) { id.push('x') }),
        ("cache sharing",   &|s| if let RunMount::Cache { sharing, .. } = mount(s, 1) { *sharing = Sharing::Locked }),
        ("cache mode",      &|s| if let RunMount::Cache { mode, .. } = mount(s, 1) { *mode = 0o700 }),
        ("cache uid",       &|s| if let RunMount::Cache { uid, .. } = mount(s, 1) { *uid = 1 }),
        ("cache gid",       &|s| if let RunMount::Cache { gid, .. } = mount(s, 1) { *gid = 1 }),
        ("tmpfs size",      &|s| if let RunMount::Tmpfs { size, .. } = mount(s, 2) { *size = Some(1) }),
        ("secret id",       &|s| if let RunMount::Secret { id, .. } = mount(s, 3) { id.push('x') }),
        ("secret target",   &|s| if let RunMount::Secret { target, .. } = mount(s, 3) { *target = Some("/s".into()) }),
        ("secret env",      &|s| if let RunMount::Secret { env, .. } = mount(s, 3) { *env = Some("S".into()) }),
        ("secret required", &|s| if let RunMount::Secret { required, .. } = mount(s, 3) { *required = true }),
        ("secret mode",     &|s| if let RunMount::Secret { mode, .. } = mount(s, 3) { *mode = 0o444 }),
        ("secret uid",      &|s| if let RunMount::Secret { uid, .. } = mount(s, 3) { *uid = 1 }),
        ("secret gid",      &|s| if let RunMount::Secret { gid, .. } = mount(s, 3) { *gid = 1 }),
        ("cache target",    &|s| if let RunMount::Cache { target, .. } = mount(s, 1) { target.push('x') }),
        ("cache source",    &|s| if let RunMount::Cache { source, .. } = mount(s, 1) { source.push('x') }),
        ("cache from",      &|s| if let RunMount::Cache { from, .. } = mount(s, 1) { *from = Some(Source::Context) }),
        ("cache readonly",  &|s| if let RunMount::Cache { readonly, .. } = mount(s, 1) { *readonly = true }),
        ("tmpfs target",    &|s| if let RunMount::Tmpfs { target, .. } = mount(s, 2) { target.push('x') }),
        ("ssh target",      &|s| if let RunMount::Ssh { target, .. } = mount(s, 4) { target.push('x') }),
        ("ssh required",    &|s| if let RunMount::Ssh { required, .. } = mount(s, 4) { *required = true }),
        ("ssh mode",        &|s| if let RunMount::Ssh { mode, .. } = mount(s, 4) { *mode = 0o666 }),
        ("ssh uid",         &|s| if let RunMount::Ssh { uid, .. } = mount(s, 4) { *uid = 1 }),
        ("ssh gid",         &|s| if let RunMount::Ssh { gid, .. } = mount(s, 4) { *gid = 1 }),
        ("ssh id",          &|s| if let RunMount::Ssh { id, .. } = mount(s, 4) { id.push('x') }),
        ("mounted content", &|s| s.1 = vec![Input::Files(vec![file("a", "1"), file("b", "3")])]),
        ("mounted stage",   &|s| s.1 = vec![Input::Stage(below())]),
        ("mounted image",   &|s| s.1 = vec![Input::Image(Vec::new())]),
        ("compression",     &|s| s.2.compression = Compression::Zstd),
        ("level",           &|s| s.2.level = Some(1)),
        ("epoch",           &|s| s.2.epoch = Some(0)),
        ("ignored path",    &|s| s.2.ignore = vec![LayerPath::clean("x")]),
        ("what is below",   &|s| s.3 = after(&s.3, &s.3)),
    ];
    all_differ(&original, key, changes);
}

#[test]
fn proxies_are_in_no_key() {
    let key = |step: &RunStep| run(&below(), step, &[], &writing()).key;
    let mut other = run_step();
    other.proxy_env.insert("HTTP_PROXY".into(), "p".into());
    assert_eq!(key(&run_step()), key(&other));
}

#[test]
fn whatever_a_copy_reads_and_writes_is_in_its_key() {
    type Seen = (CopyStep, Vec<InputFile>, Key, Writing);
    let original: Seen = (copy_step(), files(), below(), writing());
    let key = |(step, files, below, writing): &Seen| {
        copy(below, step, &Input::Files(files.clone()), writing).key
    };
    #[rustfmt::skip] // a table keeps its columns
    let changes: &[Change<'_, Seen>] = &[
        ("ADD",             &|s| s.0.unpack = Unpack::Local),
        ("ADD --unpack",    &|s| s.0.unpack = Unpack::Always),
        ("the source kind", &|s| s.0.from = Source::Scratch),
        ("a source word",   &|s| s.0.sources[0] = CopySource::Path("src/".into())),
        ("heredoc body",    &|s| s.0.sources[1] = CopySource::Inline { name: "EOF".into(), content: b"other".to_vec() }),
        ("heredoc name",    &|s| s.0.sources[1] = CopySource::Inline { name: "E".into(), content: b"text".to_vec() }),
        ("a URL",           &|s| s.0.sources[1] = CopySource::Url { url: "u".into(), checksum: None }),
        ("its checksum",    &|s| s.0.sources[1] = CopySource::Url { url: "u".into(), checksum: Some("c".into()) }),
        ("git",             &|s| s.0.sources[1] = CopySource::Git(git_source(false))),
        ("git dir",         &|s| s.0.sources[1] = CopySource::Git(git_source(true))),
        ("source order",    &|s| s.0.sources.reverse()),
        ("destination",     &|s| s.0.destination = "/dst".into()),
        ("directory",       &|s| s.0.working_dir = "/w".into()),
        ("chown",           &|s| s.0.chown = Some("1".into())),
        ("chown group",     &|s| s.0.chown = Some("1:1".into())),
        ("chmod",           &|s| s.0.chmod = Some(Chmod::Octal(0o755))),
        ("chmod symbolic",  &|s| s.0.chmod = Some(Chmod::Symbolic("a+x".into()))),
        ("link",            &|s| s.0.link = true),
        ("parents",         &|s| s.0.parents = true),
        ("exclude",         &|s| s.0.exclude = vec!["x".into()]),
        ("content",         &|s| s.1[0].content = file("a", "x").content),
        ("mode",            &|s| s.1[0].mode = 0o755),
        ("name",            &|s| s.1[0].path = LayerPath::clean("aa")),
        ("which source",    &|s| s.1[1].source = 1),
        ("order",           &|s| s.1.reverse()),
        ("a file less",     &|s| drop(s.1.pop())),
        ("owner",           &|s| s.1[0].owner = Some((0, 0))),
        ("xattr",           &|s| s.1[0].xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())]),
        ("hard link",       &|s| s.1[1].content = Content::HardLink(LayerPath::clean("0/a"))),
        ("symlink",         &|s| s.1[1].content = Content::Symlink(b"a".to_vec())),
        ("directory",       &|s| s.1[1].content = Content::Directory),
        ("fifo",            &|s| s.1[1].content = Content::Fifo),
        ("intermediate",    &|s| s.1[1].is_intermediate = true),
        ("top",             &|s| s.1[1].content = Content::Top),
        ("device",          &|s| s.1[1].content = Content::CharDevice(1, 2)),
        ("another device",  &|s| s.1[1].content = Content::CharDevice(1, 3)),
        ("block device",    &|s| s.1[1].content = Content::BlockDevice(1, 2)),
        ("compression",     &|s| s.3.compression = Compression::Zstd),
        ("level",           &|s| s.3.level = Some(1)),
        ("epoch",           &|s| s.3.epoch = Some(0)),
        ("an old file",     &|s| (s.3.epoch, s.1[0].mtime) = (Some(2_000), 1_001)),
        ("an older file",   &|s| (s.3.epoch, s.1[0].mtime) = (Some(2_000), 999)),
        ("ignored path",    &|s| s.3.ignore = vec![LayerPath::clean("x")]),
        ("what is below",   &|s| s.2 = after(&s.2, &s.2)),
    ];
    all_differ(&original, key, changes);
    let of = |input| copy(&below(), &copy_step(), &input, &writing()).key;
    assert_ne!(
        of(Input::Stage(below())),
        of(Input::Stage(after(&below(), &below())))
    );
    let layers = |name: &[u8]| Input::Image(vec![DiffId::new(Digest::of(name))]);
    assert_ne!(of(layers(b"1")), of(layers(b"2")));
    let fetched = |what: &str| Input::Fetched(vec![what.to_owned()], files());
    assert_ne!(of(fetched("1")), of(fetched("2")));
    assert_ne!(of(fetched("1")), of(Input::Files(files())));
    let mut moved = files();
    moved[0].origin = LayerPath::clean("elsewhere/a");
    assert_eq!(
        of(Input::Files(moved)),
        of(Input::Files(files())),
        "where it was is not what it is"
    );
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
fn a_linked_copy_does_not_depend_on_what_is_below() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // chown         chmod  depends
        (None,           None,  false),
        (Some("1:2"),    None,  false),
        (Some("app"),    None,  true),
        (None,           Some(Chmod::Octal(0o755)), true),
    ];
    for (chown, chmod, depends) in cases {
        let step = CopyStep {
            link: true,
            chown: chown.map(str::to_owned),
            chmod,
            ..copy_step()
        };
        let key = |below: &Key| copy(below, &step, &Input::Files(files()), &writing()).key;
        let differ = key(&below()) != key(&after(&below(), &below()));
        assert_eq!(differ, depends, "{step:?}");
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

#[test]
fn what_changed_is_named() {
    let key = |step: &RunStep, files: Vec<InputFile>| {
        run(&below(), step, &[Input::Files(files)], &writing()).parts
    };
    let earlier = key(&run_step(), files());
    let mut step = run_step();
    step.env.insert("A".into(), "2".into());
    step.args[2] = "make install".into();
    let now = key(&step, vec![file("a", "1"), file("b", "3"), file("c", "")]);
    assert_eq!(
        now.changes_since(&earlier).own().unwrap(),
        "file `b` changed, file `c` is new, the command changed, and 1 more"
    );
}

proptest! {
    /// Words cut at other places, moved between fields or reordered give another key.
    #[test]
    fn no_two_steps_share_a_key(
        one in (prop::collection::vec("[ab]{0,2}", 0..4), "[ab]{0,2}", "[ab]{0,2}"),
        two in (prop::collection::vec("[ab]{0,2}", 0..4), "[ab]{0,2}", "[ab]{0,2}"),
    ) {
        let key = |(args, working_dir, user): &(Vec<String>, String, String)| {
            let step = RunStep {
                args: args.clone(),
                working_dir: working_dir.clone(),
                user: user.clone(),
                ..run_step()
            };
            run(&below(), &step, &[], &writing()).key
        };
        prop_assert_eq!(key(&one) == key(&two), one == two);
    }
}
