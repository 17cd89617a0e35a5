//! The files of an image, without the layers they came in.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::product::Part;
use super::super::{BoxError, BuiltImage, Error, Product, open_layer};
use super::statements;
use crate::layer::{self, Kind, Limits, Reader, Writer, decompress};
use crate::rootfs::Rootfs;
use crate::snapshot;

/// Writes the files below `directory`, on top of what is there, as files of whoever builds; of several images each in a directory
/// called after its platform. Device nodes are left out.
pub fn into_directory(product: &Product, directory: &Path, scratch: &Path) -> Result<(), Error> {
    let parts = product.parts();
    for part in &parts {
        let place = place(part, &parts, directory);
        let dir = scratch_dir(scratch)?;
        let copied = fill(part, dir.path()).and_then(|root| {
            let to = Rootfs::create(&place).map_err(|error| failed(&place, error))?;
            copy(&root, &to).map_err(|source| Error::Files {
                path: place.clone(),
                source,
            })
        });
        remove(dir)?;
        copied?;
    }
    Ok(())
}

/// Writes the same as a tar archive, with all owners and device nodes.
pub fn into_archive(
    product: &Product,
    out: &mut dyn Write,
    path: &Path,
    scratch: &Path,
) -> Result<(), Error> {
    let dir = scratch_dir(scratch)?;
    let parts = product.parts();
    let filled = parts.iter().try_for_each(|part| {
        let place = place(part, &parts, dir.path());
        fill(part, &place).map(drop)
    });
    let written = filled.and_then(|()| {
        let root = Rootfs::open(dir.path()).map_err(|error| failed(dir.path(), error))?;
        write_tar(&root, out).map_err(|error| failed(path, error))
    });
    remove(dir)?;
    written
}

/// Returns where the files of an image go: of several, each has a directory.
fn place(part: &Part<'_>, parts: &[Part<'_>], directory: &Path) -> PathBuf {
    match (parts, &part.platform) {
        ([_, _, ..], Some(platform)) => directory.join(platform.to_string().replace('/', "_")),
        _ => directory.to_owned(),
    }
}

/// Unpacks an image into a directory, and puts what is stated about it beside its files.
fn fill(part: &Part<'_>, dir: &Path) -> Result<Rootfs, Error> {
    let root = unpack(part.image, dir)?;
    for image in &part.statements {
        statements::write(image, &root, dir).map_err(|source| Error::Files {
            path: dir.to_owned(),
            source,
        })?;
    }
    Ok(root)
}

fn failed(path: &Path, error: impl Into<BoxError>) -> Error {
    Error::Files {
        path: path.to_owned(),
        source: error.into(),
    }
}

fn scratch_dir(scratch: &Path) -> Result<TempDir, Error> {
    let made =
        fs_err::create_dir_all(scratch).and_then(|()| TempDir::with_prefix_in("output-", scratch));
    made.map_err(|error| failed(scratch, error))
}

fn remove(dir: TempDir) -> Result<(), Error> {
    let path = dir.path().to_owned();
    dir.close().map_err(|error| failed(&path, error))
}

fn unpack(image: &BuiltImage, dir: &Path) -> Result<Rootfs, Error> {
    let root = Rootfs::create(dir).map_err(|error| failed(dir, error))?;
    for layer in &image.manifest.layers {
        let apply = || -> Result<(), BoxError> {
            let blob = BufReader::new(open_layer(image, layer)?);
            // a layer is read to its end, where its digest is checked
            root.apply(&mut Reader::new(decompress(blob)?, Limits::default()))?;
            Ok(())
        };
        apply().map_err(|error| failed(dir, error))?;
    }
    Ok(root)
}

fn write_tar(root: &Rootfs, out: impl Write) -> Result<(), snapshot::Error> {
    let everything = snapshot::Options {
        ignore: &|_| false,
        full: false,
    };
    let changes = snapshot::changes(&mut snapshot::Tree::default(), root, &everything)?;
    let mut tar = Writer::new(out);
    snapshot::write(&changes, root, &mut tar, None)?;
    tar.finish()?;
    Ok(())
}

/// Copies all files; through a tar, which knows of hard links.
fn copy(from: &Rootfs, to: &Rootfs) -> Result<(), BoxError> {
    let (mut reader, writer) = io::pipe()?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut out = io::BufWriter::with_capacity(64 << 10, writer);
            let written = write_tar(from, &mut out);
            // a reader that is gone has an error of its own
            let _reader_is_gone = out.flush();
            written
        });
        let read = put_all(&mut reader, to);
        drop(reader);
        let written = writing.join();
        let written = written.map_err(|_| "the thread that reads the files ended early")?;
        match written {
            Err(error) if !is_broken_pipe(&error) => Err(error.into()),
            _ => read,
        }
    })
}

/// Tells whether the other end of the pipe was gone, which has an error of its own.
fn is_broken_pipe(error: &snapshot::Error) -> bool {
    let snapshot::Error::Layer(layer::Error::Write { source }) = error else {
        return false;
    };
    source.kind() == io::ErrorKind::BrokenPipe
}

fn put_all(tar: &mut impl Read, to: &Rootfs) -> Result<(), BoxError> {
    let owner = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let mut reader = Reader::new(tar, Limits::default());
    let mut batch = to.batch();
    while let Some(mut entry) = reader.next()? {
        if matches!(
            entry.kind,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. }
        ) {
            continue;
        }
        (entry.uid, entry.gid) = (owner, group);
        batch.put(&entry, &mut reader)?;
    }
    batch.finish()?;
    Ok(())
}
