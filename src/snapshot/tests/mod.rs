//! Scripts run in a root, and what a snapshot says about them.

mod baselines;
mod layers;

use super::{Change, Options, Tree, changes, clock, tree, write};
use crate::layer::{Entry, Kind, LayerPath, Limits, Reader, Writer};
use crate::rootfs::Rootfs;
use crate::rootfs::testing::{self, Scratch};

const ALL: Options<'static> = Options {
    ignore: &|_| false,
    full: false,
};

fn lines(changes: &[Change]) -> String {
    let lines: Vec<String> = changes.iter().map(Change::to_string).collect();
    lines.join(", ")
}

/// A root with something of everything, and its baseline.
fn base() -> (Scratch, Tree) {
    let t = Scratch::new();
    t.apply(
        "d etc\nf etc/passwd root\nd bin\nf bin/sh sh\nh bin/ash bin/sh\nd var\nd var/lib\nf var/lib/db 1234\n\
         d var/log\nf var/log/a 1\nf var/log/b 2\nl lib usr/lib\nd empty",
    )
    .unwrap();
    let tree = tree::scan(&t.root, &ALL).unwrap();
    clock::pass(&tree);
    (t, tree)
}

/// Writes what changed as a layer.
fn layer(root: &Rootfs, changes: &[Change], clamp: Option<i64>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    write(changes, root, &mut writer, clamp).unwrap();
    writer.finish().unwrap()
}

fn entries(layer: &[u8]) -> Vec<Entry> {
    let mut reader = Reader::new(layer, Limits::default());
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn names(layer: &[u8]) -> String {
    let name = |entry: &Entry| match &entry.kind {
        Kind::HardLink { target } => format!("{}={target}", entry.path),
        _ => entry.path.to_string(),
    };
    let names: Vec<String> = entries(layer).iter().map(name).collect();
    names.join(" ")
}

#[test]
fn what_is_a_change() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // script                                                       changes
        ("true",                                                        ""),
        ("cat etc/passwd >/dev/null; ls -lR . >/dev/null",              ""),
        ("echo new >etc/new",                                           "+ /etc/new"),
        ("touch etc/tmp; rm etc/tmp; mkdir x; rmdir x",                 ""),
        ("rm -r var",                                                   "- /var"),
        ("rm -r var/log; rm bin/sh",                                    "- /bin/sh, - /var/log"),
        ("rm var/log/a",                                                "- /var/log/a"),
        ("rm -r var/lib; echo f >var/lib",                              "+ /var/lib"),
        ("rm etc/passwd; mkdir etc/passwd; echo 1 >etc/passwd/x",       "+ /etc/passwd, + /etc/passwd/x"),
        ("rm lib; ln -s usr/lib64 lib",                                 "+ /lib"),
        ("mv var/log var/logs",                                         "- /var/log, + /var/logs, + /var/logs/a, + /var/logs/b"),
        ("chmod 600 etc/passwd",                                        "+ /etc/passwd"),
        ("chmod 640 etc/passwd; chmod 750 etc",                         ""),
        ("chmod 700 etc",                                               "+ /etc"),
        ("touch -d @1234567890 etc/passwd",                             "+ /etc/passwd"),
        ("touch -d @1234567890 etc",                                    ""),
        ("touch -r etc/passwd x; printf wxyz >etc/passwd; touch -r x etc/passwd; rm x", "+ /etc/passwd"),
        ("touch -r etc/passwd x; printf root >etc/passwd; touch -r x etc/passwd; rm x", ""),
        ("cp -p etc/passwd x; mv x etc/passwd",                         ""),
        ("ln etc/passwd etc/shadow",                                    "+ /etc/passwd, + /etc/shadow"),
        ("ln etc/passwd x; rm x",                                       ""),
        ("ln bin/sh bin/bash",                                          "+ /bin/ash, + /bin/bash, + /bin/sh"),
        ("echo more >>bin/sh",                                          "+ /bin/ash, + /bin/sh"),
        ("rm bin/ash",                                                  "- /bin/ash"),
        ("mkfifo etc/pipe",                                             "+ /etc/pipe"),
        ("mkdir -p a-b a/b; echo 1 >a.b",                               "+ /a, + /a/b, + /a-b, + /a.b"),
        ("rm -r empty; mkdir -m 750 empty",                             ""),
        ("rm -r var; mkdir -m 750 var var/lib; echo 1 >var/lib/x",      "- /var/lib/db, + /var/lib/x, - /var/log"),
    ];
    for (script, want) in cases {
        let (t, mut tree) = base();
        t.run(script);
        let found = changes(&mut tree, &t.root, &ALL).unwrap();
        assert_eq!(lines(&found), want, "{script}");
        let again = changes(&mut tree, &t.root, &ALL).unwrap();
        assert_eq!(lines(&again), "", "again after {script}");
        assert_same(&tree, &t.root, script);
    }
}

/// The baseline as it was carried along is what a fresh look gives.
fn assert_same(tree: &Tree, root: &Rootfs, what: &str) {
    let fresh = tree::scan(root, &ALL).unwrap();
    let describe = |tree: &Tree| {
        let mut text = String::new();
        for node in tree.nodes.iter() {
            let name = String::from_utf8_lossy(tree.name(node)).into_owned();
            text += &format!(
                "{} {name} {:?} {:o} {}:{} {} {:?} {} {}\n",
                node.depth,
                node.kind,
                node.mode,
                node.uid,
                node.gid,
                node.size,
                node.mtime(),
                node.ctime,
                node.inode
            );
        }
        text
    };
    assert_eq!(describe(tree), describe(&fresh), "{what}");
}

#[test]
fn a_chown_to_the_same_owner_ships_nothing() {
    if !testing::is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let (t, mut tree) = base();
    t.run("chown -R 0:0 . ; chmod -R u+rwX .");
    assert_eq!(lines(&changes(&mut tree, &t.root, &ALL).unwrap()), "");
    t.run("chown -R 5:6 var/log");
    let found = changes(&mut tree, &t.root, &ALL).unwrap();
    assert_eq!(lines(&found), "+ /var/log, + /var/log/a, + /var/log/b");
    t.run("chown -h 5:6 lib");
    assert_eq!(lines(&changes(&mut tree, &t.root, &ALL).unwrap()), "+ /lib");
}

#[test]
fn extended_attributes_are_changes() {
    let (t, mut tree) = base();
    let set = |value: &str| {
        let mut dir = testing::dir("etc", 0o750);
        if !value.is_empty() {
            dir.xattrs.insert(b"user.note".to_vec(), value.into());
        }
        t.put(&dir, "");
    };
    for (value, want) in [
        ("1", "+ /etc"),
        ("1", ""),
        ("2", "+ /etc"),
        ("", "+ /etc"),
        ("", ""),
    ] {
        set(value);
        assert_eq!(
            lines(&changes(&mut tree, &t.root, &ALL).unwrap()),
            want,
            "{value}"
        );
    }
}

#[test]
fn ignored_paths_are_not_there() {
    let (t, _) = base();
    let options = Options {
        ignore: &|path| path == b"var/log" || path == b"proc",
        full: false,
    };
    let mut tree = tree::scan(&t.root, &options).unwrap();
    clock::pass(&tree);
    t.run("echo 1 >var/log/c; rm var/log/a; mkdir proc; echo 1 >proc/x; echo 2 >var/x");
    assert_eq!(
        lines(&changes(&mut tree, &t.root, &options).unwrap()),
        "+ /var/x"
    );
    t.run("rm -r var/log");
    assert_eq!(lines(&changes(&mut tree, &t.root, &options).unwrap()), "");
}

#[test]
fn full_reads_everything() {
    let (t, mut tree) = base();
    t.run("touch -r etc/passwd x; printf wxyz >etc/passwd; touch -r x etc/passwd; rm x");
    // As if something had set the ctime back.
    let now = t
        .root
        .stat(&LayerPath::clean("etc/passwd"))
        .unwrap()
        .unwrap();
    let node = tree
        .nodes
        .iter_mut()
        .find(|node| node.inode == now.inode)
        .unwrap();
    node.ctime = now.ctime;
    let full = Options { full: true, ..ALL };
    assert_eq!(
        lines(&changes(&mut tree.clone(), &t.root, &ALL).unwrap()),
        ""
    );
    assert_eq!(
        lines(&changes(&mut tree, &t.root, &full).unwrap()),
        "+ /etc/passwd"
    );
}

#[test]
fn sockets_stay_out() {
    let (t, mut tree) = base();
    let socket = t.root.path().join("etc/socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(lines(&changes(&mut tree, &t.root, &ALL).unwrap()), "");
    fs_err::remove_file(&socket).unwrap();
    assert_eq!(lines(&changes(&mut tree, &t.root, &ALL).unwrap()), "");
}

#[test]
fn a_tree_is_small() {
    assert!(size_of::<tree::Node>() <= 80);
}

#[test]
fn what_a_user_may_not_read_is_read_all_the_same() {
    let t = Scratch::new();
    if testing::is_root() {
        std::os::unix::fs::chown(t.root.path(), Some(1000), Some(1000)).unwrap();
        std::os::unix::fs::chown(t.outside(), Some(1000), Some(1000)).unwrap();
    }
    let path = t.root.path().to_owned();
    testing::as_user(move || {
        let root = Rootfs::open(&path).unwrap();
        let mut tree = tree::scan(&root, &ALL).unwrap();
        clock::pass(&tree);
        fs_err::create_dir(path.join("closed")).unwrap();
        fs_err::write(path.join("closed/shadow"), "secret").unwrap();
        let chmod = |name: &str, mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs_err::set_permissions(path.join(name), mode).unwrap();
        };
        chmod("closed/shadow", 0);
        chmod("closed", 0);
        let found = changes(&mut tree, &root, &ALL).unwrap();
        assert_eq!(lines(&found), "+ /closed, + /closed/shadow");
        let modes = entries(&layer(&root, &found, None))
            .into_iter()
            .map(|entry| entry.mode);
        assert_eq!(modes.collect::<Vec<_>>(), [0, 0]);
        assert_eq!(lines(&changes(&mut tree, &root, &ALL).unwrap()), "");
        root.remove(&LayerPath::root()).unwrap();
    });
}
