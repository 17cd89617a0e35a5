//! `--cache-dir`: what several builds share, filled by the first and read by the others, whatever happens to it.

use std::path::{Path, PathBuf};

use crate::support::{Finished, Image, Sandbox, requires, tool};

/// A build with a cache directory; every run has a new RUN, so that the base image must be unpacked.
struct Shared {
    t: Sandbox,
    base: String,
    runs: std::cell::Cell<u32>,
}

impl Shared {
    fn new() -> Self {
        let t = Sandbox::new();
        let base = t.base();
        let runs = std::cell::Cell::new(0);
        Self { t, base, runs }
    }

    fn dir(&self) -> PathBuf {
        self.t.path("shared")
    }

    fn args(&self) -> Vec<String> {
        let dir = self.dir();
        vec![
            "--cache".to_owned(),
            format!("--cache-dir={}", dir.display()),
            format!("--cache-repo={}", self.t.tag("cache")),
            "--no-push".to_owned(),
            "--verbosity=debug".to_owned(),
        ]
    }

    fn build(&self, more: &[&str]) -> Finished {
        self.runs.set(self.runs.get() + 1);
        let run = self.runs.get();
        let base = &self.base;
        self.t
            .dockerfile(&format!("FROM {base}\nRUN echo ran-{run} > /ran\n"));
        let args = self.args();
        let args = args.iter().map(String::as_str).chain(more.iter().copied());
        self.t.build(args).succeeded()
    }

    /// Returns the requests for the base image that a build makes.
    fn requests(&self, more: &[&str]) -> (Finished, Vec<String>) {
        let before = self.t.registry.requests().len();
        let finished = self.build(more);
        let requests = self.t.registry.requests();
        let of_base = |request: &&String| request.contains("/base/");
        let requests = requests[before..].iter().filter(of_base).cloned();
        (finished, requests.collect())
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.dir().join("blobs/sha256").join(hex)
    }

    fn image(&self) -> Image {
        Image::pull(&self.t.registry, &self.base)
    }
}

fn layer(image: &Image) -> String {
    image.manifest["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn config(image: &Image) -> String {
    image.manifest["config"]["digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_base_image_is_pulled_once() {
    requires!(root);
    let s = Shared::new();
    let image = s.image();
    let (_, first) = s.requests(&[]);
    assert!(first.contains(&format!("GET /v2/base/blobs/{}", layer(&image))));
    for digest in [&image.digest, &config(&image), &layer(&image)] {
        assert!(s.blob(digest).exists(), "{digest}");
    }
    let (finished, second) = s.requests(&[]);
    assert_eq!(second, ["HEAD /v2/base/manifests/latest"], "{finished}");
    let found = format!("Found {} in local cache", image.digest);
    assert!(finished.stderr.contains(&found), "{finished}");

    // a name with a digest needs nobody
    let s = Shared {
        base: format!("{}@{}", s.base, image.digest),
        ..s
    };
    assert_eq!(s.requests(&[]).1, [""; 0]);

    // the default directory is used only if somebody made it, and without --cache nothing is kept
    let t = Sandbox::new();
    t.dockerfile(&format!("FROM {}\nRUN true\n", t.base()));
    let dir = t.path("unused");
    let option = format!("--cache-dir={}", dir.display());
    t.build(["--no-push", &option]).succeeded();
    assert!(!dir.exists());
}

#[test]
fn a_moved_tag_is_noticed() {
    requires!(root);
    let s = Shared::new();
    s.build(&[]);
    s.t.dockerfile(&format!("FROM {}\nLABEL moved=1\n", s.base));
    s.t.build(["--destination", &s.base]).succeeded();
    let moved = s.image().digest;
    let (finished, requests) = s.requests(&[]);
    assert_eq!(requests[0], "HEAD /v2/base/manifests/latest");
    assert!(requests.contains(&"GET /v2/base/manifests/latest".to_owned()));
    assert!(!finished.stderr.contains("in local cache"), "{finished}");
    assert!(s.blob(&moved).exists());
    assert_eq!(s.requests(&[]).1.len(), 1);
}

#[test]
fn damaged_copies_are_fetched_anew() {
    requires!(root);
    let s = Shared::new();
    let image = s.image();
    s.build(&[]);
    for digest in [image.digest.clone(), config(&image), layer(&image)] {
        let right = fs_err::read(s.blob(&digest)).unwrap();
        let mut other = right.clone();
        *other.last_mut().unwrap() ^= 1;
        for wrong in [&other[..], &right[..right.len() / 2], b""] {
            fs_err::write(s.blob(&digest), wrong).unwrap();
            let finished = s.build(&[]);
            let warnings = finished.stderr.matches("is damaged and not used").count();
            assert_eq!(warnings, 1, "{finished}");
            assert_eq!(fs_err::read(s.blob(&digest)).unwrap(), right);
        }
        fs_err::remove_file(s.blob(&digest)).unwrap();
        let finished = s.build(&[]);
        assert!(!finished.stderr.contains("damaged"), "{finished}");
        assert!(s.blob(&digest).exists());
    }
}

#[test]
fn a_limit_is_kept() {
    requires!(root);
    let s = Shared::new();
    let image = s.image();
    s.build(&["--cache-dir-max-size=1kB"]);
    assert!(!s.blob(&layer(&image)).exists());
    s.build(&["--cache-dir-max-size=1GiB"]);
    assert!(s.blob(&layer(&image)).exists());
    s.build(&["--cache-dir-max-size=1kB"]);
    assert!(!s.blob(&layer(&image)).exists());
    // a directory that cannot be had costs a warning
    let file = s.t.path("file");
    fs_err::write(&file, "").unwrap();
    let finished = s.build(&["--cache-dir", file.to_str().unwrap()]);
    assert!(
        finished.stderr.contains("cannot use --cache-dir"),
        "{finished}"
    );
}

#[test]
fn cached_layers_are_kept_too() {
    requires!(root);
    let s = Shared::new();
    let text = format!(
        "FROM {}\nRUN echo below > /below\nRUN cat /below; echo ",
        s.base
    );
    let build = |number: u32| {
        s.t.dockerfile(&format!("{text}{number}\n"));
        let before = s.t.registry.requests().len();
        let finished = s.t.build(s.args()).succeeded();
        let requests = s.t.registry.requests()[before..].to_vec();
        let layers = requests
            .into_iter()
            .filter(|request| request.starts_with("GET /v2/cache/blobs/"));
        (finished.stdout, layers.count())
    };
    assert_eq!(build(1), ("below\n1\n".to_owned(), 0));
    // the entry's config and its layer
    assert_eq!(build(2), ("below\n2\n".to_owned(), 2));
    assert_eq!(build(3), ("below\n3\n".to_owned(), 1));
}

/// Lays out the base image as kaniko's warmer does: as a layout, or as a tarball with its manifest beside it.
fn warm(s: &Shared, image: &Image, as_layout: bool) {
    fs_err::create_dir_all(s.dir()).unwrap();
    let entry = s.dir().join(&image.digest);
    let plain = s.t.path("plain");
    let mut args = vec!["copy".to_owned(), "--quiet".to_owned()];
    args.extend(s.t.registry.skopeo_options("src"));
    args.extend([
        format!("docker://{}", s.base),
        format!("oci:{}", plain.display()),
    ]);
    tool("skopeo", args);
    if as_layout {
        fs_err::rename(plain, entry).unwrap();
        return;
    }
    let blob = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap();
        fs_err::read(plain.join("blobs/sha256").join(hex)).unwrap()
    };
    let layer = layer(image);
    let layer_name = format!("{}.tar.gz", layer.strip_prefix("sha256:").unwrap());
    let mut tar = tar::Builder::new(fs_err::File::create(&entry).unwrap());
    let config = config(image);
    for (name, bytes) in [(&config, blob(&config)), (&layer_name, blob(&layer))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap();
    let manifest = format!("{}.json", entry.display());
    fs_err::write(manifest, blob(&image.digest)).unwrap();
}

#[test]
fn what_kanikos_warmer_left_is_used() {
    requires!(root);
    for as_layout in [true, false] {
        let s = Shared::new();
        let image = s.image();
        warm(&s, &image, as_layout);
        let (finished, requests) = s.requests(&[]);
        assert_eq!(requests, ["HEAD /v2/base/manifests/latest"], "{finished}");
        // one that is too old is not
        let (finished, requests) = s.requests(&["--cache-ttl=1ns"]);
        assert!(requests.len() > 1, "{finished}");
        // a damaged one costs a warning
        fs_err::remove_dir_all(s.dir().join("blobs")).unwrap();
        let mut file = s.dir().join(&image.digest);
        if as_layout {
            let layer = layer(&image);
            file = file.join("blobs/sha256").join(&layer["sha256:".len()..]);
        }
        damage(&file);
        let (finished, requests) = s.requests(&[]);
        assert!(requests.len() > 1, "{finished}");
        assert!(
            finished.stderr.contains("is damaged and not used"),
            "{finished}"
        );
    }
}

/// Changes a byte in the middle.
fn damage(file: &Path) {
    let mut bytes = fs_err::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(file, bytes).unwrap();
}
