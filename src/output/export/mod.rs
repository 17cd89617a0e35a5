//! `--output`: an image, or the files in it, as directories and archives.
//!
//! An archive goes to a file, or to standard output, which then belongs to it alone: [`Stdout::take`] gives whatever else would be
//! printed there to standard error.

mod archive;
mod files;
mod statements;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::file::{OutputFile, io_error};
use super::{Error, Product, layout, tarball};

/// One thing to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// The files of the image into a directory.
    Files(PathBuf),
    /// The same as an archive.
    FilesArchive(Place),
    /// An OCI layout.
    Layout(PathBuf),
    /// An OCI layout whose image is one of Docker's.
    DockerLayout(PathBuf),
    /// The same as an archive, with the names that the image has in it.
    LayoutArchive { place: Place, names: Vec<String> },
    /// An archive as `docker save` writes it.
    Docker { place: Place, names: Vec<String> },
}

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    Stdout,
}

impl Export {
    /// Returns where an archive goes; a directory is none.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Files(_) | Self::Layout(_) | Self::DockerLayout(_) => None,
            Self::FilesArchive(place)
            | Self::LayoutArchive { place, .. }
            | Self::Docker { place, .. } => Some(place),
        }
    }
}

/// The standard output of this process, for an archive alone.
#[derive(Debug)]
pub struct Stdout(File);

impl Stdout {
    /// Takes hold of it. What is printed there from now on, by commands too, comes out on standard error.
    pub fn take() -> io::Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self(own.into()))
    }
}

/// Writes `export`; files are unpacked below `scratch`, which is a directory for what goes again.
///
/// # Errors
/// Those of the disk; [`Error::Files`] if the image cannot be unpacked.
pub fn write(
    export: &Export,
    product: &Product,
    scratch: &Path,
    stdout: Option<&Stdout>,
) -> Result<(), Error> {
    match export {
        Export::Files(directory) => files::into_directory(product, directory, scratch),
        Export::Layout(directory) | Export::DockerLayout(directory) => {
            layout::write(directory, product)
        }
        Export::FilesArchive(place) => to_place(place, stdout, |out, path| {
            files::into_archive(product, out, path, scratch)
        }),
        Export::LayoutArchive { place, names } => to_place(place, stdout, |out, path| {
            archive::write(product, names, out, path)
        }),
        Export::Docker { place, names } => to_place(place, stdout, |out, path| {
            // one image, as was checked with the options
            tarball::write_to(out, path, &product.images()[0], names)
        }),
    }
}

/// Opens a place, lets `write` fill it, and puts a file there once it is whole.
fn to_place(
    place: &Place,
    stdout: Option<&Stdout>,
    write: impl FnOnce(&mut dyn Write, &Path) -> Result<(), Error>,
) -> Result<(), Error> {
    match (place, stdout) {
        (Place::File(path), _) => {
            let mut file = BufWriter::with_capacity(64 << 10, OutputFile::create(path)?);
            write(&mut file, path)?;
            let file = file.into_inner();
            file.map_err(|e| io_error("write to", path, e.into_error()))?
                .commit()
        }
        (Place::Stdout, Some(Stdout(file))) => {
            let path = Path::new("standard output");
            let mut out = BufWriter::with_capacity(64 << 10, file);
            write(&mut out, path)?;
            out.flush()
                .map_err(|source| io_error("write to", path, source))
        }
        // it was taken with the options
        (Place::Stdout, None) => Ok(()),
    }
}
