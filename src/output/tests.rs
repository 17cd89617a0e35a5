use std::path::Path;
use std::process::Command;

use expect_test::expect;

use super::*;
use crate::image::{Compression, History, ImageConfig, Layer, Platform, RootFs};
use crate::layer::{Entry, Kind, LayerPath, Limits, Reader, Time, Writer};
use crate::store::{BlobStore, LayerSink};

struct Fixture {
    directory: tempfile::TempDir,
    store: BlobStore,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = BlobStore::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn layer(&self, family: Family, compression: Compression, name: &str, size: usize) -> Layer {
        let sink = LayerSink::new(&self.store, family, compression, None, None).unwrap();
        let mut tar = Writer::new(sink);
        let entry = Entry {
            path: LayerPath::clean(name),
            kind: Kind::File { size: size as u64 },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Time::from_seconds(1_000_000_000),
            xattrs: Default::default(),
        };
        let content: Vec<u8> = (0..size).map(|i| (i / 3 % 251) as u8).collect();
        tar.append(&entry, &mut &content[..]).unwrap();
        tar.finish().unwrap().finish().unwrap()
    }

    fn image(&self, family: Family, layers: &[Layer]) -> BuiltImage {
        let mut config = ImageConfig::scratch(Platform::new("linux", "amd64", ""));
        config.rootfs = RootFs {
            diff_ids: layers.iter().map(|l| l.diff_id.clone()).collect(),
            ..RootFs::default()
        };
        config.history = vec![History::default(); layers.len()];
        let layers = layers.iter().map(|l| l.descriptor.clone()).collect();
        let blobs = Arc::new(self.store.clone());
        BuiltImage::new(
            family,
            json::to_vec(&config),
            layers,
            BTreeMap::new(),
            blobs,
        )
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Tells whether a judge is there, and says so if it is not.
fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

fn listing(path: &Path) -> String {
    let entries = walkdir::WalkDir::new(path).sort_by_file_name().min_depth(1);
    let lines = entries
        .into_iter()
        .map(|e| e.unwrap())
        .map(|e| format!("{}\n", e.path().strip_prefix(path).unwrap().display()));
    lines.collect()
}

/// Replaces the digests of an image by what they are of.
fn named(mut text: String, image: &BuiltImage) -> String {
    text = text.replace(image.digest.hex(), "<manifest>");
    text = text.replace(image.manifest.config.digest.hex(), "<config>");
    for (i, layer) in image.distinct_layers().iter().enumerate() {
        text = text.replace(layer.digest.hex(), &format!("<layer {i}>"));
    }
    text
}

#[test]
fn a_layout_has_what_the_specification_lists() {
    let t = Fixture::new();
    let layer = t.layer(Family::Docker, Compression::Gzip, "file", 10);
    let image = t.image(Family::Docker, &[layer.clone(), layer]);
    let path = t.path("new/layout");
    super::layout::write(&path, &image.clone().into()).unwrap();
    let index = fs_err::read_to_string(path.join("index.json")).unwrap();
    let size = image.manifest_bytes.len().to_string();
    expect![[r#"
        {
           "schemaVersion": 2,
           "mediaType": "application/vnd.oci.image.index.v1+json",
           "manifests": [
              {
                 "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                 "digest": "sha256:<manifest>",
                 "size": <size>,
                 "artifactType": "application/vnd.docker.container.image.v1+json"
              }
           ]
        }"#]]
    .assert_eq(&named(index, &image).replace(&size, "<size>"));
    expect![[r#"
        {
            "imageLayoutVersion": "1.0.0"
        }"#]]
    .assert_eq(&fs_err::read_to_string(path.join("oci-layout")).unwrap());
    assert_eq!(listing(&path.join("blobs")).lines().count(), 1 + 3);
    assert_eq!(listing(&path).lines().count(), 2 + 2 + 3);

    // another image takes its place, and the blobs stay
    let other = t.image(
        Family::Oci,
        &[t.layer(Family::Oci, Compression::Zstd, "file", 11)],
    );
    super::layout::write(&path, &other.clone().into()).unwrap();
    assert_eq!(listing(&path.join("blobs")).lines().count(), 1 + 6);
    let read = image_layout::Layout::open(&path).unwrap();
    let found = read.find(None).unwrap();
    assert_eq!(found.digest, other.digest);
    let read = read.image(&found, &Platform::host()).unwrap();
    assert_eq!(read.manifest_bytes, other.manifest_bytes);
    assert_eq!(read.config_bytes, other.config_bytes);
}

#[test]
fn a_tarball_has_what_the_specification_lists() {
    let t = Fixture::new();
    let gzip = t.layer(Family::Docker, Compression::Gzip, "file", 10);
    let plain = t.layer(Family::Docker, Compression::None, "file", 11);
    let mut foreign = t.layer(Family::Docker, Compression::Gzip, "file", 12);
    foreign.descriptor.media_type =
        MediaType::from("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let image = t.image(
        Family::Docker,
        &[gzip.clone(), plain, gzip, foreign.clone()],
    );
    let path = t.path("image.tar");
    super::tarball::write(
        &path,
        &image,
        &["busybox".to_owned(), "r.io/a:1".to_owned()],
    )
    .unwrap();

    let mut reader = Reader::new(fs_err::File::open(&path).unwrap(), Limits::default());
    let mut lines = String::new();
    while let Some(entry) = reader.next().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        lines += &format!(
            "{:o} {}:{} {} {}\n",
            entry.mode, entry.uid, entry.gid, entry.mtime.seconds, entry.path
        );
        if entry.path == LayerPath::clean("manifest.json") {
            lines += &String::from_utf8(content).unwrap();
        }
    }
    let lines = lines.replace(foreign.diff_id.digest().hex(), "<diff id>");
    expect![[r#"
        644 0:0 0 /sha256:<config>
        644 0:0 0 /<layer 0>.tar.gz
        644 0:0 0 /<layer 1>.tar
        644 0:0 0 /<layer 2>.tar.gz
        644 0:0 0 /manifest.json
        [{"Config":"sha256:<config>","RepoTags":["busybox:latest","r.io/a:1"],"Layers":["<layer 0>.tar.gz","<layer 1>.tar","<layer 0>.tar.gz","<layer 2>.tar.gz"],"LayerSources":{"sha256:<diff id>":{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"sha256:<layer 2>","size":101}}}]"#]]
    .assert_eq(&named(lines, &image));
    let again = t.path("again.tar");
    super::tarball::write(
        &again,
        &image,
        &["busybox".to_owned(), "r.io/a:1".to_owned()],
    )
    .unwrap();
    assert!(fs_err::read(path).unwrap() == fs_err::read(again).unwrap());
}

#[test]
fn an_output_that_fails_leaves_nothing() {
    let t = Fixture::new();
    let layer = t.layer(Family::Oci, Compression::Gzip, "file", 10);
    let image = t.image(Family::Oci, std::slice::from_ref(&layer));
    let blob = t.path("store/sha256").join(layer.descriptor.digest.hex());
    let mut damaged = fs_err::read(&blob).unwrap();
    damaged[20] ^= 1;
    for break_it in [true, false] {
        if break_it {
            fs_err::write(&blob, &damaged).unwrap();
        } else {
            fs_err::remove_file(&blob).unwrap();
        }
        fs_err::write(t.path("image.tar"), "old").unwrap();
        super::tarball::write(&t.path("image.tar"), &image, &[]).unwrap_err();
        assert_eq!(fs_err::read_to_string(t.path("image.tar")).unwrap(), "old");
        super::layout::write(&t.path("new"), &image.clone().into()).unwrap_err();
        assert!(!t.path("new").exists());
        // What was there stays there, and offers nothing.
        fs_err::create_dir_all(t.path("layout")).unwrap();
        super::layout::write(&t.path("layout"), &image.clone().into()).unwrap_err();
        let layout = image_layout::Layout::open(&t.path("layout")).unwrap();
        assert!(layout.find(None).is_err());
        expect![[r"
            blobs
            blobs/sha256
            oci-layout
        "]]
        .assert_eq(&listing(&t.path("layout")));
    }
}

#[test]
fn other_tools_read_both() {
    if !installed("skopeo") {
        return;
    }
    let t = Fixture::new();
    for (family, compression) in [
        (Family::Docker, Compression::Gzip),
        (Family::Oci, Compression::Gzip),
        (Family::Oci, Compression::Zstd),
        (Family::Oci, Compression::None),
    ] {
        let name = format!("{family}-{compression:?}");
        // several blocks, so that joined gzip blocks and zstd frames are decoded
        let layers = [
            t.layer(family, compression, "big", 1_700_000),
            t.layer(family, compression, "small", 3),
        ];
        let image = t.image(family, &layers);
        let layout = t.path(&name);
        super::layout::write(&layout, &image.clone().into()).unwrap();
        let source = format!("oci:{}", layout.display());
        let inspected = run("skopeo", &["inspect", &source]);
        assert!(inspected.contains(image.digest.as_str()), "{inspected}");
        // a copy decompresses each layer to check its diff id
        let unpacked = format!("dir:{}", t.path(&format!("{name}-dir")).display());
        run(
            "skopeo",
            &[
                "copy",
                "--insecure-policy",
                "--dest-decompress",
                &source,
                &unpacked,
            ],
        );
        if compression == Compression::Gzip && installed("umoci") {
            let named = t.path(&format!("{name}-named")).display().to_string();
            let tagged = format!("oci:{named}:v1");
            run("skopeo", &["copy", "--insecure-policy", &source, &tagged]);
            let bundle = t.path(&format!("{name}-bundle"));
            let unpack = ["unpack", "--rootless", "--image", &format!("{named}:v1")];
            run(
                "umoci",
                &[&unpack[..], &[&bundle.display().to_string()]].concat(),
            );
            assert_eq!(listing(&bundle.join("rootfs")), "big\nsmall\n");
        }
        if compression != Compression::Zstd {
            let tarball = t.path(&format!("{name}.tar"));
            super::tarball::write(&tarball, &image, &["example.org/a:1".to_owned()]).unwrap();
            let source = format!("docker-archive:{}", tarball.display());
            let inspected = run("skopeo", &["inspect", &source]);
            assert!(inspected.contains("linux"), "{inspected}");
            let unpacked = format!("dir:{}", t.path(&format!("{name}-dir2")).display());
            run("skopeo", &["copy", "--insecure-policy", &source, &unpacked]);
        }
    }
}
