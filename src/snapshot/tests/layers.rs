//! Changes as layers, which are put into other roots.

use std::io::{self, Read};

use super::*;
use crate::layer::Time;
use crate::rootfs::ContentHash;

#[test]
fn what_a_layer_holds() {
    let (t, mut tree) = base();
    t.run("ln bin/sh bin/bash; rm -r var/log; echo 1 >var/lib/x; mkdir -p opt/a; touch -d @2000000000.9 opt/a/f");
    let found = changes(&mut tree, &t.root, &ALL).unwrap();
    let bytes = layer(&t.root, &found, None);
    assert_eq!(
        names(&bytes),
        "/bin /bin/ash /bin/bash=/bin/ash /bin/sh=/bin/ash /opt /opt/a /opt/a/f /var /var/lib /var/lib/x /var/.wh.log"
    );
    let file = |bytes: &[u8]| {
        entries(bytes)
            .into_iter()
            .find(|e| e.path == LayerPath::clean("opt/a/f"))
    };
    assert_eq!(
        file(&bytes).unwrap().mtime,
        Time::from_seconds(2_000_000_000)
    );
    let clamped = layer(&t.root, &found, Some(7));
    assert!(
        entries(&clamped)
            .iter()
            .all(|entry| entry.mtime.seconds <= 7)
    );
    assert_eq!(clamped, layer(&t.root, &found, Some(7)));
}

#[test]
fn a_file_named_like_a_whiteout_is_an_error() {
    let (t, mut tree) = base();
    t.run("touch etc/.wh.passwd");
    let found = changes(&mut tree, &t.root, &ALL).unwrap();
    let mut writer = Writer::new(io::sink());
    let error = write(&found, &t.root, &mut writer, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/etc/.wh.passwd` cannot be in a layer: names that start with `.wh.` mark deletions"
    );
}

#[test]
fn a_deep_tree_is_walked_and_removed() {
    let t = Scratch::new();
    let mut tree = tree::scan(&t.root, &ALL).unwrap();
    // Too long for one path, and more levels than descriptors are held open.
    t.run("i=0; while [ $i -lt 380 ]; do mkdir 1234567890 && cd -P 1234567890; i=$((i+1)); done; echo end >file");
    let found = changes(&mut tree, &t.root, &ALL).unwrap();
    assert_eq!(found.len(), 381);
    let bytes = layer(&t.root, &found, None);
    t.root.remove(&LayerPath::clean("1234567890")).unwrap();
    assert_eq!(t.listing(), "");
    let mut reader = Reader::new(&bytes[..], Limits::default());
    t.root.apply(&mut reader).unwrap();
    let mut content = String::new();
    let path = found.last().unwrap().path();
    t.root
        .open_file(path)
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, "end\n");
}

#[test]
fn what_is_known_of_a_file_is_not_computed_again() {
    let t = Scratch::new();
    t.put(&testing::file("known", 0o644, 1), "k");
    t.run("echo unknown >unknown");
    let path = |name: &str| LayerPath::clean(name);
    let hash_of = |name: &str| {
        let stat = t.root.stat(&path(name)).unwrap().unwrap();
        t.root.content_hash(stat.inode, stat.ctime)
    };
    // tells what was known from what would be computed
    let mark = ContentHash::of(b"mark");
    let known = t.root.open_file(&path("known")).unwrap();
    t.root.remember_content(&known, mark);
    let found = ["known", "unknown"].map(|name| Change::Put(path(name)));
    let bytes = layer(&t.root, &found, None);
    assert_eq!(names(&bytes), "/known /unknown");
    assert_eq!(hash_of("known"), Some(mark));
    assert_eq!(hash_of("unknown"), Some(ContentHash::of(b"unknown\n")));
    // what took its place is not known
    t.run("echo other >new; mv new known");
    layer(&t.root, &found, None);
    assert_eq!(hash_of("known"), Some(ContentHash::of(b"other\n")));
}
