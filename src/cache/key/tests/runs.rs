//! What is in the key of a RUN.

use proptest::prelude::*;

use super::*;
use crate::dockerfile::instruction::{Network, Security};
use crate::plan::{RunMount, Sharing, Source};

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
        ("cache mode",      &|s| if let RunMount::Cache { access, .. } = mount(s, 1) { access.mode = 0o700 }),
        ("cache uid",       &|s| if let RunMount::Cache { access, .. } = mount(s, 1) { access.uid = 1 }),
        ("cache gid",       &|s| if let RunMount::Cache { access, .. } = mount(s, 1) { access.gid = 1 }),
        ("tmpfs size",      &|s| if let RunMount::Tmpfs { size, .. } = mount(s, 2) { *size = Some(1) }),
        ("secret id",       &|s| if let RunMount::Secret { id, .. } = mount(s, 3) { id.push('x') }),
        ("secret target",   &|s| if let RunMount::Secret { target, .. } = mount(s, 3) { *target = Some("/s".into()) }),
        ("secret env",      &|s| if let RunMount::Secret { env, .. } = mount(s, 3) { *env = Some("S".into()) }),
        ("secret required", &|s| if let RunMount::Secret { required, .. } = mount(s, 3) { *required = true }),
        ("secret mode",     &|s| if let RunMount::Secret { access, .. } = mount(s, 3) { access.mode = 0o444 }),
        ("secret uid",      &|s| if let RunMount::Secret { access, .. } = mount(s, 3) { access.uid = 1 }),
        ("secret gid",      &|s| if let RunMount::Secret { access, .. } = mount(s, 3) { access.gid = 1 }),
        ("cache target",    &|s| if let RunMount::Cache { target, .. } = mount(s, 1) { target.push('x') }),
        ("cache source",    &|s| if let RunMount::Cache { source, .. } = mount(s, 1) { *source = Some("/x".into()) }),
        ("cache afresh",    &|s| if let RunMount::Cache { source, .. } = mount(s, 1) { *source = None }),
        ("cache from",      &|s| if let RunMount::Cache { from, .. } = mount(s, 1) { *from = Some(Source::Context) }),
        ("cache readonly",  &|s| if let RunMount::Cache { readonly, .. } = mount(s, 1) { *readonly = true }),
        ("tmpfs readonly",  &|s| if let RunMount::Tmpfs { readonly, .. } = mount(s, 2) { *readonly = true }),
        ("tmpfs target",    &|s| if let RunMount::Tmpfs { target, .. } = mount(s, 2) { target.push('x') }),
        ("ssh target",      &|s| if let RunMount::Ssh { target, .. } = mount(s, 4) { target.push('x') }),
        ("ssh required",    &|s| if let RunMount::Ssh { required, .. } = mount(s, 4) { *required = true }),
        ("ssh mode",        &|s| if let RunMount::Ssh { access, .. } = mount(s, 4) { access.mode = 0o666 }),
        ("ssh uid",         &|s| if let RunMount::Ssh { access, .. } = mount(s, 4) { access.uid = 1 }),
        ("ssh gid",         &|s| if let RunMount::Ssh { access, .. } = mount(s, 4) { access.gid = 1 }),
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
