//! Properties of snapshots and layers, on random trees.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Options, changes, clock, tree, write};
use crate::layer::{Entry, Kind, LayerPath, Limits, Reader, Time, Writer};
use crate::rootfs::Rootfs;
use crate::rootfs::testing::{self, Scratch};

const ALL: Options<'static> = Options {
    ignore: &|_| false,
    full: false,
};

#[derive(Debug, Clone)]
struct File {
    entry: Entry,
    content: String,
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("b.c"), Just("é"), Just(".x")];
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn kind() -> impl Strategy<Value = (Kind, String)> {
    let file = "[a-c]{0,3}".prop_map(|content| {
        let size = content.len() as u64;
        (Kind::File { size }, content)
    });
    let plain = |kind| (kind, String::new());
    prop_oneof![
        4 => file,
        3 => Just(plain(Kind::Directory)),
        1 => path().prop_map(move |p| plain(Kind::Symlink { target: format!("./{p}").into_bytes() })),
        1 => path().prop_map(move |p| plain(Kind::HardLink { target: LayerPath::clean(p) })),
        1 => Just(plain(Kind::Fifo)),
        1 => (0..2u32, 0..3u32).prop_map(move |(major, minor)| plain(Kind::CharDevice { major, minor })),
    ]
}

prop_compose! {
    fn file()(
        path in path(),
        (kind, content) in kind(),
        mode in prop_oneof![Just(0o644), Just(0o755), Just(0o4711), Just(0o2750), Just(0o1777)],
        owner in 0..2u32,
        seconds in 0..3i64,
        note in 0..3u8,
    ) -> File {
        let noted = note == 0 && matches!(kind, Kind::File { .. } | Kind::Directory);
        let xattrs = match noted {
            true => BTreeMap::from([(b"user.note".to_vec(), b"1".to_vec())]),
            false => BTreeMap::new(),
        };
        let mtime = Time::from_seconds(1_000_000_000 + seconds);
        File { entry: Entry { path: LayerPath::clean(path), kind, mode, uid: owner, gid: 2 * owner, mtime, xattrs }, content }
    }
}

/// Puts what can be put: a path may lead through a file, a link to nothing.
fn fill(root: &Rootfs, files: &[File]) {
    let mut batch = root.batch();
    for File { entry, content } in files {
        let _ = batch.put(entry, &mut content.as_bytes());
    }
    batch.finish().unwrap();
}

/// Everything that a layer can carry: the listing, times of all but directories, and content.
fn describe(root: &Rootfs) -> String {
    let mut text = testing::listing(root);
    let mut walk = root.walk(&LayerPath::root()).unwrap();
    while let Some(found) = walk.next().unwrap() {
        if found.stat.is_dir() {
            continue;
        }
        text += &format!("{} {}", found.layer_path(), found.stat.mtime.seconds);
        if found.stat.is_file() {
            let content = std::io::read_to_string(walk.open_file().unwrap()).unwrap();
            text += &format!(" {content}");
        }
        text += "\n";
    }
    text
}

/// Unpacks what changed from `tree` to `from` into `to`.
fn ship(tree: &mut tree::Tree, from: &Rootfs, to: &Rootfs) {
    let found = changes(tree, from, &ALL).unwrap();
    let mut writer = Writer::new(Vec::new());
    write(&found, from, &mut writer, None).unwrap();
    let layer = writer.finish().unwrap();
    let mut reader = Reader::new(&layer[..], Limits::default());
    to.apply(&mut reader).unwrap();
}

/// Without the link counts: where a new name replaces an equal file, a layer need not say so.
fn without_links(text: &str) -> String {
    let field = |field: &&str| !field.starts_with("links=");
    let lines = text
        .lines()
        .map(|line| line.split(' ').filter(field).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_written_unpacks_to_the_same(files in prop::collection::vec(file(), 0..12)) {
        let (a, b) = (Scratch::new(), Scratch::new());
        fill(&a.root, &files);
        let mut empty = tree::Tree::default();
        ship(&mut empty, &a.root, &b.root);
        prop_assert_eq!(describe(&a.root), describe(&b.root));
    }

    #[test]
    fn a_layer_of_the_differences_makes_them(
        before in prop::collection::vec(file(), 0..12),
        removed in prop::collection::vec(path(), 0..3),
        after in prop::collection::vec(file(), 0..8),
    ) {
        let (a, b) = (Scratch::new(), Scratch::new());
        fill(&a.root, &before);
        let mut tree = tree::Tree::default();
        ship(&mut tree, &a.root, &b.root);
        clock::pass(&tree);
        for path in removed.iter().map(LayerPath::clean) {
            a.root.remove(&a.root.resolve_parent(path.as_bytes()).unwrap_or_default()).unwrap();
        }
        fill(&a.root, &after);
        ship(&mut tree, &a.root, &b.root);
        prop_assert_eq!(without_links(&describe(&a.root)), without_links(&describe(&b.root)));
        prop_assert_eq!(changes(&mut tree, &a.root, &ALL).unwrap(), vec![]);
    }
}
