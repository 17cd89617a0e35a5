//! Statements about an image as files beside its own, as BuildKit writes them: they are about the files.

use std::io::{Read, Write};
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt;
use serde_json::{Value, json};

use super::super::{BoxError, BuiltImage, open_layer};
use crate::image::Digester;
use crate::layer::LayerPath;
use crate::rootfs::{FileType, Rootfs};

/// Writes the statements of a manifest into `dir`, which is the directory of `root`.
pub fn write(statements: &BuiltImage, root: &Rootfs, dir: &Path) -> Result<(), BoxError> {
    let mut written = Vec::new();
    for layer in &statements.manifest.layers {
        let mut text = Vec::new();
        open_layer(statements, layer)?.read_to_end(&mut text)?;
        let statement: Value = serde_json::from_slice(&text)?;
        let name = name(&statement).ok_or("a statement is of an unknown kind")?;
        written.push((name, statement));
    }
    let subjects = subjects(root)?;
    for (name, mut statement) in written {
        statement["subject"] = subjects.clone();
        let path = dir.join(name);
        let file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let mut file = match file {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(format!("the image has a file called {name} itself").into());
            }
            file => file?,
        };
        file.write_all(&serde_json::to_vec_pretty(&statement)?)?;
    }
    Ok(())
}

/// Returns what a statement's file is called.
fn name(statement: &Value) -> Option<&'static str> {
    match statement["predicateType"].as_str()? {
        kind if kind.starts_with("https://spdx.dev/") => Some("sbom.spdx.json"),
        kind if kind.starts_with("https://slsa.dev/provenance/") => Some("provenance.json"),
        _ => None,
    }
}

/// Lists every file with its digest.
fn subjects(root: &Rootfs) -> Result<Value, BoxError> {
    let mut subjects = Vec::new();
    let mut walk = root.walk(&LayerPath::root())?;
    while let Some(found) = walk.next()? {
        if found.stat.kind != FileType::File {
            continue;
        }
        let name = found.layer_path().to_string();
        let mut digester = Digester::new();
        let mut file = walk.open_file()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => digester.update(&buffer[..n]),
            }
        }
        let digest = digester.finish();
        subjects.push(json!({
            "name": name.trim_start_matches('/'),
            "digest": { "sha256": digest.hex() },
        }));
    }
    Ok(subjects.into())
}
