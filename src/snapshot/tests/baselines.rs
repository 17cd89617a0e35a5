//! Baselines that instructions and moves bring up to date.

use super::*;
use crate::snapshot::{Moved, touched};

#[test]
fn a_refreshed_baseline_knows_what_copy_did() {
    let (t, mut tree) = base();
    t.put(&testing::file("var/app/main", 0o755, 4), "main");
    t.put(&testing::file("etc/passwd", 0o644, 3), "new");
    t.put(&testing::file("var/log", 0o644, 1), "x");
    t.put(&testing::symlink("aa", "bin"), "");
    t.put(&testing::file("aa/zz", 0o644, 1), "z");
    t.root.remove(&LayerPath::clean("empty")).unwrap();
    let paths = [
        "var/app/main",
        "etc/passwd",
        "var/log",
        "aa",
        "aa/zz",
        "empty",
    ]
    .map(LayerPath::clean);
    tree.refresh(&t.root, &paths, &ALL).unwrap();
    assert_same(&tree, &t.root, "refresh");
    assert_eq!(lines(&changes(&mut tree, &t.root, &ALL).unwrap()), "");
    let found = touched(&t.root, &paths).unwrap();
    assert_eq!(
        lines(&found),
        "+ /aa, + /bin/zz, - /empty, + /etc/passwd, + /var/app/main, + /var/log"
    );
}

#[test]
fn files_that_were_only_moved_are_no_candidates() {
    let (t, mut tree) = base();
    let path = LayerPath::clean("etc/passwd");
    let before = t.root.stat(&path).unwrap().unwrap();
    t.run("mv etc/passwd etc/x; mv etc/x etc/passwd");
    let after = t.root.stat(&path).unwrap().unwrap();
    let moved = Moved {
        inode: before.inode,
        ctime_before: before.ctime,
        ctime_after: after.ctime,
    };
    tree.moved(&t.root, &[moved]);
    let node = tree
        .nodes
        .iter()
        .find(|node| node.inode == before.inode)
        .unwrap();
    assert_eq!(node.ctime, after.ctime);
}
