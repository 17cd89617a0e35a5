//! The right to use the container's root, and one use of it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::super::inside_container;
use super::aside::{self, Aside};
use super::container::Container;
use super::enter::{self, Inside};
use super::graft::Graft;
use super::journal::{self, Header, Journal, Pinned};
use super::metadata::Metadata;
use super::plan::{self, Plan, Request};
use super::processes::Leader;
use super::undo::{self, Undo};
use super::warning::Warning;
use super::{Error, dir, lock, namespace};
use crate::layer::LayerPath;

/// The root and how to treat it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Use `/` even if this seems not to be a container.
    pub force: bool,
    /// Paths of the container that commands are to see, if it has them (`--ignore-path`).
    pub keep: Vec<LayerPath>,
    /// Mounts at or below these are to be out of commands' sight: the kaniko dir. Kubernetes' tokens always are.
    pub hide: Vec<LayerPath>,
    /// Called with the name of each change before it is made; does nothing but in tests, which kill the process there.
    pub on_step: fn(&'static str),
}

/// How many open files leaving takes.
const SPARE: usize = 8;

/// What matters about one command.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Its working directory, to warn about a place that is not part of the image.
    pub working_dir: LayerPath,
}

/// Holds the lock of a work directory. One per process and root; commands of parallel stages take turns in it.
#[derive(Debug)]
pub struct Session {
    container: Arc<Container>,
    options: Options,
    /// Closing it gives the lock back.
    _lock: OwnedFd,
    turn: Mutex<BTreeSet<Warning>>,
}

/// The image's files are in the root. Leaves when dropped.
#[derive(Debug)]
pub struct Entered<'s> {
    container: &'s Container,
    inside: Inside,
    journal: Journal,
    warnings: Vec<Warning>,
    /// Files that are open for nothing but to be closed before leaving, which takes a few, whatever else the process has open.
    spare: Vec<OwnedFd>,
    is_over: bool,
    warned: MutexGuard<'s, BTreeSet<Warning>>,
}

/// The container is as it was, and the private root is as the command left it.
#[derive(Debug)]
pub struct Left {
    /// Files of the image whose time of change moved without the command having touched them; other names of the same
    /// inode are concerned too. Directories are not listed: their time of change means nothing.
    pub refreshed: Vec<LayerPath>,
    /// What has not been said before.
    pub warnings: Vec<Warning>,
}

impl Session {
    /// Takes the lock of `work_dir`, waiting for another build to end, and brings the container back to what it was if an
    /// earlier process was killed. What that one had built is removed: `stages`, for one, so a build opens its session before
    /// it makes a private root.
    ///
    /// `work_dir` must stand directly in `root` (see [`super::WORK_DIR`]); it is created if missing, with mode 0700.
    ///
    /// # Errors
    /// [`Error::NotInContainer`] without `force`; [`Error::Work`] where running in place cannot work;
    /// [`Error::Container`] if the container could not be brought back, in which case nothing may be run in it.
    pub fn open(work_dir: &Path, root: &Path, options: Options) -> Result<Self, Error> {
        if root == Path::new("/") && !options.force && !inside_container() {
            return Err(Error::NotInContainer);
        }
        let (container, lock) = loop {
            let container = Container::open(root, work_dir, options.on_step)?;
            match lock::take(&container) {
                Ok(lock) => break (container, lock),
                // Who held the lock has removed the directory at its end.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let path = work_dir.join(lock::NAME);
                    return Err(Error::Lock { path, source });
                }
            }
        };
        undo::recover(&container)?;
        Ok(Self {
            container: Arc::new(container),
            options,
            _lock: lock,
            turn: Mutex::default(),
        })
    }

    /// Moves the container's files aside and the private root's into the root; waits for the turn of this command.
    ///
    /// `private_root` is an absolute path in the work directory. The command must not be running yet.
    ///
    /// # Errors
    /// Whatever happens, the container is as it was, or [`Error::Container`] says that it is not.
    pub fn enter(&self, private_root: &Path, options: &RunOptions) -> Result<Entered<'_>, Error> {
        let warned = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let container = &*self.container;
        let inside = private_root.strip_prefix(&container.path).ok();
        let inside = inside.map(|path| LayerPath::clean(path.as_os_str().as_encoded_bytes()));
        let private_path = inside
            .filter(|path| path.starts_with(&container.work_path) && *path != container.work_path)
            .ok_or_else(|| Error::Elsewhere {
                path: private_root.into(),
            })?;
        let private = dir::open(&container.root, &private_path);
        let private = private.map_err(|source| Error::PrivateRoot {
            path: private_root.into(),
            source,
        })?;

        let spare = (0..SPARE).map(|_| private.try_clone());
        let mut spare: Vec<OwnedFd> =
            spare
                .collect::<io::Result<_>>()
                .map_err(|source| Error::PrivateRoot {
                    path: private_root.into(),
                    source,
                })?;
        let mut immovable = BTreeSet::new();
        let (journal, plan) = loop {
            let plan = self.plan(&private, &immovable)?;
            let header = header(container, &private_path, &plan)?;
            container.step("write the journal");
            let journal = Journal::create(&container.work, header);
            let mut journal = journal.map_err(|source| Error::Journal { source })?;
            let undo = Undo(container);
            let moved = aside::move_aside(container, &plan, &mut journal);
            match moved {
                Ok(Aside::Done) => {
                    std::mem::forget(undo);
                    break (journal, plan);
                }
                Ok(Aside::Stuck(path)) => {
                    undo.finish(&journal)?;
                    if !immovable.insert(path.clone()) {
                        let source = Errno::BUSY.into();
                        return Err(Error::Move { path, source });
                    }
                }
                Err(error) => {
                    spare.clear();
                    undo.finish(&journal)?;
                    return Err(error);
                }
            }
        };
        // From here on dropping this leaves.
        let mut entered = Entered {
            container,
            inside: Inside {
                private,
                moved: Vec::new(),
                stubs: Vec::new(),
            },
            journal,
            warnings: Vec::new(),
            spare,
            is_over: false,
            warned,
        };
        let warnings = warnings(&plan, &immovable, options, &entered.inside.private)?;
        entered.warnings = entered.not_yet_said(warnings);
        container.step("say that the image is in");
        journal::set_image_in(&container.work).map_err(|source| Error::Journal { source })?;
        enter::move_in(container, &plan, &mut entered.inside)?;
        enter::let_the_clock_move_on();
        Ok(entered)
    }

    fn plan(&self, private: &OwnedFd, immovable: &BTreeSet<LayerPath>) -> Result<Plan, Error> {
        let container = &*self.container;
        let mounts = container.mounts();
        let mounts = mounts.map_err(|source| Error::Mounts { source })?;
        let request = Request {
            mounts: &mounts,
            work: &container.work_path,
            keep: &self.options.keep,
            hide: &self.options.hide,
            immovable,
        };
        let is_dir = |seen: Option<dir::Seen>| seen.map(dir::Seen::is_dir);
        let plan = plan::plan(
            &request,
            &|path| dir::look(&container.root, path).map(is_dir),
            &|path| dir::look(private, path).map(is_dir),
        );
        plan.map_err(|source| Error::Mounts { source })
    }

    /// Gives the lock back and removes the work directory if nothing else is in it.
    pub fn close(self) {
        close(&self.container);
    }

    /// Returns what does the same when a signal is about to end the process. Nothing may be entered any more then.
    ///
    /// Who waited for the lock has it when the process has ended; the next one finds at most an empty directory.
    pub fn closing(&self) -> impl FnOnce() + Send + 'static {
        let container = Arc::clone(&self.container);
        move || close(&container)
    }
}

fn close(container: &Container) {
    let work = &container.work;
    let _ = container.remove_work_tree("lost");
    for name in ["aside", "stages", "mounts", "secrets"] {
        let _ = dir::remove(work, name.as_bytes());
    }
    let _ = lock::remove(container);
    if let Some(name) = container.work_path.file_name() {
        let _ = dir::remove(&container.root, name);
    }
}

fn header(container: &Container, private_path: &LayerPath, plan: &Plan) -> Result<Header, Error> {
    let mut pinned = Vec::new();
    for path in &plan.pinned {
        let fail = |source| Error::Move {
            path: path.clone(),
            source,
        };
        let handle = dir::open(&container.root, path).map_err(fail)?;
        let seen = dir::look_at(&handle, b".").map_err(fail)?;
        pinned.push(Pinned {
            path: path.clone(),
            identity: seen.map(|seen| seen.identity).unwrap_or_default(),
            metadata: Metadata::read(&handle).map_err(fail)?,
        });
    }
    Ok(Header {
        namespace: namespace().map_err(|source| Error::Mounts { source })?,
        private_root: private_path.clone(),
        kept: plan.kept.clone(),
        pinned,
    })
}

fn warnings(
    plan: &Plan,
    immovable: &BTreeSet<LayerPath>,
    options: &RunOptions,
    private: &OwnedFd,
) -> Result<Vec<Warning>, Error> {
    let shadowed = enter::shadowed(plan, private);
    let mut warnings = shadowed.map_err(|source| Error::Mounts { source })?;
    let secrets = immovable.iter().chain(&plan.exposed).cloned();
    warnings.extend(secrets.map(|path| Warning::Visible { path }));
    let mut volumes = plan.volumes();
    volumes.retain(|path| !immovable.contains(path));
    if !volumes.is_empty() {
        warnings.push(Warning::Volumes(volumes));
    }
    if let Some(volume) = plan.covering(&options.working_dir)
        && !plan::is_expected(volume)
    {
        warnings.push(Warning::WorkingDir {
            path: options.working_dir.clone(),
            volume: volume.clone(),
        });
    }
    Ok(warnings)
}

impl Entered<'_> {
    /// What the user should know before the command runs, and has not been told yet.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Lends the command a directory or file of the work directory: it is renamed to `target`, where it hides what is
    /// there, and back to `source` when the command has ended, also if the executor is killed; unless `source` is in
    /// `secrets`, which does not outlive the executor. To be called before the command runs.
    ///
    /// `target` must not lead through a link. Missing directories above it are made and removed again.
    ///
    /// # Errors
    /// [`Error::Mount`], with `EXDEV` if a mount of the container is above the target. Then the command must not run; leaving cleans up.
    pub fn graft(&mut self, source: &Path, target: &LayerPath) -> Result<(), Error> {
        let fail = |error| Error::Mount {
            path: source.into(),
            target: target.clone(),
            source: error,
        };
        let work = self.container.path.join(self.container.work_path.as_path());
        let home = source.strip_prefix(work).ok();
        let home = home.map(|home| LayerPath::clean(home.as_os_str().as_encoded_bytes()));
        let home = home.ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
        let graft = Graft::find(self.container, &home, target).map_err(fail)?;
        let number = self.journal.grafts.len();
        let noted = self.journal.note_graft(graft.clone());
        noted.map_err(|source| Error::Journal { source })?;
        let stubs = graft.place(self.container, number).map_err(fail)?;
        self.inside.stubs.push(stubs);
        Ok(())
    }

    /// Notes the leader of the command's session, so that the command can be ended should this process be killed.
    ///
    /// To be called after the leader exists, dead or alive but not reaped, and before it runs anything.
    ///
    /// # Errors
    /// [`Error::Journal`]; then the command must not run.
    pub fn record_run(&mut self, leader_pid: u32) -> Result<(), Error> {
        let fail = |source| Error::Journal { source };
        let pid = i32::try_from(leader_pid);
        let pid = pid.map_err(|_| fail(io::ErrorKind::InvalidInput.into()))?;
        let leader = Leader::find(pid).map_err(fail)?;
        self.container.step("note the command");
        self.journal.note_run(leader).map_err(fail)
    }

    /// Ends what is left of the command's session, moves everything back, and says what follows for the snapshot.
    ///
    /// # Errors
    /// [`Error::Container`] if the container is not as it was: then the private root must not be removed, since things of
    /// the container may be in it. Otherwise the container is well: [`Error::Kill`], or [`Error::Image`] if the private root lacks something.
    pub fn leave(mut self) -> Result<Left, Error> {
        self.spare.clear();
        let out = undo::undo(self.container, &self.journal, Some(&self.inside));
        self.is_over = true;
        let out = out?;
        Ok(Left {
            refreshed: out.refreshed,
            warnings: self.not_yet_said(out.warnings),
        })
    }

    fn not_yet_said(&mut self, mut warnings: Vec<Warning>) -> Vec<Warning> {
        warnings.retain(|warning| self.warned.insert(warning.clone()));
        warnings
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.spare.clear();
        if !self.is_over
            && let Err(error) = undo::undo(self.container, &self.journal, Some(&self.inside))
        {
            undo::log(&error);
        }
    }
}
