//! Reader and writer against each other, and against damage.

use proptest::prelude::*;

use super::*;

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let component = prop_oneof![
        proptest::collection::vec(1u8.., 1..10),
        "[a-z]{1,250}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(component, 1..6).prop_map(|parts| parts.join(&b'/'))
}

fn any_entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let path = any_name().prop_filter_map("names a file", |name| {
        let path = LayerPath::checked(name)?;
        let name = path.file_name()?;
        (!name.starts_with(whiteout::PREFIX)).then_some(path)
    });
    let kind = prop_oneof![
        Just(Kind::File { size: 0 }),
        Just(Kind::Directory),
        Just(Kind::Fifo),
        any_name().prop_map(|target| Kind::Symlink { target }),
        any_name()
            .prop_filter_map("inside", LayerPath::checked)
            .prop_filter_map("a file", |target| (!target.is_root())
                .then_some(Kind::HardLink { target })),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ];
    let xattr_name = proptest::collection::vec(1u8.., 1..20);
    let bytes = |size| proptest::collection::vec(any::<u8>(), 0..size);
    let xattrs = proptest::collection::btree_map(xattr_name, bytes(300), 0..3);
    let times = prop_oneof![any::<i64>(), -10i64..10, 0..1i64 << 34];
    let numbers = (0u32..0o10000, any::<u32>(), 0u32..70_000, times);
    (path, kind, numbers, xattrs, bytes(2000)).prop_map(|(path, kind, numbers, xattrs, content)| {
        let (mode, uid, gid, seconds) = numbers;
        let (kind, content) = match kind {
            Kind::File { .. } => (
                Kind::File {
                    size: content.len() as u64,
                },
                content,
            ),
            kind => (kind, Vec::new()),
        };
        let mtime = Time::from_seconds(seconds);
        (
            Entry {
                path,
                kind,
                mode,
                uid,
                gid,
                mtime,
                xattrs,
            },
            content,
        )
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(members in proptest::collection::vec(any_entry(), 0..8)) {
        let mut writer = Writer::new(Vec::new());
        for (entry, content) in &members {
            writer.append(entry, &mut &content[..]).unwrap();
        }
        let tar = writer.finish().unwrap();
        prop_assert_eq!(&read(&tar).unwrap(), &members);
        // skipping contents leads to the same entries
        let mut reader = Reader::new(&tar[..], Limits::default());
        for (entry, _) in &members {
            let next = reader.next().unwrap();
            prop_assert_eq!(next.as_ref(), Some(entry));
        }
        prop_assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn damage_never_panics(
        members in proptest::collection::vec(any_entry(), 1..5),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut writer = Writer::new(Vec::new());
        for (entry, content) in &members {
            writer.append(entry, &mut &content[..]).unwrap();
        }
        let mut tar = writer.finish().unwrap();
        for (at, byte) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            let block = at / 512 * 512;
            // keep headers believable, so that damage gets past the checksum
            let sum: u32 = tar[block..block + 512].iter().enumerate()
                .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
            if tar[block + 257..].starts_with(b"ustar") {
                tar[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        tar.truncate(cut.index(tar.len()) + 1);
        let limits = Limits { unpacked: Some(1 << 20), ..Limits::default() };
        let _ = read_all(&tar[..], limits);
    }

    #[test]
    fn any_header_is_read_or_refused(
        kind in prop::sample::select(b"0123456gxLKSDVX7\0".to_vec()),
        fields in proptest::collection::vec(any::<u8>(), 500),
        records in proptest::collection::vec((
            prop::sample::select(vec!["path", "size", "mtime", "uid", "GNU.sparse.map", "GNU.sparse.offset", "GNU.sparse.numbytes",
                "GNU.sparse.size", "GNU.sparse.realsize", "GNU.sparse.major", "GNU.sparse.minor", "SCHILY.devmajor"]),
            prop_oneof!["[0-9,.-]{0,12}", "[01]"]), 0..8),
        content in "([0-9]{1,3}\n){0,40}",
    ) {
        let records: Vec<(&str, &[u8])> = records.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
        let mut header = member(kind, "a", "b", content.as_bytes());
        for (at, byte) in fields.iter().enumerate().filter(|(_, b)| **b < 60) {
            if !(100..157).contains(&at) {
                header[at] = *byte;
            }
        }
        let sum: u32 = header[..512].iter().enumerate()
            .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let tar = [pax(b'x', &records), header, vec![7; 2048]].concat();
        let limits = Limits { unpacked: Some(1 << 20), ..Limits::default() };
        let _ = read_all(&tar[..], limits);
    }
}
