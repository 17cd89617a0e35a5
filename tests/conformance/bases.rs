//! The images that cases start from, put into a registry with nothing but its HTTP interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use executor::image::Digest;
use serde_json::{Value, json};

use crate::support::{Registry, base, crafted};

/// The `PATH` of images that say none.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// When the base images were made.
pub const CREATED: &str = "2000-01-01T00:00:00Z";
const TIME: u64 = 800_000_000;

const APPLETS: &str = "[ awk base64 basename cat chmod chown cmp cp cut date dd df dirname echo env expr false find grep gunzip gzip head \
    hostname id install kill ln ls mkdir mkfifo mknod mktemp mount mv nc od printenv printf pwd readlink realpath rm rmdir sed seq setsid sh \
    sha256sum sleep sort stat sync tail tar tee test touch tr true truncate umask uname uniq wc xargs yes";

/// Pushes every base image below `library/`; returns the diff ids of their layers.
///
/// | name | what it is |
/// | --- | --- |
/// | `busybox` | a shell, users, and `/data` with one of every kind of file; its config is that of an image from scratch |
/// | `parent` | `busybox` with everything set in its config |
/// | `onbuild` | `busybox` with triggers |
/// | `plain` | `busybox` with an empty config |
/// | `layered` | a directory made opaque and a file removed by the second layer |
/// | `several` | an index for two platforms, with the label `arch` |
pub fn push(registry: &Registry) -> Vec<String> {
    let to = Push { registry };
    let system = to.layer(&system());
    let lower = to.layer(&tar(|tar| {
        tar.dir("d", 0o755, (0, 0));
        tar.file("d/old", 0o644, (0, 0), b"old\n");
        tar.file("d/kept", 0o644, (0, 0), b"lower\n");
        tar.file("gone", 0o644, (0, 0), b"gone\n");
        tar.file("stays", 0o644, (0, 0), b"stays\n");
    }));
    let upper = to.layer(&tar(|tar| {
        tar.dir("d", 0o711, (3, 4));
        tar.file("d/.wh..wh..opq", 0, (0, 0), b"");
        tar.file("d/kept", 0o600, (0, 0), b"upper\n");
        tar.file(".wh.gone", 0, (0, 0), b"");
    }));
    let env = json!([PATH]);
    to.image(
        "busybox",
        json!({"Env": env, "WorkingDir": "/"}),
        &[&system],
        json!({}),
    );
    to.image("plain", json!({}), &[&system], json!({}));
    let config = json!({
        "Env": [PATH, "BASE=1", "EMPTY="],
        "Entrypoint": ["/entry"],
        "Cmd": ["/cmd", "x"],
        "WorkingDir": "/srv",
        "User": "app",
        "Labels": {"a": "base", "b": "base"},
        "ExposedPorts": {"1/tcp": {}},
        "Volumes": {"/v": {}},
        "StopSignal": "SIGINT",
        "Shell": ["/bin/sh", "-e", "-c"],
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Retries": 2},
    });
    let more = json!({"author": "Base Author", "docker_version": "1", "container": "x"});
    to.image("parent", config, &[&system], more);
    let triggers = [
        "ARG GIVEN=trigger",
        "ENV FROM_TRIGGER=$GIVEN",
        "RUN echo \"$FROM_TRIGGER\" >/trigger",
        "COPY f /from-trigger",
    ];
    to.image(
        "onbuild",
        json!({"Env": env, "OnBuild": triggers}),
        &[&system],
        json!({}),
    );
    to.image("layered", json!({"Env": env}), &[&lower, &upper], json!({}));
    let manifests: Vec<Value> = ["amd64", "arm64"]
        .map(|architecture| {
            let more = json!({"architecture": architecture});
            let config = json!({"Env": env, "Labels": {"arch": architecture}});
            let mut descriptor = to.image("several", config, &[&lower], more);
            descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
            descriptor
        })
        .into();
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
    to.put(
        "/v2/library/several/manifests/latest",
        kind,
        index.to_string().as_bytes(),
    );
    [system, lower, upper].map(|layer| layer.diff_id).into()
}

struct Layer {
    diff_id: String,
    descriptor: Value,
    blob: Vec<u8>,
}

struct Push<'a> {
    registry: &'a Registry,
}

impl Push<'_> {
    fn layer(&self, tar: &[u8]) -> Layer {
        let blob = crafted::gzip(tar);
        Layer {
            diff_id: Digest::of(tar).to_string(),
            descriptor: json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": Digest::of(&blob).to_string(),
                "size": blob.len(),
            }),
            blob,
        }
    }

    /// Pushes an image as `latest`; returns its descriptor. `more` goes to the top of the config.
    fn image(&self, name: &str, config: Value, layers: &[&Layer], more: Value) -> Value {
        let repository = format!("/v2/library/{name}");
        let history: Vec<_> = layers
            .iter()
            .map(|_| json!({"created": CREATED, "created_by": format!("base {name}")}))
            .collect();
        let mut document = json!({
            "created": CREATED,
            "architecture": executor::image::Platform::host().architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>()},
            "history": history,
        });
        for (key, value) in more.as_object().unwrap() {
            document[key] = value.clone();
        }
        let document = document.to_string().into_bytes();
        for blob in layers.iter().map(|layer| &layer.blob).chain([&document]) {
            self.blob(&repository, blob);
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(&document).to_string(),
                "size": document.len(),
            },
            "layers": layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest).to_string();
        self.put(&format!("{repository}/manifests/latest"), kind, &manifest);
        self.put(&format!("{repository}/manifests/{digest}"), kind, &manifest);
        json!({"mediaType": kind, "digest": digest, "size": manifest.len()})
    }

    fn blob(&self, repository: &str, blob: &[u8]) {
        let location = self.ask("POST", &format!("{repository}/blobs/uploads/"), "", b"");
        let location = location.expect("an upload has a location");
        let path = location.find("/v2/").map_or("", |at| &location[at..]);
        self.put(
            &format!("{path}&digest={}", Digest::of(blob)),
            "application/octet-stream",
            blob,
        );
    }

    fn put(&self, path: &str, kind: &str, body: &[u8]) {
        self.ask("PUT", path, kind, body);
    }

    /// Sends a request, which must succeed; returns the reply's `Location`.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Option<String> {
        let host = self.registry.host();
        let mut stream = TcpStream::connect(&host).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut reply = BufReader::new(stream);
        let mut status = String::new();
        reply.read_line(&mut status).unwrap();
        let mut rest = String::new();
        reply.read_to_string(&mut rest).unwrap();
        assert!(
            status.starts_with("HTTP/1.1 2"),
            "{method} {path}: {status}{rest}"
        );
        let mut headers = rest.lines();
        headers.find_map(|line| line.strip_prefix("Location: ").map(str::to_owned))
    }
}

/// A shell, users, and one of every kind of file.
fn system() -> Vec<u8> {
    tar(|tar| {
        for dir in ["bin", "data", "data/sub", "etc", "home", "srv"] {
            tar.dir(dir, 0o755, (0, 0));
        }
        tar.dir("root", 0o700, (0, 0));
        tar.dir("tmp", 0o1777, (0, 0));
        tar.dir("home/app", 0o755, (1000, 1001));
        tar.file(
            "bin/busybox",
            0o755,
            (0, 0),
            &fs_err::read(base::busybox()).unwrap(),
        );
        for applet in APPLETS.split_whitespace() {
            tar.link(tar::EntryType::Symlink, &format!("bin/{applet}"), "busybox");
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbob:x:10:20:bob:/home/bob:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n";
        tar.file("etc/passwd", 0o644, (0, 0), passwd.as_bytes());
        let group = "root:x:0:\nusers:x:20:\nstaff:x:50:bob\napp:x:1001:\nextra:x:1002:app\n";
        tar.file("etc/group", 0o644, (0, 0), group.as_bytes());
        tar.file("data/a", 0o644, (0, 0), b"a\n");
        tar.file("data/owned", 0o640, (5, 6), b"owned\n");
        tar.file("data/suid", 0o4755, (0, 0), b"suid\n");
        tar.file("data/one", 0o644, (0, 0), b"linked\n");
        tar.link(tar::EntryType::Link, "data/two", "data/one");
        tar.link(tar::EntryType::Symlink, "data/link", "a");
        tar.file("data/sub/b", 0o600, (0, 0), b"b\n");
        tar.file("data/sub/.hidden", 0o644, (0, 0), b"hidden\n");
        tar.add(tar::EntryType::Fifo, "data/pipe", 0o644, (0, 0), b"");
    })
}

struct Tar(tar::Builder<Vec<u8>>);

fn tar(fill: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = Tar(tar::Builder::new(Vec::new()));
    fill(&mut tar);
    tar.0.into_inner().unwrap()
}

impl Tar {
    fn add(
        &mut self,
        kind: tar::EntryType,
        name: &str,
        mode: u32,
        owner: (u64, u64),
        content: &[u8],
    ) {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(TIME);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, name, content).unwrap();
    }

    fn dir(&mut self, name: &str, mode: u32, owner: (u64, u64)) {
        self.add(tar::EntryType::Directory, name, mode, owner, b"");
    }

    fn file(&mut self, name: &str, mode: u32, owner: (u64, u64), content: &[u8]) {
        self.add(tar::EntryType::Regular, name, mode, owner, content);
    }

    fn link(&mut self, kind: tar::EntryType, name: &str, target: &str) {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        let is_symlink = kind == tar::EntryType::Symlink;
        header.set_mode(if is_symlink { 0o777 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(TIME);
        header.set_size(0);
        self.0.append_link(&mut header, name, target).unwrap();
    }
}
