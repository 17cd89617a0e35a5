//! Going through the sequence of one mode in a child, in an empty root.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;

use super::child::{self, Ended, Surroundings};
use super::failure::Step;
use super::job::{Job, Mode};
use super::output::Output;
use super::select::{Attempt, Error, IsolationOptions};
use crate::rootfs;

/// Finds out whether a mode works here.
pub fn trial(
    options: &IsolationOptions<'_>,
    name: &'static str,
    mode: Mode,
    prepare: &mut dyn FnMut(i32) -> Result<(), Ended>,
) -> Result<Result<(), (Attempt, Step)>, Error> {
    let in_work_dir = |source| Error::WorkDir {
        path: options.work_dir.to_owned(),
        source,
    };
    let root = EmptyRoot::new(options.work_dir).map_err(in_work_dir)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(&root.0, flags, FileMode::empty());
    let handle = handle.map_err(|error| in_work_dir(error.into()))?;
    if let Mode::Namespaces { user: true, .. } = mode {
        // Whoever is root in there has to be able to write.
        rustix::fs::chmod(&root.0, FileMode::from_raw_mode(0o777))
            .map_err(|error| in_work_dir(error.into()))?;
    }
    let job = Job {
        mode,
        command: None,
        lent: Vec::new(),
        huge_pages: false,
    };
    let descriptors = [handle.as_fd()];
    let around = Surroundings {
        executable: options.executable,
        interrupts: &[options.interrupt],
        output: &Output::Own,
    };
    match child::run(&around, &job, prepare, &descriptors) {
        Ok(_) => Ok(Ok(())),
        Err(Ended::Failed(failure)) => {
            if says_nothing(Errno::from_raw_os_error(failure.errno)) {
                return Err(Error::Trial(failure.error()));
            }
            let attempt = Attempt {
                name,
                step: failure.step.to_string(),
                source: failure.error(),
            };
            tracing::debug!("Isolation does not work: {attempt}");
            Ok(Err((attempt, failure.step)))
        }
        Err(Ended::Interrupted(interrupted)) => Err(interrupted.into()),
        Err(Ended::InPlace(error)) => Err(Error::InPlace(error)),
        Err(Ended::Broken(error)) => Err(Error::Trial(error)),
    }
}

/// Tells whether a trial failed for a shortage of this moment: whether the mode works is still open, and a lesser one must not be taken.
pub fn says_nothing(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE)
}

/// A directory that goes with the value, also when no more files can be opened.
struct EmptyRoot(PathBuf);

impl EmptyRoot {
    fn new(parent: &Path) -> io::Result<Self> {
        let fresh = tempfile::Builder::new()
            .prefix(".trial-")
            .tempdir_in(parent)?;
        Ok(Self(fresh.keep()))
    }
}

impl Drop for EmptyRoot {
    fn drop(&mut self) {
        let removed = rustix::fs::rmdir(&self.0).map_err(io::Error::from);
        if let Err(error) = removed.or_else(|_| rootfs::remove_dir_all(&self.0)) {
            tracing::debug!("cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_root_goes_with_what_came_into_it() {
        let parent = tempfile::tempdir().unwrap();
        for name in [None, Some("proc")] {
            let root = EmptyRoot::new(parent.path()).unwrap();
            if let Some(name) = name {
                fs_err::create_dir(root.0.join(name)).unwrap();
            }
            assert!(root.0.is_dir());
            drop(root);
            assert_eq!(fs_err::read_dir(parent.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn shortages_say_nothing_of_a_mode() {
        assert!(says_nothing(Errno::MFILE));
        // What unshare answers where no namespaces may be made.
        for refusal in [Errno::PERM, Errno::NOSPC, Errno::USERS, Errno::INVAL] {
            assert!(!says_nothing(refusal), "{refusal}");
        }
    }
}
