//! Moving the container's things out of the way, and back.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{self, Mode};
use rustix::io::Errno;

use super::Error;
use super::container::{Container, Failure};
use super::dir;
use super::journal::Journal;
use super::metadata::Metadata;
use super::plan::Plan;
use crate::layer::LayerPath;

/// How moving things aside ended.
pub(super) enum Aside {
    Done,
    /// This path cannot be moved, so it has to be kept.
    Stuck(LayerPath),
}

/// Moves every entry of the pinned directories that is neither kept nor pinned into the work directory.
pub(super) fn move_aside(
    container: &Container,
    plan: &Plan,
    journal: &mut Journal,
) -> Result<Aside, Error> {
    let mut mover = Mover { container, journal };
    for pinned in &plan.pinned {
        let fail = |source| Error::Move {
            path: pinned.clone(),
            source,
        };
        let from = dir::open(&container.root, pinned).map_err(fail)?;
        container.step("make a place aside");
        let to = container.create_aside(pinned).map_err(fail)?;
        for name in dir::names(&from).map_err(fail)? {
            let path = pinned.join(&name);
            if plan.keeps(&path) || plan.pins(&path) {
                continue;
            }
            match mover.put(&from, &to, &name, &path) {
                Ok(()) => {}
                Err((path, Errno::BUSY | Errno::PERM | Errno::ACCESS)) => {
                    return Ok(Aside::Stuck(path));
                }
                Err((path, errno)) => {
                    let source = errno.into();
                    return Err(Error::Move { path, source });
                }
            }
        }
    }
    Ok(Aside::Done)
}

struct Mover<'a> {
    container: &'a Container,
    journal: &'a mut Journal,
}

impl Mover<'_> {
    /// Moves one entry; a directory that the kernel does not rename is rebuilt there, its children moved one by one.
    fn put(
        &mut self,
        from: impl AsFd,
        to: impl AsFd,
        name: &[u8],
        path: &LayerPath,
    ) -> Result<(), (LayerPath, Errno)> {
        self.container.step("move aside");
        match dir::rename(&from, name, &to) {
            Ok(()) => return Ok(()),
            Err(Errno::XDEV) => {}
            Err(errno) => return Err((path.clone(), errno)),
        }
        let fail = |error: io::Error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            (path.clone(), errno)
        };
        let source = dir::open(&from, &LayerPath::clean(name)).map_err(|error| {
            // Not a directory: then nothing can be done about it.
            match dir::is_absent(&error) {
                true => (path.clone(), Errno::XDEV),
                false => fail(error),
            }
        })?;
        let metadata = Metadata::read(&source).map_err(fail)?;
        let noted = self.journal.note_split(path, metadata.clone());
        noted.map_err(fail)?;
        self.container.step("rebuild a directory aside");
        fs::mkdirat(&to, name, Mode::RWXU).map_err(|errno| (path.clone(), errno))?;
        let target = dir::open(&to, &LayerPath::clean(name)).map_err(fail)?;
        for child in dir::names(&source).map_err(fail)? {
            self.put(&source, &target, &child, &path.join(&child))?;
        }
        metadata.write(&target).map_err(fail)?;
        self.container.step("remove the emptied directory");
        dir::remove(from, name).map_err(|errno| (path.clone(), errno))
    }
}

/// Moves everything back and gives every directory concerned what it had. Goes on after a failure.
///
/// Meant to be repeated: it does what is left to do.
pub(super) fn restore(container: &Container, journal: &Journal) -> Vec<Failure> {
    let header = &journal.header;
    let pinned: BTreeSet<&LayerPath> = header.pinned.iter().map(|pinned| &pinned.path).collect();
    let mut failures = Vec::new();
    for path in &pinned {
        if let Err(source) = put_back(container, journal, path, &pinned, &mut failures) {
            failures.push(Failure {
                path: (*path).clone(),
                source,
            });
        }
    }
    for path in pinned.iter().rev() {
        container.step("remove the place aside");
        let aside = LayerPath::clean("aside").join(path.as_bytes());
        match dir::remove_if_empty(&container.work, &aside) {
            Ok(true) => {}
            Ok(false) => failures.push(Failure::new(path, Errno::NOTEMPTY)),
            Err(source) => failures.push(Failure::new(path, source)),
        }
    }
    let split = journal
        .split
        .iter()
        .map(|(path, metadata)| (path, metadata));
    let stayed = header.pinned.iter().map(|p| (&p.path, &p.metadata));
    let mut changed: Vec<(&LayerPath, &Metadata)> = split.chain(stayed).collect();
    changed.sort_by(|one, other| other.0.cmp(one.0));
    for (path, metadata) in changed {
        container.step("restore what a directory was");
        let written = dir::find(&container.root, path)
            .and_then(|found| found.map_or(Ok(()), |dir| metadata.write(dir)));
        if let Err(source) = written {
            failures.push(Failure::new(path, source));
        }
    }
    failures
}

/// Moves what lies aside of one pinned directory back into it.
fn put_back(
    container: &Container,
    journal: &Journal,
    pinned: &LayerPath,
    all_pinned: &BTreeSet<&LayerPath>,
    failures: &mut Vec<Failure>,
) -> io::Result<()> {
    let Some(from) = container.aside(pinned)? else {
        return Ok(());
    };
    let to = dir::create(&container.root, pinned)?;
    for name in dir::names(&from)? {
        let path = pinned.join(&name);
        if !all_pinned.contains(&path) {
            put_back_entry(container, journal, &from, &to, &name, &path, failures);
        }
    }
    Ok(())
}

fn put_back_entry(
    container: &Container,
    journal: &Journal,
    from: impl AsFd,
    to: impl AsFd,
    name: &[u8],
    path: &LayerPath,
    failures: &mut Vec<Failure>,
) {
    container.step("move back");
    let mut result = dir::rename(&from, name, &to);
    if result == Err(Errno::EXIST) {
        if journal.has_split(path)
            && let Ok(source) = dir::open(&from, &LayerPath::clean(name))
            && let Ok(target) = dir::open(&to, &LayerPath::clean(name))
        {
            for child in dir::names(&source).unwrap_or_default() {
                let path = path.join(&child);
                put_back_entry(
                    container, journal, &source, &target, &child, &path, failures,
                );
            }
            container.step("remove the rebuilt directory");
            result = dir::remove(&from, name);
        } else {
            result = container
                .clear_way(&to, name)
                .and_then(|()| dir::rename(&from, name, &to));
        }
    }
    if let Err(errno) = result {
        failures.push(Failure::new(path, errno));
    }
}
