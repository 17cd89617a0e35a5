//! Language spec 3.7 (metadata) and 3.8 (`--chown`, `--chmod`).

use std::os::unix::net::UnixListener;

use expect_test::expect;

use super::*;
use crate::layer::Kind;
use crate::rootfs::testing::hard_link;

fn owned(mut entry: Entry, uid: u32, gid: u32, mtime: i64) -> Entry {
    (entry.uid, entry.gid) = (uid, gid);
    entry.mtime = Time::from_seconds(mtime);
    entry
}

/// A tree with owners, modes, times, attributes and every kind of file.
fn bed() -> Bed {
    let bed = Bed::new();
    bed.source.put(&owned(dir("d", 0o700), 1, 2, 100), "");
    bed.source.put(&owned(dir("d/s", 0o2750), 3, 4, 200), "");
    let mut su = owned(file("d/s/su", 0o4755, 2), 5, 6, 300);
    su.mtime.nanoseconds = 123_456_789;
    su.xattrs.insert(b"user.note".to_vec(), b"x".to_vec());
    bed.source.put(&su, "su");
    bed.source.put(&hard_link("d/s/su2", "d/s/su"), "");
    bed.source
        .put(&owned(symlink("d/s/l", "su"), 7, 8, 400), "");
    bed.source.put(&entry("d/s/p", Kind::Fifo, 0o622), "");
    let zero = Kind::CharDevice { major: 1, minor: 5 };
    bed.source.put(&entry("d/s/z", zero, 0o666), "");
    let socket = bed.source.outside().join("root/d/s/sock");
    drop(UnixListener::bind(socket).unwrap());
    for (path, mtime) in [("d/s", 200), ("d", 100)] {
        let mtime = Time::from_seconds(mtime);
        bed.source
            .root
            .set_mtime(&LayerPath::clean(path), mtime)
            .unwrap();
    }
    bed
}

#[test]
fn everything_of_a_context_belongs_to_root() {
    let bed = bed();
    expect![[r#"
        d 0755 0:0 /n
        d 2750 0:0 /n/s
        l - 0:0 /n/s/l -> su
        p 0622 0:0 /n/s/p
        f 0755 0:0 /n/s/sock 0
        f 4755 0:0 /n/s/su 2 links=2 user.note=x
        f 4755 0:0 /n/s/su2 2 links=2 user.note=x
        c 0666 0:0 /n/s/z 1,5
    "#]]
    .assert_eq(&bed.listing("COPY d /n"));
    let times = ["n", "n/s", "n/s/su", "n/s/l"].map(|path| bed.mtime(path));
    assert_eq!(times, [100, 200, 300, 400]);
    let su = bed
        .stage
        .root
        .stat(&LayerPath::clean("n/s/su"))
        .unwrap()
        .unwrap();
    assert_eq!(su.mtime.nanoseconds, 123_456_789);
}

#[test]
fn stages_and_images_keep_their_owners() {
    let bed = Bed {
        owners: Owners::Kept,
        ..bed()
    };
    expect![[r#"
        d 0755 0:0 /n
        d 2750 3:4 /n/s
        l - 7:8 /n/s/l -> su
        p 0622 0:0 /n/s/p
        f 0755 0:4 /n/s/sock 0
        f 4755 5:6 /n/s/su 2 links=2 user.note=x
        f 4755 5:6 /n/s/su2 2 links=2 user.note=x
        c 0666 0:0 /n/s/z 1,5
    "#]]
    .assert_eq(&bed.listing("COPY d /n"));
}

#[test]
fn owner_and_mode_of_everything() {
    let bed = Bed {
        owners: Owners::Kept,
        ..bed()
    };
    expect![[r#"
        d 0640 9:10 /a
        d 0640 9:10 /a/n
        d 0640 9:10 /a/n/s
        l - 9:10 /a/n/s/l -> su
        p 0640 9:10 /a/n/s/p
        f 0640 9:10 /a/n/s/sock 0
        f 0640 9:10 /a/n/s/su 2 links=2 user.note=x
        f 0640 9:10 /a/n/s/su2 2 links=2 user.note=x
        c 0640 9:10 /a/n/s/z 1,5
    "#]]
    .assert_eq(&bed.listing("COPY --chown=9:10 --chmod=640 d /a/n"));
}

#[test]
fn symbolic_modes_leave_made_directories_alone() {
    let bed = Bed::new().source("d/s/f");
    expect![[r#"
        d 0755 0:0 /a
        d 0755 0:0 /a/n
        d 0775 0:0 /a/n/s
        f 0664 0:0 /a/n/s/f 5
    "#]]
    .assert_eq(&bed.listing("COPY --chmod=g+w d /a/n"));
}

#[test]
fn an_existing_directory_takes_over_only_the_time() {
    let bed = bed();
    bed.stage.put(&owned(dir("n", 0o711), 11, 12, 500), "");
    bed.stage.put(&owned(dir("n/s", 0o711), 11, 12, 500), "");
    let listing = bed.listing("COPY d /n");
    assert!(
        listing.starts_with("d 0711 11:12 /n\nd 2750 0:0 /n/s\n"),
        "{listing}"
    );
    assert_eq!((bed.mtime("n"), bed.mtime("n/s")), (100, 200));
}

#[test]
fn directories_on_the_way_are_new() {
    let bed = Bed::new().source("f");
    bed.stage.put(&owned(dir("a", 0o711), 11, 12, 500), "");
    expect![[r#"
        d 0711 11:12 /a
        d 0755 5:5 /a/b
        f 0644 5:5 /a/b/f 1
    "#]]
    .assert_eq(&bed.listing("COPY --chown=5 f /a/b/"));
    assert_eq!(bed.mtime("a/b"), NOW);
}

#[test]
fn replacing_a_file_unlinks_it() {
    let bed = Bed::new().source("f").stage("old");
    bed.stage.put(&hard_link("other", "old"), "");
    bed.execute("COPY f /old").unwrap();
    assert_eq!(
        (bed.content("old").as_str(), bed.content("other").as_str()),
        ("f", "old")
    );
    bed.stage.put(&entry("pipe", Kind::Fifo, 0o622), "");
    bed.execute("COPY f /pipe").unwrap();
    assert_eq!(bed.content("pipe"), "f");
}

#[test]
fn owners_by_name() {
    let passwd = "bob:x:10:20::/:\n";
    let group = "staff:x:50:\n";
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("5",          "5:5"),
        ("5:6",        "5:6"),
        ("bob",        "10:20"),
        ("bob:",       "10:0"),
        (":7",         "0:7"),
        ("bob:staff",  "10:50"),
        ("nosuch",     "0:0"),
        ("root",       "0:0"),
    ];
    for (owner, want) in cases {
        let bed = Bed::new().source("f");
        bed.stage
            .put(&file("etc/passwd", 0o644, passwd.len()), passwd);
        bed.stage.put(&file("etc/group", 0o644, group.len()), group);
        let listing = bed.listing(&format!("COPY --chown={owner} f /f"));
        assert!(
            listing.ends_with(&format!("f 0644 {want} /f 1\n")),
            "{owner}: {listing}"
        );
    }
}

#[test]
fn inline_files() {
    let bed = Bed::new();
    assert_eq!(bed.listing("COPY <<f /f\nhi\nf"), "f 0644 0:0 /f 3\n");
    assert_eq!((bed.content("f").as_str(), bed.mtime("f")), ("hi\n", NOW));
    let listing = Bed::new().listing("COPY --chown=1:2 --chmod=755 <<f /f\nf");
    assert_eq!(listing, "f 0755 1:2 /f 0\n");
}

#[test]
fn files_of_one_source_stay_linked_and_no_others() {
    let bed = Bed::new().source("a/f");
    bed.source.put(&hard_link("b/g", "a/f"), "");
    let listing = bed.listing("COPY a b /n/");
    assert!(!listing.contains("links"), "{listing}");
    let listing = bed.listing("COPY . /m/");
    assert!(listing.contains("f 0644 0:0 /m/a/f 3 links=2"), "{listing}");
}
