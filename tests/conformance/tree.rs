//! An image as lines: the files it adds to its base, its config, its history. Reads an OCI layout with none of the executor's code.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::bases;
use super::build::EPOCH;

/// When everything new was made.
pub const CREATED: &str = "2001-09-09T01:46:40Z";

/// Longest content that a line shows; of what is longer, size and hash.
const LONGEST: usize = 400;

/// What an image is.
pub struct Image {
    /// `f 0644 0:0 /path "content" @time`, see [`super::files`]; `- /path` for what the base had.
    pub tree: Vec<String>,
    pub config: Vec<String>,
    /// Without the base's.
    pub history: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    xattrs: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    /// The content, and a number that the names of one file share.
    File(Vec<u8>, usize),
    Symlink(String),
    Device(char, u32, u32),
    Fifo,
}

type Tree = BTreeMap<String, Node>;

/// An image's config, and its files with and without those of its base.
pub struct Files {
    document: Value,
    base: Tree,
    tree: Tree,
    /// How many layers are the base's, and how many are new.
    layers: (usize, usize),
}

/// Returns the manifest of a layout's image; of several the first.
fn manifest(layout: &Path) -> Vec<u8> {
    let mut index = fs_err::read(layout.join("index.json")).unwrap();
    loop {
        let document: Value = serde_json::from_slice(&index).unwrap();
        match document.get("manifests") {
            Some(manifests) => index = blob(&layout.join("blobs/sha256"), &manifests[0]),
            None => return index,
        }
    }
}

/// Reads the config of a layout's image.
pub fn config(layout: &Path) -> Value {
    let manifest: Value = serde_json::from_slice(&manifest(layout)).unwrap();
    let config = blob(&layout.join("blobs/sha256"), &manifest["config"]);
    let raw = config.iter().find(|byte| b"<>&".contains(byte));
    assert_eq!(raw, None, "HIS-11: {}", String::from_utf8_lossy(&config));
    serde_json::from_slice(&config).unwrap()
}

/// Reads the image of a layout, whose layers with one of the `known` diff ids are its base; everything new was made at `created`, if that is known.
pub fn read(layout: &Path, known: &[String], created: Option<&str>) -> Image {
    let mut files = Files::read(&layout.join("blobs/sha256"), &manifest(layout), known);
    files.document = config(layout);
    if created.is_none() {
        unify_times(&mut files.document);
    }
    let (old, new): (Vec<_>, Vec<_>) = history(&files.document)
        .into_iter()
        .partition(|line| line.starts_with("layer base "));
    let (below, above) = files.layers;
    assert_eq!(old.len(), below, "the base's history stays");
    let layered = new.iter().filter(|line| line.starts_with("layer ")).count();
    assert_eq!(layered, above, "HIS-6: a layer for each entry: {new:#?}");
    let env = files.document["config"]["Env"].to_string();
    assert!(env.contains("PATH="), "CFG-3: there is a PATH: {env}");
    Image {
        tree: files.tree(),
        config: files.config(),
        history: new,
    }
}

/// Puts the usual time in the place of new entries' own.
fn unify_times(document: &mut Value) {
    document["created"] = CREATED.into();
    for entry in document["history"].as_array_mut().into_iter().flatten() {
        let is_base = entry["created_by"]
            .as_str()
            .is_some_and(|by| by.starts_with("base "));
        if !is_base {
            entry["created"] = CREATED.into();
        }
    }
}

impl Files {
    /// Reads the image of a manifest, with blobs in one directory.
    pub fn read(blobs: &Path, manifest: &[u8], known: &[String]) -> Self {
        let manifest: Value = serde_json::from_slice(manifest).unwrap();
        let document: Value = serde_json::from_slice(&blob(blobs, &manifest["config"])).unwrap();
        let diff_ids = document["rootfs"]["diff_ids"].as_array().cloned();
        let diff_ids = diff_ids.unwrap_or_default();
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        assert_eq!(diff_ids.len(), layers.len(), "a layer for each diff id");
        let (mut tree, mut base) = (Tree::new(), Tree::new());
        let (mut below, mut numbers) = (0, 0);
        for (layer, diff_id) in layers.iter().zip(&diff_ids) {
            let tar = unpacked(blob(blobs, layer));
            let own = executor::image::Digest::of(&tar).to_string();
            assert_eq!(*diff_id, own.as_str(), "the diff id of a layer");
            apply(&mut tree, &tar, &mut numbers);
            if known.contains(&own) {
                base = tree.clone();
                below += 1;
            }
        }
        Self {
            document,
            base,
            tree,
            layers: (below, layers.len() - below),
        }
    }

    pub fn tree(&self) -> Vec<String> {
        difference(&self.base, &self.tree)
    }

    pub fn config(&self) -> Vec<String> {
        settings(&self.document)
    }
}

fn unpacked(blob: Vec<u8>) -> Vec<u8> {
    if !blob.starts_with(&[0x1f, 0x8b]) {
        return blob;
    }
    let mut tar = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(&blob[..]);
    decoder.read_to_end(&mut tar).unwrap();
    tar
}

fn blob(blobs: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = fs_err::read(blobs.join(digest.strip_prefix("sha256:").unwrap())).unwrap();
    assert_eq!(executor::image::Digest::of(&bytes).to_string(), digest);
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}

/// Applies a layer: whiteouts hide what lower layers brought, wherever they stand.
fn apply(tree: &mut Tree, tar: &[u8], files: &mut usize) {
    let lower: Vec<String> = tree.keys().cloned().collect();
    let mut written = Tree::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let path = format!("/{}", name.trim_end_matches('/'));
        let (parent, base) = path.rsplit_once('/').unwrap();
        if let Some(hidden) = base.strip_prefix(".wh.") {
            let whole = format!("{parent}/{hidden}");
            let below = match hidden {
                ".wh..opq" => format!("{parent}/"),
                _ => format!("{whole}/"),
            };
            for path in lower
                .iter()
                .filter(|path| **path == whole || path.starts_with(&below))
            {
                tree.remove(path);
            }
            continue;
        }
        let node = node(&mut entry, &written, tree, files);
        written.insert(path, node);
    }
    for (path, node) in written {
        if node.kind != Kind::Directory {
            let below = format!("{path}/");
            tree.retain(|path, _| !path.starts_with(&below));
        }
        tree.insert(path, node);
    }
}

fn node(entry: &mut tar::Entry<'_, &[u8]>, written: &Tree, tree: &Tree, files: &mut usize) -> Node {
    let header = entry.header().clone();
    let link = entry
        .link_name()
        .unwrap()
        .map(|link| link.display().to_string());
    let kind = match header.entry_type() {
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => Kind::Symlink(link.unwrap()),
        tar::EntryType::Fifo => Kind::Fifo,
        tar::EntryType::Link => {
            let first = format!("/{}", link.unwrap().trim_start_matches('/'));
            let first = written.get(&first).or_else(|| tree.get(&first));
            return first.expect("a hard link to what is there").clone();
        }
        kind @ (tar::EntryType::Char | tar::EntryType::Block) => {
            let letter = if kind == tar::EntryType::Char {
                'c'
            } else {
                'b'
            };
            let number = |number: std::io::Result<Option<u32>>| number.unwrap().unwrap_or_default();
            Kind::Device(
                letter,
                number(header.device_major()),
                number(header.device_minor()),
            )
        }
        _ => {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            *files += 1;
            Kind::File(content, *files)
        }
    };
    let mut xattrs = String::new();
    for extension in entry
        .pax_extensions()
        .unwrap()
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = extension
            .key()
            .ok()
            .and_then(|key| key.strip_prefix("SCHILY.xattr."));
        if let Some(name) = name {
            xattrs += &format!(" {name}={}", extension.value_bytes().escape_ascii());
        }
    }
    Node {
        kind,
        mode: header.mode().unwrap() & 0o7777,
        owner: (header.uid().unwrap(), header.gid().unwrap()),
        mtime: header.mtime().unwrap(),
        xattrs,
    }
}

/// Lists what is new, different or gone.
fn difference(base: &Tree, tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    let mut first_names = BTreeMap::new();
    let paths: std::collections::BTreeSet<&String> = base.keys().chain(tree.keys()).collect();
    for path in paths {
        let Some(node) = tree.get(path) else {
            lines.push(format!("- {path}"));
            continue;
        };
        let mut name = path.clone();
        if let Kind::File(_, number) = node.kind {
            name = first_names
                .entry(number)
                .or_insert_with(|| path.clone())
                .clone();
        }
        if base.get(path) == Some(node) || base.get(path).is_some_and(|old| is_touched(old, node)) {
            continue;
        }
        let Node {
            mode,
            owner: (uid, gid),
            mtime,
            xattrs,
            ..
        } = node;
        let owner = format!("{mode:04o} {uid}:{gid}");
        let line = match &node.kind {
            Kind::Directory => format!("d {owner} {path}"),
            Kind::File(..) if name != *path => format!("h {path} = {name}"),
            Kind::File(content, _) => format!("f {owner} {path} {}", show(content)),
            Kind::Symlink(target) => format!("l {uid}:{gid} {path} -> {target}"),
            Kind::Device(letter, major, minor) => {
                format!("{letter} {owner} {major}:{minor} {path}")
            }
            Kind::Fifo => format!("p {owner} {path}"),
        };
        lines.push(format!("{line}{xattrs} @{mtime}"));
    }
    lines
}

/// Tells whether a directory differs in its time only.
fn is_touched(old: &Node, new: &Node) -> bool {
    let mut old = old.clone();
    old.mtime = new.mtime;
    new.kind == Kind::Directory && old == *new
}

/// Shows a content in a line.
pub fn show(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.len() <= LONGEST => format!("{text:?}"),
        Err(_) if content.len() <= LONGEST => format!("\"{}\"", content.escape_ascii()),
        _ => {
            let hash = executor::image::Digest::of(content);
            format!("{} {}", content.len(), &hash.hex()[..12])
        }
    }
}

/// Lists what a config says beyond that of an image from scratch.
fn settings(document: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let host = executor::image::Platform::host();
    let text = |key: &str| document[key].as_str().unwrap_or_default();
    if !text("author").is_empty() {
        lines.push(format!("author {}", text("author")));
    }
    for (key, own) in [
        ("os", "linux"),
        ("architecture", &host.architecture),
        ("variant", &host.variant),
    ] {
        if text(key) != own {
            lines.push(format!("{key} {}", text(key)));
        }
    }
    if text("created") != CREATED {
        lines.push(format!("created {}", text("created")));
    }
    let known = "architecture author config created history os os.version rootfs variant";
    let document = document.as_object().unwrap();
    let more = document
        .keys()
        .filter(|key| !known.split(' ').any(|known| known == *key));
    lines.extend(more.map(|key| format!("unknown {key}")));
    let config = document["config"].as_object().cloned().unwrap_or_default();
    for (key, value) in &config {
        match (key.as_str(), value) {
            ("Env", Value::Array(env)) => {
                let env = env.iter().map(|entry| entry.as_str().unwrap());
                lines.extend(
                    env.filter(|entry| *entry != bases::PATH)
                        .map(|entry| format!("Env {}", line(entry))),
                );
            }
            ("WorkingDir", Value::String(path)) if path == "/" => {}
            ("OnBuild", Value::Array(triggers)) => {
                lines.extend(
                    triggers
                        .iter()
                        .map(|trigger| format!("OnBuild {}", line(trigger.as_str().unwrap()))),
                );
            }
            ("Labels", Value::Object(labels)) => {
                lines.extend(
                    labels.iter().map(|(key, value)| {
                        format!("Label {key}={}", line(value.as_str().unwrap()))
                    }),
                );
            }
            ("ExposedPorts" | "Volumes", Value::Object(keys)) => {
                let name = if key == "Volumes" { "Volume" } else { "Port" };
                lines.extend(keys.keys().map(|key| format!("{name} {key}")));
            }
            (_, Value::String(text)) => lines.push(format!("{key} {text}")),
            (_, value) => lines.push(format!("{key} {value}")),
        }
    }
    lines
}

fn history(document: &Value) -> Vec<String> {
    let entries = document["history"].as_array().cloned().unwrap_or_default();
    let show = |entry: &Value| {
        let text = entry["created_by"].as_str().unwrap_or_default();
        if text.starts_with("base ") {
            assert_eq!(entry["created"], bases::CREATED, "HIS-10: {entry}");
        } else {
            assert_eq!(entry["comment"], "buildkit.dockerfile.v0", "HIS-1: {entry}");
            assert_eq!(entry["created"], CREATED, "HIS-10: {entry}, epoch {EPOCH}");
            assert_ne!(
                entry.get("empty_layer"),
                Some(&Value::Bool(false)),
                "HIS-1: {entry}"
            );
        }
        let kind = match entry["empty_layer"] == true {
            true => "empty",
            false => "layer",
        };
        format!("{kind} {}", line(text))
    };
    entries.iter().map(show).collect()
}

fn line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\t', "\\t")
}
