//! Language spec 3.9.

use std::io::Read;

use super::*;
use crate::layer::{Kind, Writer};
use crate::rootfs::testing::hard_link;

fn tar(entries: &[(Entry, &str)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, content) in entries {
        writer.append(entry, &mut content.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

/// A tar with one empty file, whatever its name.
fn hostile(name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(3 * 512, 0);
    bytes
}

fn compressed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = std::process::Command::new(program)
        .arg("-c")
        .stdin(input)
        .output();
    output.expect(program).stdout
}

fn put(bed: &Bed, name: &str, bytes: &[u8]) {
    let mut content = bytes;
    let entry = file(name, 0o644, bytes.len());
    bed.source
        .root
        .put(&entry, &mut content as &mut dyn Read)
        .unwrap();
}

fn sample() -> Vec<u8> {
    let mut owned = file("d/f", 0o4711, 1);
    (owned.uid, owned.gid) = (3, 4);
    tar(&[
        (dir("", 0o700), ""),
        (dir("d", 0o750), ""),
        (owned, "f"),
        (hard_link("d/h", "d/f"), ""),
        (symlink("d/l", "f"), ""),
        (file("implied/x", 0o644, 0), ""),
    ])
}

const SAMPLE: &str = "\
d 0755 0:0 /n
d 0750 0:0 /n/d
f 4711 3:4 /n/d/f 1 links=2
f 4711 3:4 /n/d/h 1 links=2
l - 0:0 /n/d/l -> f
d 0755 0:0 /n/implied
f 0644 0:0 /n/implied/x 0
";

#[test]
fn content_decides() {
    let plain = sample();
    let bed = || Bed::new().stage("n/");
    let cases = [
        ("plain", plain.clone()),
        ("gzip", compressed("gzip", &plain)),
        ("bzip2", compressed("bzip2", &plain)),
        ("xz", compressed("xz", &plain)),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
    ];
    for (format, bytes) in cases {
        let bed = bed();
        put(&bed, "any.name", &bytes);
        assert_eq!(bed.listing("ADD any.name /n"), SAMPLE, "{format}");
    }
}

#[test]
fn what_is_no_archive_is_copied() {
    let gzip = compressed("gzip", b"hello");
    let empty_tar = vec![0; 10240];
    let cases: [(&str, &[u8]); 5] = [
        ("empty", b""),
        ("text", b"hello"),
        ("gzip of text", &gzip),
        ("broken gzip", &gzip[..5]),
        ("tar without entries", &empty_tar),
    ];
    for (what, bytes) in cases {
        let bed = Bed::new();
        put(&bed, "a.tar", bytes);
        assert_eq!(bed.after("ADD a.tar /n/"), "/n/ /n/a.tar", "{what}");
    }
}

#[test]
fn when_archives_are_unpacked() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // instruction                 before     after
        ("ADD a.tar /n",               "",        "/n/ /n/f"),
        ("ADD a.tar /n",               "n",       "error: /n: not a directory"),
        ("ADD a.tar n",                "",        "/w/ /w/n/ /w/n/f"),
        ("ADD l /n",                   "",        "/n/ /n/f"),
        ("ADD *.tar /n",               "",        "/n/ /n/f"),
        ("ADD --unpack=false a.tar /n", "",       "/n"),
        ("ADD d /n",                   "",        "/n/ /n/b.tar"),
        ("COPY a.tar /n",              "",        "/n"),
        ("ADD a.tar /n",               "n/f/x",   "/n/ /n/f"),
        ("ADD dir.tar /n",             "n/f",     "/n/ /n/f/ /n/f/x"),
        ("ADD dir.tar /n",             "n/f/y",   "/n/ /n/f/ /n/f/x /n/f/y"),
        ("ADD --link a.tar /l",        "t/ l->t", "/l/ /l/f /t/"),
    ];
    for (instruction, before, after) in cases {
        let bed = Bed::new().source("l->a.tar").stage(before);
        let archive = tar(&[(file("f", 0o644, 0), "")]);
        put(&bed, "a.tar", &archive);
        put(&bed, "d/b.tar", &archive);
        put(
            &bed,
            "dir.tar",
            &tar(&[(dir("f", 0o755), ""), (file("f/x", 0o644, 0), "")]),
        );
        let bed = Bed {
            ignore: Some(
                dockerignore::parse(if instruction.contains('*') {
                    b"dir.tar"
                } else {
                    b""
                })
                .unwrap(),
            ),
            ..bed
        };
        assert_eq!(bed.after(instruction), after, "{instruction} on {before:?}");
    }
}

#[test]
fn flags_and_archives() {
    let bed = Bed::new();
    put(&bed, "a", &sample());
    let listing = bed.listing("ADD --chown=9:10 --chmod=600 --exclude=** a /n");
    let want = SAMPLE.replace(" 3:4 ", " 9:10 ").replace(" 0:0 ", " 9:10 ");
    assert_eq!(listing, want);
    // What comes after it gets its mode all the same.
    let bed = Bed::new().source("f");
    put(&bed, "a", &sample());
    let listing = bed.listing("ADD --chmod=600 a f /n/");
    let implied = "d 0755 0:0 /n/implied\n";
    let want = SAMPLE.replace(implied, &format!("f 0600 0:0 /n/f 1\n{implied}"));
    assert_eq!(listing, want);
}

#[test]
fn names_are_taken_as_they_are_and_stay_inside() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("../../escaped",  "/n/ /n/escaped"),
        ("/escaped",       "/n/ /n/escaped"),
        ("a/../../b",      "/n/ /n/b"),
        (".wh.x",          "/n/ /n/.wh.x"),
    ];
    for (name, after) in cases {
        let bed = Bed::new();
        put(&bed, "a", &hostile(name));
        assert_eq!(bed.after("ADD a /n"), after, "{name}");
        assert!(!bed.stage.outside().join("escaped").exists());
    }
    let bed = Bed::new();
    let through_link = tar(&[(symlink("l", "/../.."), ""), (file("l/x", 0o644, 0), "")]);
    put(&bed, "a", &through_link);
    assert_eq!(bed.after("ADD a /n"), "/n/ /n/l->/../.. /x");
    let bed = Bed::new();
    let to_link = tar(&[(symlink("l", "/etc/passwd"), ""), (hard_link("h", "l"), "")]);
    put(&bed, "a", &to_link);
    assert_eq!(
        bed.after("ADD a /n"),
        "/n/ /n/h->/etc/passwd /n/l->/etc/passwd"
    );
}

#[test]
fn a_broken_archive_is_named() {
    let bed = Bed::new();
    let mut bytes = tar(&[(file("f", 0o644, 0), ""), (file("g", 0o644, 0), "")]);
    bytes[600] ^= 1;
    put(&bed, "a", &bytes);
    assert_eq!(
        bed.after("ADD a /n"),
        "error: cannot unpack the archive `/a`"
    );
}

#[test]
fn what_an_archive_wrote_is_told() {
    let bed = Bed::new().stage("n/ t/ n/s->/t");
    let nodes = tar(&[
        (entry("p", Kind::Fifo, 0o600), ""),
        (dir("x", 0o755), ""),
        (file("x/y", 0o644, 0), ""),
        (file("x", 0o644, 0), ""),
        (file("s/z", 0o644, 0), ""),
    ]);
    put(&bed, "a", &nodes);
    let written = bed.execute("ADD a /n").unwrap();
    let written: Vec<_> = written.iter().map(LayerPath::to_string).collect();
    assert_eq!(written, ["/n/p", "/n/x", "/t/z"]);
}
