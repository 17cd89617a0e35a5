//! What the reader understands and what it refuses.

use expect_test::expect;

use super::*;

#[test]
fn extended_headers_complete_an_entry() {
    let tar = [
        pax(
            b'g',
            &[
                ("mtime", b"7"),
                ("uid", b"3"),
                ("SCHILY.xattr.user.all", b"ignored"),
            ],
        ),
        pax(
            b'x',
            &[
                ("path", "ä/b".as_bytes()),
                ("size", b"3"),
                ("mtime", b"-1.5"),
                ("SCHILY.xattr.user.a", b"\n\0="),
                ("RHT.security.selinux", b"x"),
            ],
        ),
        member(b'0', "short", "", b"abc"),
        member(b'0', "next", "", b""),
        pax(b'x', &[("uid", b""), ("gid", b"4294967295")]),
        member(b'5', "dir/", "", b""),
        member(
            b'L',
            "././@LongLink",
            "",
            &[&[b'n'; 300][..], b"\0"].concat(),
        ),
        member(b'K', "././@LongLink", "", b"target\0"),
        member(b'2', "cut", "cut", b""),
        pax(b'x', &[("linkpath", b"/abs/link")]),
        member(b'1', "/abs/name", "", b""),
        pax(b'x', &[("SCHILY.devmajor", b"9")]),
        member(b'3', "dev", "", b""),
        end(),
    ]
    .concat();
    let members = read(&tar).unwrap();
    let listing = listing(&members).replace(&"n".repeat(300), "<300 n>");
    expect![[r#"
        /ä/b 0644 3:0 -2.500000000 user.a=\n\x00= f 3 abc
        /next 0644 3:0 7 f 0 
        /dir 0644 0:4294967295 7 d 
        /<300 n> 0644 3:0 7 l target 
        /abs/name 0644 3:0 7 h /abs/link 
        /dev 0644 3:0 7 c 9,0 
    "#]]
    .assert_eq(&listing);
}

#[test]
fn entries_of_other_kinds() {
    let tar = [
        member(b'V', "label", "", b""),
        member(0, "v7/dir/", "", b""),
        member(b'0', "also-a-dir/", "", b""),
        member(b'7', "contiguous", "", b"x"),
        member(b'D', "dumped", "", b"Yfile\0"),
        member(b'6', "./fifo", "", b""),
        member(b'5', "./", "", b""),
        member(b'0', "a/.wh.b", "", b""),
        member(b'0', "twice", "", b"1"),
        member(b'0', "twice", "", b"2"),
    ];
    expect![[r#"
        /v7/dir 0644 0:0 0 d 
        /also-a-dir 0644 0:0 0 d 
        /contiguous 0644 0:0 0 f 1 x
        /dumped 0644 0:0 0 d 
        /fifo 0644 0:0 0 p 
        / 0644 0:0 0 d 
        /a/.wh.b 0644 0:0 0 f 0 
        /twice 0644 0:0 0 f 1 1
        /twice 0644 0:0 0 f 1 2
    "#]]
    .assert_eq(&listing(&read(&tar.concat()).unwrap()));
}

#[test]
fn an_archive_may_climb_as_far_as_its_root() {
    let tar = [
        member(b'0', "../a/../../b", "", b"x"),
        member(b'1', "c", "../b", b""),
    ]
    .concat();
    let mut reader = Reader::clamping(&tar[..], Limits::default());
    let first = reader.next().unwrap().unwrap();
    let second = reader.next().unwrap().unwrap();
    assert_eq!(first.path.to_string(), "/b");
    let target = LayerPath::clean("b");
    assert_eq!(second.kind, Kind::HardLink { target });
}

#[test]
fn what_is_refused() {
    let bad_sum = {
        let mut b = member(b'0', "a", "", b"");
        b[0] = b'b';
        b
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (member(b'0', "a/../b", "", b""),                        "the layer's entry `a/../b` leaves the root through `a/../b`"),
        (member(b'1', "a", "../b", b""),                         "the layer's entry `a` leaves the root through `../b`"),
        (member(b'1', "a", "", b""),                             "the layer's entry `a` has no link target"),
        (member(b'0', "", "", b""),                              "the layer's entry `` has no name"),
        (member(b'M', "a", "", b""),                             "the layer's entry `a` has type `M`, which is not supported"),
        (bad_sum,                                                "invalid tar header at byte 0: the checksum does not match"),
        (vec![b'x'; 2000],                                       "invalid tar header at byte 0: the checksum does not match"),
        (member(b'0', "a", "", b"abc")[..514].to_vec(),          "cannot read the layer at byte 0"),
        (member(b'0', "a", "", b"abc")[..900].to_vec(),          "the tar ends too early, at byte 900"),
        (member(b'0', "a", "", b"abc")[..100].to_vec(),          "the tar ends too early, at byte 100"),
        (pax(b'x', &[("path", b"a")]),                           "the tar ends too early, at byte 1024"),
        (member(b'x', "p", "", b"nonsense"),                     "invalid tar header at byte 0: a PAX record has no length"),
        ([pax(b'x', &[("path", b"a\0b")]), member(b'0', "a", "", b"")].concat(), "the layer's entry `a\0b` has a NUL byte in a name"),
        ([pax(b'x', &[("size", b"-1")]), member(b'0', "a", "", b"")].concat(),   "invalid tar header at byte 1024: the size is no number"),
        ([pax(b'x', &[("mtime", b"x")]), member(b'0', "a", "", b"")].concat(),   "the layer's entry `a` has an invalid mtime"),
        ([pax(b'x', &[("uid", b"99999999999")]), member(b'0', "a", "", b"")].concat(), "the layer's entry `a` has an invalid uid"),
        ([pax(b'x', &[("GNU.sparse.major", b"2")]), member(b'0', "a", "", b"")].concat(), "invalid tar header at byte 1024: a sparse map of an unknown form"),
        (pax(b'x', &[("path", &[b'a'; (1 << 20) + 1])]),         "the layer has a header of 1048591 bytes at byte 0; the limit is 1048576"),
    ];
    for (tar, want) in cases {
        let got = read(&tar).map(|members| listing(&members));
        assert_eq!(got.map_err(|e| e.to_string()), Err(want.to_owned()));
    }
}

#[test]
fn a_missing_end_mark_is_tolerated_and_the_rest_is_drained() {
    let whole = [member(b'0', "a", "", b"abc"), end(), b"junk".to_vec()].concat();
    for size in [1024, 1536, 2048, 2052] {
        assert_eq!(read(&whole[..size]).unwrap().len(), 1, "{size}");
    }
    assert!(read(b"").unwrap().is_empty());
    let mut reader = Reader::new(&whole[..], Limits::default());
    while reader.next().unwrap().is_some() {}
    assert!(reader.into_inner().is_empty());
}

#[test]
fn a_limit_on_the_unpacked_size_counts_holes_headers_and_the_rest() {
    let sparse = [
        pax(
            b'x',
            &[
                ("GNU.sparse.map", b"9000000000000000000,0"),
                ("GNU.sparse.size", b"9000000000000000000"),
            ],
        ),
        member(b'0', "a", "", b""),
    ];
    let cases = [
        (member(b'0', "a", "", &[1; 5000]), 5511),
        (sparse.concat(), 1 << 40),
        (vec![member(b'0', "a", "", b""); 10].concat(), 5000),
        (vec![0; 5000], 4000),
    ];
    for (tar, limit) in cases {
        let limits = Limits {
            unpacked: Some(limit),
            ..Limits::default()
        };
        let error = read_all(&tar[..], limits).unwrap_err();
        assert!(matches!(error, Error::Unpacked { .. }), "{error}");
        assert!(error.to_string().contains(&limit.to_string()) && error.help().is_some());
    }
    let limits = Limits {
        unpacked: Some(5512),
        ..Limits::default()
    };
    assert!(read_all(&member(b'0', "a", "", &[1; 5000])[..], limits).is_ok());
}
