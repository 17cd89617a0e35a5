//! What several commands of one build are lent at the same time.

use super::super::run::What;
use super::*;
use crate::plan::testing;

const NOW: Time = Time {
    seconds: 1,
    nanoseconds: 0,
};

/// Returns what a command finds at its only mount.
fn content(prepared: &Prepared) -> String {
    let [Lent { what, .. }] = &prepared.lent[..] else {
        panic!("{:?}", prepared.lent);
    };
    match what {
        What::File(path) | What::Directory(path) if path.is_file() => {
            fs_err::read_to_string(path).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_of_stages_side_by_side_have_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let source = |id: &str| SecretSource {
        id: id.to_owned(),
        from: Origin::Variable(format!("value of {id}")),
    };
    let secrets = Secrets::load(&["one", "two"].map(source), |name| Some(name.into())).unwrap();
    let (agents, interrupt) = (Agents::default(), Interrupt::new());
    let shelf = Shelf::new(Options {
        work_dir: dir.path(),
        cache_dir: None,
        isolation: &Isolation::Chroot,
        secrets: &secrets,
        agents: &agents,
        interrupt: &interrupt,
        halt: &interrupt,
    });
    let prepare = |id: &str| {
        let step = testing::run(&format!("RUN --mount=type=secret,id={id} cat"));
        shelf.prepare(&step, &[None], NOW).unwrap()
    };
    let (one, two) = (prepare("one"), prepare("two"));
    assert_eq!(content(&one), "value of one");
    assert_eq!(content(&two), "value of two");
    drop(one);
    assert_eq!(content(&two), "value of two");
    drop(two);
    let left = fs_err::read_dir(dir.path().join("secrets")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn all_commands_take_caches_in_one_order() {
    let cache = |id: &str| format!("--mount=type=cache,id={id},target=/{id}");
    let ids = |mounts: [String; 4]| {
        let step = testing::run(&format!("RUN {} make", mounts.join(" ")));
        let sources = [None, None, None, None];
        let mut ids = Vec::new();
        for (mount, _) in in_order(&step.mounts, &sources) {
            ids.push(match mount {
                RunMount::Cache { id, .. } | RunMount::Secret { id, .. } => id.clone(),
                other => panic!("{other:?}"),
            });
        }
        ids.join(" ")
    };
    let secret = |id: &str| format!("--mount=type=secret,id={id}");
    assert_eq!(
        ids([cache("b"), secret("z"), cache("a"), secret("y")]),
        "z y a b"
    );
    assert_eq!(
        ids([secret("z"), cache("a"), secret("y"), cache("b")]),
        "z y a b"
    );
}
