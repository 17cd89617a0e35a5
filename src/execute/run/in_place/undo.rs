//! Undoing what the journal says, in this process or a later one.

use std::io;
use std::os::fd::OwnedFd;

use super::aside;
use super::container::{Container, Failure};
use super::enter::Inside;
use super::journal::{self, Journal};
use super::leave::{self, Out};
use super::{Error, dir, processes};
use crate::layer::LayerPath;

/// What of the work directory is worthless after a process that was killed.
const LEFTOVERS: [&str; 8] = [
    "stages",
    "images",
    "secrets",
    "lent",
    "lost",
    "discarded",
    "under",
    "trial",
];

/// Puts back what was moved aside when dropped, which only happens while unwinding.
pub(super) struct Undo<'a>(pub(super) &'a Container);

impl Undo<'_> {
    pub(super) fn finish(self, journal: &Journal) -> Result<(), Error> {
        let container = self.0;
        std::mem::forget(self);
        undo(container, journal, None).map(drop)
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // The journal on disk says as much as the one in memory.
        let journal = Journal::open(&self.0.work).map_err(|source| Error::Journal { source });
        let undone = journal.and_then(|journal| match journal {
            Some(journal) => undo(self.0, &journal, None).map(drop),
            None => Ok(()),
        });
        if let Err(error) = undone {
            log(&error);
        }
    }
}

/// Reports an error where it cannot be returned.
pub(super) fn log(error: &Error) {
    tracing::error!(error = error as &dyn std::error::Error, "{error}");
}

/// Undoes what the journal says, as far as it was done. Does all it can before it reports what it could not.
pub(super) fn undo(
    container: &Container,
    journal: &Journal,
    inside: Option<&Inside>,
) -> Result<Out, Error> {
    let killed = journal.leader.map_or(Ok(()), processes::kill_session);
    let broken = |source| Error::Container {
        path: LayerPath::root(),
        more: 0,
        source,
    };
    let mut out = Out::default();
    if journal::is_image_in(&container.work).map_err(broken)? {
        let stuck = take_grafts_back(container, journal, inside);
        let header = &journal.header;
        match inside {
            Some(Inside { private, moved, .. }) => {
                out = leave::move_out(container, header, private, moved);
            }
            None => match discarded(container, journal) {
                Ok(private) => out = leave::move_out(container, header, private, &[]),
                Err(source) => out.failures.push(Failure::new(&LayerPath::root(), source)),
            },
        }
        out.failures.extend(stuck);
        container.step("say that the image is out");
        journal::clear_image_in(&container.work).map_err(broken)?;
    }
    let failures = aside::restore(container, journal);
    if let Some((path, source, more)) = first(failures) {
        return Err(Error::Container { path, more, source });
    }
    container.step("remove the journal");
    Journal::remove(&container.work).map_err(broken)?;
    killed.map_err(|source| Error::Kill { source })?;
    match first(std::mem::take(&mut out.failures)) {
        Some((path, source, more)) => Err(Error::Image { path, more, source }),
        None => Ok(out),
    }
}

fn take_grafts_back(
    container: &Container,
    journal: &Journal,
    inside: Option<&Inside>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (number, graft) in journal.grafts.iter().enumerate().rev() {
        let stubs = inside.and_then(|inside| inside.stubs.get(number));
        if let Err(source) = graft.take_back(container, number, stubs) {
            failures.push(Failure::new(&graft.target, source));
        }
    }
    if let Err(error) = dir::remove_if_empty(&container.work, &LayerPath::clean("under")) {
        failures.push(Failure::new(&container.work_path, error));
    }
    failures
}

fn first(failures: Vec<Failure>) -> Option<(LayerPath, io::Error, usize)> {
    for failure in failures.iter().skip(1) {
        tracing::debug!(path = %failure.path, error = %failure.source, "could not be moved");
    }
    let more = failures.len().saturating_sub(1);
    let failure = failures.into_iter().next()?;
    Some((failure.path, failure.source, more))
}

/// Opens the private root of a process that was killed, or something in its stead.
fn discarded(container: &Container, journal: &Journal) -> io::Result<OwnedFd> {
    match dir::find(&container.root, &journal.header.private_root)? {
        Some(private) => Ok(private),
        None => container.work_dir("discarded"),
    }
}

/// Brings the container back after a process that was killed, and removes what that had made.
pub(super) fn recover(container: &Container) -> Result<(), Error> {
    let journal = Journal::open(&container.work).map_err(|source| Error::Journal { source })?;
    if let Some(journal) = journal {
        tracing::info!(
            "bringing back this container's files, which an earlier executor had moved aside"
        );
        match undo(container, &journal, None) {
            // That image is thrown away anyway.
            Ok(_) | Err(Error::Image { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for name in LEFTOVERS {
        container
            .remove_work_tree(name)
            .map_err(|source| Error::Work {
                path: container
                    .path
                    .join(container.work_path.join(name).as_path()),
                source,
            })?;
    }
    Ok(())
}
