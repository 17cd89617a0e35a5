//! What the writer writes and what it refuses.

use expect_test::expect;

use super::*;

#[test]
fn headers_are_extended_only_where_needed() {
    let kinds = |entry: &Entry| {
        let mut writer = Writer::new(Vec::new());
        writer.append(entry, &mut io::empty()).unwrap();
        let tar = writer.finish().unwrap();
        tar[156] == b'x'
    };
    let base = entry("a", Kind::Directory);
    let at_limit = format!("{}/{}", "p".repeat(155), "n".repeat(99));
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (base.clone(),                                              false),
        (Entry { path: LayerPath::clean(&at_limit), ..base.clone() }, false),
        (Entry { path: LayerPath::clean(format!("{at_limit}n")), ..base.clone() }, true),
        (Entry { path: LayerPath::clean("é"), ..base.clone() },     true),
        (Entry { uid: 0o7777777, ..base.clone() },                  false),
        (Entry { uid: 0o10000000, ..base.clone() },                 true),
        (Entry { gid: u32::MAX, ..base.clone() },                   true),
        (Entry { mtime: Time { seconds: 1, nanoseconds: 5 }, ..base.clone() }, false),
        (Entry { mtime: Time::from_seconds(-1), ..base.clone() },   true),
        (Entry { mtime: Time::from_seconds(1 << 33), ..base },      true),
    ];
    for (entry, want) in cases {
        assert_eq!(kinds(&entry), want, "{entry:?}");
    }
}

#[test]
fn content_must_be_as_long_as_announced() {
    for (content, want) in [
        ("abc", None),
        ("ab", Some(Found::Only(2))),
        ("abcd", Some(Found::More)),
    ] {
        let mut writer = Writer::new(Vec::new());
        let file = entry("f", Kind::File { size: 3 });
        let written = writer.append(&file, &mut Trickle(content.as_bytes()));
        match (written, want) {
            (Ok(()), None) => assert!(writer.finish().is_ok()),
            (Err(Error::ContentSize { found, .. }), Some(want)) => {
                assert_eq!(found, want);
                assert!(matches!(
                    writer.append(&file, &mut io::empty()),
                    Err(Error::Incomplete)
                ));
                assert!(matches!(writer.finish(), Err(Error::Incomplete)));
            }
            (got, want) => panic!("{content}: {got:?}, expected {want:?}"),
        }
    }
}

#[test]
fn names_of_deletions_are_reserved() {
    let mut writer = Writer::new(Vec::new());
    let refused = writer.append(&entry("a/.wh.b", Kind::Directory), &mut io::empty());
    assert!(matches!(refused, Err(Error::ReservedName { .. })));
    assert!(writer.append_whiteout(&LayerPath::root()).is_err());
    writer.append_whiteout(&LayerPath::clean("b")).unwrap();
    writer.append_whiteout(&LayerPath::clean("a/b")).unwrap();
    expect![[r"
        /.wh.b 0000 0:0 0 f 0 
        /a/.wh.b 0000 0:0 0 f 0 
    "]]
    .assert_eq(&listing(&read(&writer.finish().unwrap()).unwrap()));
}
