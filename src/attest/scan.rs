//! The packages in an image, found by reading its layers one after the other.
//!
//! No root is needed: a build that found everything in the cache unpacks nothing for this either. What is kept in memory is what was
//! found, and one file at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read};

use super::Error;
use super::packages::{self, Contents, Distribution, Package, Reading, Unreadable};
use crate::image::Descriptor;
use crate::layer::{self, Entry, Kind, LayerPath, Limits, Whiteout, decompress};
use crate::output::BuiltImage;

/// What is in an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// With the files that tell of them.
    pub packages: BTreeMap<Package, BTreeSet<LayerPath>>,
    /// Files that should tell of packages, and why they do not.
    pub unread: Vec<(LayerPath, String)>,
}

/// What a file of the image, as far as its layers have been read, tells.
type Files = BTreeMap<LayerPath, Result<Contents, Unreadable>>;

/// Reads all layers of an image, lowest first.
///
/// # Errors
/// [`Error::Layer`] and [`Error::Blob`] if one is not to be had or damaged. A file that cannot be understood is no error.
pub fn scan(image: &BuiltImage) -> Result<Inventory, Error> {
    let mut files = Files::new();
    for layer in &image.manifest.layers {
        let blob = image.blobs.open(layer);
        let blob = blob.map_err(|source| Error::Blob {
            digest: layer.digest.clone(),
            source,
        })?;
        apply(BufReader::new(blob), layer, &mut files)?;
    }
    Ok(Inventory::of(files))
}

fn apply(
    blob: BufReader<Box<dyn Read + Send>>,
    descriptor: &Descriptor,
    files: &mut Files,
) -> Result<(), Error> {
    let failed = |source| Error::Layer {
        digest: descriptor.digest.clone(),
        source,
    };
    let read = |source| failed(layer::Error::Read { offset: 0, source });
    let content = decompress(blob).map_err(read)?;
    let mut reader = layer::Reader::new(content, Limits::default());
    let mut own = Files::new();
    while let Some(entry) = reader.next().map_err(failed)? {
        let name = entry.path.file_name().unwrap_or_default();
        let parent = || entry.path.parent().unwrap_or_default();
        match Whiteout::from_file_name(name).map_err(failed)? {
            Some(Whiteout::Remove(name)) => remove(files, &parent().join(name), true),
            Some(Whiteout::Opaque) => remove(files, &parent(), false),
            Some(Whiteout::Reserved) => {}
            None => {
                // what was there is replaced; a directory keeps what is in it
                let is_directory = entry.kind == Kind::Directory;
                for files in [&mut *files, &mut own] {
                    match is_directory {
                        true => drop(files.remove(&entry.path)),
                        false => remove(files, &entry.path, true),
                    }
                }
                if let Some(found) = look_into(&entry, &mut reader, &own, files).map_err(read)? {
                    own.insert(entry.path, found);
                }
            }
        }
    }
    files.extend(own);
    Ok(())
}

/// Removes what is below a path, and itself if that is meant.
fn remove(files: &mut Files, path: &LayerPath, itself: bool) {
    let below = files.range(path..).map(|(found, _)| found);
    let below = below.take_while(|found| found.starts_with(path));
    let gone: Vec<LayerPath> = below
        .filter(|found| itself || *found != path)
        .cloned()
        .collect();
    for path in gone {
        files.remove(&path);
    }
}

/// Returns what an entry tells; nothing if it is not about packages.
fn look_into(
    entry: &Entry,
    content: &mut dyn Read,
    own: &Files,
    lower: &Files,
) -> std::io::Result<Option<Result<Contents, Unreadable>>> {
    let size = match &entry.kind {
        Kind::File { size } => *size,
        Kind::HardLink { target } => return Ok(own.get(target).or(lower.get(target)).cloned()),
        _ => return Ok(None),
    };
    Ok(match packages::recognise(&entry.path, entry.mode) {
        None => None,
        Some(Reading::Whole(most, _)) if size > most => Some(Err(Unreadable::TooLarge)),
        Some(Reading::Whole(_, parse)) => {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            Some(parse(&entry.path, &bytes))
        }
        Some(Reading::Program) => {
            let found = packages::of_program(content)?;
            (!found.is_empty()).then_some(Ok(Contents::Packages(found)))
        }
    })
}

impl Inventory {
    fn of(files: Files) -> Self {
        let mut inventory = Self::default();
        let distribution = distribution(&files);
        for (path, contents) in files {
            match contents {
                Ok(Contents::Distribution(_)) => {}
                Ok(Contents::Packages(packages)) => {
                    for mut package in packages {
                        package.belongs_to(distribution.as_ref());
                        let paths = inventory.packages.entry(package).or_default();
                        paths.insert(path.clone());
                    }
                }
                Err(reason) => inventory.unread.push((path, reason.to_string())),
            }
        }
        inventory
    }
}

/// Returns what `/etc/os-release` says, or the file that it usually links to.
fn distribution(files: &Files) -> Option<Distribution> {
    let mut found = files.iter().filter_map(|(path, contents)| match contents {
        Ok(Contents::Distribution(distribution)) => Some((path, distribution)),
        _ => None,
    });
    // `/etc` comes before `/usr`
    found.next().map(|(_, distribution)| distribution.clone())
}
