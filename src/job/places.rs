//! Whether outputs can be written, as far as can be told before the work. Writes nothing.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use super::Error;
use crate::cli::options::{Options, Output};
use crate::output;
use crate::output::export::{Export, Place, Stdout};

/// An archive is not for a terminal.
#[derive(Debug, thiserror::Error)]
#[error("standard output is a terminal: let a file or a program take it")]
pub struct TerminalError;

/// Checks the paths of what is to be written beside the registry.
///
/// # Errors
/// What writing it would fail with after the build.
pub fn check(output: &Output) -> Result<(), Error> {
    let files = [
        &output.digest_file,
        &output.image_name_with_digest_file,
        &output.image_name_tag_with_digest_file,
    ];
    let files = || {
        let paths = files.iter().filter_map(|file| file.as_deref());
        paths.filter(|file| file.starts_with('/')).map(Path::new)
    };
    let exported = output
        .exports
        .iter()
        .filter_map(|export| match export.place() {
            Some(Place::File(path)) => Some(path.as_path()),
            _ => None,
        });
    let archives: Vec<&Path> = output
        .tar_path
        .as_deref()
        .into_iter()
        .chain(exported)
        .collect();
    for file in files().chain(archives.iter().copied()) {
        if file.is_dir() {
            return Err(refused("write to", file, io::ErrorKind::IsADirectory));
        }
    }
    let mut parents = archives.iter().filter_map(|path| path.parent());
    if let Some(parent) = parents.find(|parent| !parent.is_dir()) {
        return Err(refused("open", parent, io::ErrorKind::NotFound));
    }
    let exported = output.exports.iter().filter_map(|export| match export {
        Export::Files(path) | Export::Layout(path) | Export::DockerLayout(path) => Some(path),
        _ => None,
    });
    let directories: Vec<&Path> = output
        .oci_layout_path
        .iter()
        .chain(exported)
        .map(PathBuf::as_path)
        .collect();
    let mut wrong = directories.iter().copied();
    if let Some(path) = wrong.find(|path| path.exists() && !path.is_dir()) {
        return Err(refused("write to", path, io::ErrorKind::NotADirectory));
    }
    files()
        .chain(archives)
        .chain(directories)
        .try_for_each(can_be_made)
}

/// Checks that a path may be written to, or made where it is not there yet.
fn can_be_made(path: &Path) -> Result<(), Error> {
    let is_writable = |path: &Path| {
        let write = Access::WRITE_OK;
        rustix::fs::accessat(CWD, path, write, AtFlags::EACCESS)
    };
    if path.is_symlink() || is_writable(path).is_ok() {
        return Ok(());
    }
    // what is a file may be replaced, what is missing is made below what is there
    let mut above = path.ancestors().skip(usize::from(!path.is_dir()));
    let Some(there) = above.find(|above| above.exists()) else {
        return Ok(());
    };
    match is_writable(there) {
        Err(error @ (Errno::ROFS | Errno::ACCESS)) => Err(Error::Output(output::Error::Io {
            action: "write to",
            path: there.to_owned(),
            source: error.into(),
        })),
        // A sandbox that does not know the question says nothing of the path.
        _ => Ok(()),
    }
}

/// Takes hold of standard output if an archive goes there.
///
/// # Errors
/// [`Error::Terminal`] if somebody looks at it.
pub fn stdout(options: &Options) -> Result<Option<Stdout>, Error> {
    let mut places = options.output.exports.iter().filter_map(Export::place);
    let is_wanted = places.any(|place| *place == Place::Stdout);
    if !is_wanted || options.build.dry_run || options.build.check {
        return Ok(None);
    }
    if io::stdout().is_terminal() {
        return Err(Error::Terminal(TerminalError));
    }
    let taken = Stdout::take();
    taken.map(Some).map_err(|source| {
        Error::Output(output::Error::Io {
            action: "write to",
            path: "standard output".into(),
            source,
        })
    })
}

fn refused(action: &'static str, path: &Path, kind: io::ErrorKind) -> Error {
    Error::Output(output::Error::Io {
        action,
        path: path.to_owned(),
        source: kind.into(),
    })
}
