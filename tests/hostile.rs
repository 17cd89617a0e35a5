//! Layers and blobs made to do harm: an error message, never a foothold.

use tar::EntryType;

use crate::support::crafted::{self, Member};
use crate::support::{Image, Sandbox, requires, tool};
use executor::image::Digest;

fn file<'a>(name: &'a str, content: &'a [u8]) -> Member<'a> {
    Member {
        kind: EntryType::Regular,
        name,
        link: "",
        content,
    }
}

fn link<'a>(kind: EntryType, name: &'a str, link: &'a str) -> Member<'a> {
    Member {
        kind,
        name,
        link,
        content: b"",
    }
}

/// Builds on a base with this layer, in a way that must unpack it.
fn build_on(t: &Sandbox, members: &[Member<'_>]) -> crate::support::Finished {
    let tar = crafted::tar_of(members);
    let base = crafted::push(
        &t.registry,
        "hostile",
        &crafted::gzip(&tar),
        &Digest::of(&tar),
    );
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM {base} AS a\nCOPY f /copied/f\nFROM scratch\nCOPY --from=a / /\n"
    ));
    t.build(["--destination", &t.tag("app")])
}

#[test]
fn names_that_climb_are_refused() {
    for name in ["../evil", "a/../../evil", ".."] {
        let t = Sandbox::new();
        build_on(&t, &[file(name, b"x")]).failed(1, "..");
        assert_eq!(t.registry.tags("app"), [""; 0]);
    }
}

#[test]
fn links_lead_nowhere_outside() {
    let t = Sandbox::new();
    let outside = t.path("outside");
    fs_err::create_dir(&outside).unwrap();
    fs_err::write(outside.join("victim"), "unchanged").unwrap();
    let absolute = outside.to_str().unwrap();
    let swapped = [
        link(EntryType::Symlink, "dir", absolute),
        file("dir/victim", b"changed"),
        file("dir/new", b"new"),
    ];
    build_on(&t, &swapped);
    assert_eq!(
        fs_err::read_to_string(outside.join("victim")).unwrap(),
        "unchanged"
    );
    assert!(!outside.join("new").exists());
    let t = Sandbox::new();
    let victim = format!("{absolute}/victim");
    build_on(
        &t,
        &[
            link(EntryType::Link, "hard", &victim),
            file("hard", b"changed"),
        ],
    );
    build_on(
        &t,
        &[link(
            EntryType::Link,
            "hard",
            "../../../../../../etc/passwd",
        )],
    )
    .failed(1, "hard");
    assert!(
        !outside.join("victim").exists()
            || fs_err::read_to_string(outside.join("victim")).unwrap() == "unchanged"
    );
}

#[test]
fn duplicates_and_absolute_names_are_taken_as_others_take_them() {
    let t = Sandbox::new();
    build_on(
        &t,
        &[
            file("/abs", b"one"),
            file("abs", b"two"),
            file("./abs", b"three"),
        ],
    )
    .succeeded();
    let image = Image::pull(&t.registry, &t.tag("app"));
    assert_eq!(image.text("abs"), "three");
}

#[test]
fn a_blob_that_is_not_what_was_promised_stops_the_build() {
    let tar = crafted::tar_of(&[file("data", &vec![7; 300_000])]);
    let blob = crafted::gzip(&tar);
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 4] = [
        ("a byte in the middle", |b| {
            let middle = b.len() / 2;
            b[middle] ^= 1
        }),
        ("the last byte", |b| *b.last_mut().unwrap() ^= 1),
        ("cut short", |b| b.truncate(b.len() - 10)),
        ("something appended", |b| b.extend_from_slice(b"more")),
    ];
    for (what, change) in changes {
        let t = Sandbox::new();
        let base = crafted::push(&t.registry, "base", &blob, &Digest::of(&tar));
        t.registry.tamper(Digest::of(&blob).as_str(), change);
        t.file("f", 0o644, "f\n");
        t.dockerfile(&format!("FROM {base}\nCOPY f /data2/\nWORKDIR /x\n"));
        let finished = t.build(["--destination", &t.tag("app"), "--image-fs-extract-retry=0"]);
        assert_eq!(finished.code, Some(1), "{what}: {finished}");
        assert!(
            finished.stderr.contains(Digest::of(&blob).hex()),
            "{what}: {finished}"
        );
        assert_eq!(t.registry.tags("app"), [""; 0], "{what}");
        assert!(finished.stderr.contains("help: "), "{what}: {finished}");
        assert!(
            finished
                .stderr
                .contains("push that image again, or take it from elsewhere"),
            "{what}: {finished}"
        );
    }
    let t = Sandbox::new();
    let base = crafted::push(&t.registry, "base", &blob, &Digest::of(b"another tar"));
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM {base} AS a\nFROM scratch\nCOPY --from=a /data /\n"
    ));
    t.build(["--no-push"])
        .failed(1, "diff_id")
        .failed(1, "help: the layer is damaged");
}

#[test]
fn a_layer_that_the_config_does_not_know_is_an_error() {
    let t = Sandbox::new();
    let blob = crafted::gzip(&crafted::tar_of(&[file("data", b"x")]));
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "config": null});
    let base = crafted::push_config(&t.registry, "base", &blob, &config);
    t.dockerfile(&format!("FROM {base}\nENV A=1\n"));
    t.build(["--no-push"])
        .failed(1, "lists 1 layers, its config 0");
}

#[test]
fn a_layer_that_would_fill_the_disk_is_refused() {
    requires!(root);
    let t = Sandbox::new();
    let kaniko = t.path("kaniko");
    tool(
        "mount",
        [
            "-t",
            "tmpfs",
            "-o",
            "size=16m",
            "tmpfs",
            kaniko.to_str().unwrap(),
        ],
    );
    let zeros = vec![0; 64 << 20];
    let finished = build_on(&t, &[file("zeros", &zeros)]);
    tool("umount", [kaniko.to_str().unwrap()]);
    finished.failed(1, kaniko.to_str().unwrap());
}
