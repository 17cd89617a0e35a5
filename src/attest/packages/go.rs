//! Modules of Go: what a program was built from, and `go.sum`.

use std::io::{self, Read};

use super::{Contents, Ecosystem, Package, Unreadable, packages, text};
use crate::layer::LayerPath;

/// Reads the hashes of modules; those of `go.mod` files alone stand for modules that were only looked at.
pub fn sum(_: &LayerPath, bytes: &[u8]) -> Result<Contents, Unreadable> {
    let text = text(bytes);
    let found = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        (!version.ends_with("/go.mod")).then(|| named(name, version))
    });
    packages(found.collect())
}

fn named(name: &str, version: &str) -> Package {
    Package::new(Ecosystem::Go, name, version)
}

const ELF: &[u8] = b"\x7fELF";
/// What the linker puts in front of what it says of a program.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// From the magic to the two texts.
const HEAD: usize = 32;
/// What the two texts may take.
const LONGEST: usize = 8 << 20;
const CHUNK: usize = 256 * 1024;

/// Looks for what Go's linker wrote into a program; the memory it takes does not grow with the program.
///
/// # Spec
/// The form of Go 1.18 and later, in which both texts stand behind the head; Go's `debug/buildinfo`.
pub fn program(content: &mut dyn Read) -> io::Result<Vec<Package>> {
    let mut buffer = Vec::new();
    fill(content, &mut buffer, ELF.len())?;
    if buffer != ELF {
        return Ok(Vec::new());
    }
    loop {
        let was = buffer.len();
        fill(content, &mut buffer, was + CHUNK)?;
        let is_end = buffer.len() < was + CHUNK;
        while let Some(at) = find(&buffer) {
            buffer.drain(..at);
            fill(content, &mut buffer, HEAD + LONGEST)?;
            if let Some(found) = build_info(&buffer) {
                return Ok(found);
            }
            buffer.drain(..MAGIC.len());
        }
        if is_end {
            return Ok(Vec::new());
        }
        // the magic may lie across the end
        buffer.drain(..buffer.len().saturating_sub(MAGIC.len()));
    }
}

/// Reads until there are `length` bytes, or no more.
fn fill(content: &mut dyn Read, buffer: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let missing = length.saturating_sub(buffer.len());
    content.take(missing as u64).read_to_end(buffer).map(drop)
}

fn find(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == MAGIC[0]) {
        if bytes[from + at..].starts_with(MAGIC) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Reads the modules behind the magic; nothing if it only looks like it.
fn build_info(bytes: &[u8]) -> Option<Vec<Package>> {
    const INLINE: u8 = 2;
    const SENTINEL: usize = 16;
    if bytes.get(15)? & INLINE == 0 {
        return None;
    }
    let (version, rest) = prefixed(bytes.get(HEAD..)?)?;
    let (modules, _) = prefixed(rest)?;
    let version = std::str::from_utf8(version).ok()?;
    let number = version.split(' ').next()?.strip_prefix("go")?;
    let mut found = vec![named("stdlib", number)];
    let end = modules.len().saturating_sub(SENTINEL);
    let modules = text(modules.get(SENTINEL..end).unwrap_or_default());
    for line in modules.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["mod" | "dep", name, version, ..] => found.push(named(name, version)),
            // what replaces the module before
            ["=>", name, version, ..] => {
                found.pop();
                found.push(named(name, version));
            }
            _ => {}
        }
    }
    Some(found)
}

/// Splits off a text whose length stands before it.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length: usize = 0;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}
