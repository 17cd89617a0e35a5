//! What `--output` wrote, as lines: files as those of an image, and of an archive what is in it, below a line `tar /NAME`.
//!
//! An archive that holds an image is a line `oci /NAME` with its names, or `docker /NAME` with the number of layers too; a statement in a file is a line with
//! its type and its subjects.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use super::case::Case;
use super::{compare, tree};

/// Compares what is in a case's directory of outputs with what is expected.
pub fn check(case: &Case, out: &Path) -> Vec<String> {
    let Some(expected) = &case.expected.outputs else {
        return Vec::new();
    };
    let root = out.join("output");
    let digest = fs_err::read_to_string(out.join("digest")).unwrap_or_default();
    let mut got = Vec::new();
    for entry in walkdir::WalkDir::new(&root)
        .min_depth(1)
        .sort_by_file_name()
    {
        let entry = entry.unwrap();
        let shown = format!("/{}", entry.path().strip_prefix(&root).unwrap().display());
        let metadata = entry.path().symlink_metadata().unwrap();
        let owner = format!("{}:{}", metadata.uid(), metadata.gid());
        let mode = metadata.permissions().mode() & 0o7777;
        let kind = metadata.file_type();
        if kind.is_dir() {
            got.push(format!("d {mode:04o} {owner} {shown}"));
        } else if kind.is_symlink() {
            let target = fs_err::read_link(entry.path()).unwrap();
            got.push(format!("l {owner} {shown} -> {}", target.display()));
        } else {
            let content = fs_err::read(entry.path()).unwrap();
            match shown.ends_with(".tar") {
                true => got.extend(archive(&shown, &content, digest.trim())),
                false => got.push(file(&format!("{mode:04o} {owner} {shown}"), &content)),
            }
        }
    }
    compare("output", expected, &got)
}

fn file(head: &str, content: &[u8]) -> String {
    let statement: Option<Value> = serde_json::from_slice(content).ok();
    let statement = statement.filter(|value| value["predicateType"].is_string());
    match statement {
        None => format!("f {head} {}", tree::show(content)),
        Some(statement) => {
            let subjects = statement["subject"].as_array().unwrap().iter();
            let names = subjects.map(|subject| {
                let digest = subject["digest"]["sha256"].as_str().unwrap();
                assert_eq!(digest.len(), 64, "{subject}");
                subject["name"].as_str().unwrap()
            });
            let names: Vec<_> = names.collect();
            let kind = statement["predicateType"].as_str().unwrap();
            format!("f {head} {kind} of {}", names.join(" "))
        }
    }
}

fn archive(shown: &str, content: &[u8], digest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut image = None;
    for entry in tar::Archive::new(content).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if name == "index.json" || name == "manifest.json" {
            image = Some(self::image(shown, &name, &content, digest));
        }
        let owner = format!("{}:{}", header.uid().unwrap(), header.gid().unwrap());
        let head = format!("{:04o} {owner} {name}", header.mode().unwrap() & 0o7777);
        let link = || {
            let target = entry.link_name().unwrap().unwrap();
            target.display().to_string()
        };
        lines.push(match header.entry_type() {
            tar::EntryType::Directory => format!("  d {head}"),
            tar::EntryType::Symlink => format!("  l {owner} {name} -> {}", link()),
            tar::EntryType::Link => format!("  h {name} = {}", link()),
            tar::EntryType::Fifo => format!("  p {head}"),
            _ => format!("  {}", file(&head, &content)),
        });
    }
    match image {
        Some(image) => vec![image],
        None => {
            lines.insert(0, format!("tar {shown}"));
            lines
        }
    }
}

/// Tells what names an archive has for its image, which is the one that was built.
fn image(shown: &str, name: &str, content: &[u8], digest: &str) -> String {
    let document: Value = serde_json::from_slice(content).unwrap();
    let names = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if name == "manifest.json" {
        let tags = document[0]["RepoTags"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let tags: Vec<String> = tags.iter().map(names).collect();
        let layers = document[0]["Layers"].as_array().unwrap().len();
        return format!("docker {shown} {} layers {}", layers, tags.join(" "));
    }
    let manifests = document["manifests"].as_array().unwrap().iter();
    let named = manifests.map(|manifest| {
        assert_eq!(manifest["digest"], digest, "{manifest}");
        names(&manifest["annotations"]["org.opencontainers.image.ref.name"])
    });
    let named: Vec<String> = named.collect();
    format!("oci {shown} {}", named.join(" "))
}
