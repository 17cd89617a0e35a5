//! Entries of the layer cache that are damaged, gone, or somebody else's: found out, said once, made anew and overwritten.

use crate::cache::Cached;
use crate::support::{Image, Registry, Reply, Web, requires, tool};

const UNUSABLE: &str = "cannot be used and is made anew";

#[test]
fn damaged_entries_are_made_anew() {
    requires!(root);
    let c = Cached::new();
    let text = "FROM BASE\nRUN echo ran-below; head -c 16 /dev/urandom > /below\nRUN echo ran-above; cat /below > /above\n";
    // the upper step is new each time, so that the lower layer is needed
    let build = |number: u32| {
        c.dockerfile(&text.replace("ran-above", &format!("ran-{number}")))
            .build(&[])
            .0
    };
    assert_eq!(build(0).stdout, "ran-below\nran-0\n");
    assert_eq!(build(1).stdout, "ran-1\n");
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>), bool);
    let damages: [Damage<'_>; 5] = [
        ("truncated", &|bytes| bytes.truncate(bytes.len() / 2), true),
        ("one byte", &|bytes| *bytes.last_mut().unwrap() ^= 1, true),
        ("empty", &|bytes| bytes.clear(), true),
        ("no manifest", &|bytes| *bytes = b"{}".to_vec(), false),
        (
            "wrong media type",
            &|bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                *bytes = text
                    .replace("layer.v1.tar+gzip", "layer.v1.tar+zstd")
                    .into_bytes();
            },
            false,
        ),
    ];
    for (number, (name, damage, is_layer)) in damages.into_iter().enumerate() {
        let number = 10 * number as u32 + 10;
        let (_, entry) = c.entry("ran-below");
        let digest = match is_layer {
            true => entry.manifest["layers"][0]["digest"]
                .as_str()
                .unwrap()
                .to_owned(),
            false => entry.digest.clone(),
        };
        c.t.registry.tamper(&digest, damage);
        let finished = build(number);
        assert_eq!(
            finished.stdout,
            format!("ran-below\nran-{number}\n"),
            "{name}: {finished}"
        );
        let warnings = finished.stderr.matches(UNUSABLE).count();
        let other_warnings = finished.stderr.matches("WARN").count();
        // a registry that notices the damage itself answers with an error instead
        assert!(
            warnings == 1 || (!is_layer && warnings == 0),
            "{name}: {other_warnings} {finished}"
        );
        assert_eq!(
            build(number + 1).stdout,
            format!("ran-{}\n", number + 1),
            "{name}"
        );
    }
    // a layer that is gone
    let (reference, entry) = c.entry("ran-below");
    let layer = entry.manifest["layers"][0]["digest"].as_str().unwrap();
    fs_err::remove_file(c.t.registry.blob(layer)).unwrap();
    let finished = build(80);
    assert_eq!(finished.stdout, "ran-below\nran-80\n");
    assert_eq!(finished.stderr.matches(UNUSABLE).count(), 1, "{finished}");
    assert_eq!(build(81).stdout, "ran-81\n");
    // an image of somebody else under the key
    let mut args = vec!["copy".to_owned(), "--quiet".to_owned()];
    args.extend(c.t.registry.skopeo_options("src"));
    args.extend(c.t.registry.skopeo_options("dest"));
    args.extend([
        format!("docker://{}", c.base),
        format!("docker://{reference}"),
    ]);
    tool("skopeo", args);
    let finished = build(90);
    assert_eq!(finished.stdout, "ran-below\nran-90\n");
    assert!(
        finished.stderr.contains("it was not made for this key"),
        "{finished}"
    );
    assert_eq!(build(91).stdout, "ran-91\n");
}

/// A layer that nothing stands on is read at the end only, where its bytes must go elsewhere.
#[test]
fn a_layer_that_only_an_output_reads_is_made_anew_too() {
    requires!(root);
    let c = Cached::new();
    c.dockerfile("FROM BASE\nRUN echo ran; head -c 16 /dev/urandom > /random\n");
    c.build(&[]);
    let damage = || {
        let (_, entry) = c.entry("echo ran");
        let layer = entry.manifest["layers"][0]["digest"].as_str().unwrap();
        c.t.registry
            .tamper(layer, |bytes| *bytes.last_mut().unwrap() ^= 1);
    };
    let other = Registry::plain();
    let tag = format!("{}/app", other.host());
    let repository = format!("--cache-repo={}", c.t.tag("app/cache"));
    let archive = c.t.path("image.tar");
    let archive = format!("--tar-path={}", archive.display());
    let outputs = [
        vec!["--destination", &tag],
        vec!["--no-push", "--destination=app", &archive],
    ];
    for output in outputs {
        let args = ["--cache", &repository];
        let build = || c.t.build(args.iter().chain(&output)).succeeded();
        damage();
        let finished = build();
        assert_eq!(finished.stdout, "ran\n", "{finished}");
        assert_eq!(finished.stderr.matches(UNUSABLE).count(), 1, "{finished}");
        let again = build();
        assert_eq!(again.stdout, "", "{finished}\n{again}");
    }
    Image::pull(&other, &tag);
}

/// A registry that has a blob already keeps it, damaged or not, and an image with it could not be pulled.
#[test]
fn an_image_is_not_pushed_with_a_blob_that_stays_damaged() {
    requires!(root);
    let mut c = Cached::new();
    c.t.env("SOURCE_DATE_EPOCH", "1000000000");
    c.dockerfile("FROM BASE\nRUN seq 20000 > /below\nRUN echo ran\n");
    c.build(&[]);
    let (_, entry) = c.entry("seq");
    let layer = entry.manifest["layers"][0]["digest"].as_str().unwrap();
    c.t.registry
        .tamper(layer, |bytes| *bytes.last_mut().unwrap() ^= 1);
    c.dockerfile("FROM BASE\nRUN seq 20000 > /below\nRUN echo ran again\n");
    let tag = c.t.tag("app");
    let args = ["--destination", &tag, "--cache", "--cache-copy-layers"];
    let kept = "keeps it in place of what is uploaded";
    let finished = c.t.build(args).failed(1, kept);
    for text in [
        UNUSABLE,
        "Error uploading layer to cache",
        "help: nobody can pull",
    ] {
        assert_eq!(
            finished.stderr.matches(text).count(),
            1,
            "{text}: {finished}"
        );
    }
    // what the message advises
    let level = ["--compression-level=1"];
    let finished = c.t.build(args.iter().chain(&level)).succeeded();
    assert_eq!(finished.stdout, "ran again\n");
    let image = Image::pull(&c.t.registry, &tag);
    assert!(image.text("below").ends_with("\n20000\n"));
}

/// A file that changes between the hashing and the copying: its layer must not be found under the key of what the file was.
#[test]
fn what_changes_during_a_build_is_not_cached() {
    requires!(root);
    let c = Cached::new();
    c.t.file("f", 0o644, "one\n");
    let file = c.t.context().join("f");
    let web = Web::new(move |_| {
        fs_err::write(&file, "two\n").unwrap();
        Reply::ok("")
    });
    let url = web.url("/");
    c.dockerfile(&format!(
        "FROM BASE\nRUN wget -q -O /dev/null {url}\nCOPY f /f\nRUN cat /f\n"
    ));
    let (finished, _) = c.build(&[]);
    assert_eq!(finished.stdout, "two\n");
    let warning = "files changed while they were read by COPY f /f";
    assert_eq!(finished.stderr.matches(warning).count(), 1, "{finished}");
    assert_eq!(c.t.registry.tags("app/cache").len(), 1, "of the first RUN");
    c.t.file("f", 0o644, "one\n");
    let (finished, image) = c.build(&[]);
    assert_eq!(finished.stdout, "one\n");
    assert!(!finished.stderr.contains(warning), "{finished}");
    assert_eq!(image.text("f"), "one\n");
}
