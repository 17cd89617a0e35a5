//! What is in the key of a COPY or ADD.

use super::*;
use crate::plan::Source;

fn git_source(keep_git_dir: bool) -> GitSource {
    GitSource {
        url: "u".to_owned(),
        repository: "u".to_owned(),
        reference: crate::plan::GitReference::Default,
        sub_directory: String::new(),
        commit: None,
        by_commit: false,
        keep_git_dir,
        submodules: true,
        commit_time: false,
    }
}

#[test]
fn whatever_a_copy_reads_and_writes_is_in_its_key() {
    type Seen = (CopyStep, Vec<InputFile>, Key, Writing);
    let original: Seen = (copy_step(), files(), below(), writing());
    let key = |(step, files, below, writing): &Seen| {
        copy(below, step, &Input::Files(files.clone()), writing).key
    };
    #[rustfmt::skip] // a table keeps its columns
    let changes: &[Change<'_, Seen>] = &[
        ("ADD",             &|s| s.0.unpack = Unpack::Local),
        ("ADD --unpack",    &|s| s.0.unpack = Unpack::Always),
        ("the source kind", &|s| s.0.from = Source::Scratch),
        ("a source word",   &|s| s.0.sources[0] = CopySource::Path("src/".into())),
        ("heredoc body",    &|s| s.0.sources[1] = CopySource::Inline { name: "EOF".into(), content: b"other".to_vec() }),
        ("heredoc name",    &|s| s.0.sources[1] = CopySource::Inline { name: "E".into(), content: b"text".to_vec() }),
        ("a URL",           &|s| s.0.sources[1] = CopySource::Url { url: "u".into(), checksum: None }),
        ("its checksum",    &|s| s.0.sources[1] = CopySource::Url { url: "u".into(), checksum: Some("c".into()) }),
        ("git",             &|s| s.0.sources[1] = CopySource::Git(git_source(false))),
        ("git dir",         &|s| s.0.sources[1] = CopySource::Git(git_source(true))),
        ("source order",    &|s| s.0.sources.reverse()),
        ("destination",     &|s| s.0.destination = "/dst".into()),
        ("directory",       &|s| s.0.working_dir = "/w".into()),
        ("chown",           &|s| s.0.chown = Some("1".into())),
        ("chown group",     &|s| s.0.chown = Some("1:1".into())),
        ("chmod",           &|s| s.0.chmod = Some(Chmod::Octal(0o755))),
        ("chmod symbolic",  &|s| s.0.chmod = Some(Chmod::Symbolic("a+x".into()))),
        ("link",            &|s| s.0.link = true),
        ("parents",         &|s| s.0.parents = true),
        ("exclude",         &|s| s.0.exclude = vec!["x".into()]),
        ("content",         &|s| s.1[0].content = file("a", "x").content),
        ("mode",            &|s| s.1[0].mode = 0o755),
        ("name",            &|s| s.1[0].path = LayerPath::clean("aa")),
        ("which source",    &|s| s.1[1].source = 1),
        ("order",           &|s| s.1.reverse()),
        ("a file less",     &|s| drop(s.1.pop())),
        ("owner",           &|s| s.1[0].owner = Some((0, 0))),
        ("xattr",           &|s| s.1[0].xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())]),
        ("hard link",       &|s| s.1[1].content = Content::HardLink(LayerPath::clean("0/a"))),
        ("symlink",         &|s| s.1[1].content = Content::Symlink(b"a".to_vec())),
        ("directory",       &|s| s.1[1].content = Content::Directory),
        ("fifo",            &|s| s.1[1].content = Content::Fifo),
        ("intermediate",    &|s| s.1[1].is_intermediate = true),
        ("top",             &|s| s.1[1].content = Content::Top),
        ("device",          &|s| s.1[1].content = Content::CharDevice(1, 2)),
        ("another device",  &|s| s.1[1].content = Content::CharDevice(1, 3)),
        ("block device",    &|s| s.1[1].content = Content::BlockDevice(1, 2)),
        ("compression",     &|s| s.3.compression = Compression::Zstd),
        ("level",           &|s| s.3.level = Some(1)),
        ("epoch",           &|s| s.3.epoch = Some(0)),
        ("an old file",     &|s| (s.3.epoch, s.1[0].mtime) = (Some(2_000), 1_001)),
        ("an older file",   &|s| (s.3.epoch, s.1[0].mtime) = (Some(2_000), 999)),
        ("ignored path",    &|s| s.3.ignore = vec![LayerPath::clean("x")]),
        ("what is below",   &|s| s.2 = after(&s.2, &s.2)),
    ];
    all_differ(&original, key, changes);
    let of = |input| copy(&below(), &copy_step(), &input, &writing()).key;
    assert_ne!(
        of(Input::Stage(below())),
        of(Input::Stage(after(&below(), &below())))
    );
    let layers = |name: &[u8]| Input::Image(vec![DiffId::new(Digest::of(name))]);
    assert_ne!(of(layers(b"1")), of(layers(b"2")));
    let fetched = |what: &str| Input::Fetched(vec![what.to_owned()], files());
    assert_ne!(of(fetched("1")), of(fetched("2")));
    assert_ne!(of(fetched("1")), of(Input::Files(files())));
    let mut moved = files();
    moved[0].origin = LayerPath::clean("elsewhere/a");
    assert_eq!(
        of(Input::Files(moved)),
        of(Input::Files(files())),
        "where it was is not what it is"
    );
}

#[test]
fn a_linked_copy_does_not_depend_on_what_is_below() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // chown         chmod  depends
        (None,           None,  false),
        (Some("1:2"),    None,  false),
        (Some("app"),    None,  true),
        (None,           Some(Chmod::Octal(0o755)), true),
    ];
    for (chown, chmod, depends) in cases {
        let step = CopyStep {
            link: true,
            chown: chown.map(str::to_owned),
            chmod,
            ..copy_step()
        };
        let key = |below: &Key| copy(below, &step, &Input::Files(files()), &writing()).key;
        let differ = key(&below()) != key(&after(&below(), &below()));
        assert_eq!(differ, depends, "{step:?}");
    }
}
