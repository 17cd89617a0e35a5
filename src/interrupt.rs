//! Being told to stop: SIGTERM, SIGINT, SIGHUP, SIGQUIT and the end of the time allowed, and what must be put back before the process may end.
//!
//! The build runs on a thread of its own. When a signal arrives the process ends as soon as nobody holds it back, so
//! only code that changes something outside the executor's own directories needs to know about signals: it takes a
//! [`Hold`], undoes its change, and drops the hold.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A shared view of whether the executor was told to stop.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Shared>);

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupt")
            .field("cause", &self.state().cause)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cause: Option<Interrupted>,
    next_hold: u64,
    holds: BTreeMap<u64, Box<dyn Fn(i32) + Send>>,
    last_acts: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
}

/// Something to be done should a signal end the process; forgotten when this is dropped.
#[derive(Debug)]
pub struct LastAct {
    interrupt: Interrupt,
    id: u64,
}

/// Keeps the process from ending on a signal while it lives.
pub struct Hold {
    interrupt: Interrupt,
    id: u64,
}

/// The executor was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("stopped by {}", name(*.0))]
    Signal(i32),
    /// With the time that was allowed.
    #[error("stopped after the {0:?} that --timeout allows")]
    TimedOut(Duration),
}

impl Interrupted {
    /// Returns the exit status of a process that was stopped like this.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(255),
            Self::TimedOut(_) => 1,
        }
    }
}

fn name(signal: i32) -> String {
    match signal {
        libc::SIGTERM => "SIGTERM".into(),
        libc::SIGINT => "SIGINT".into(),
        libc::SIGHUP => "SIGHUP".into(),
        libc::SIGQUIT => "SIGQUIT".into(),
        other => format!("signal {other}"),
    }
}

impl Interrupt {
    /// Makes one that only [`Interrupt::raise`] sets off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Catches SIGTERM, SIGINT, SIGHUP and SIGQUIT from now on, also as pid 1, where signals without a handler are lost.
    ///
    /// SIGHUP and SIGQUIT stay ignored if whoever started this process wants it so, as `nohup` and shells without job control do.
    pub fn install() -> io::Result<Self> {
        let interrupt = Self::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let caught = {
            let _context = runtime.enter();
            // Any handler will do: where SIGCHLD is ignored, the kernel reaps children before their status was asked for.
            drop(signal(SignalKind::child())?);
            catch(
                &[libc::SIGTERM, libc::SIGINT],
                &[libc::SIGHUP, libc::SIGQUIT],
            )?
        };
        let raised = interrupt.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    let mut caught = caught;
                    loop {
                        raised.raise(next(&mut caught).await);
                    }
                })
            })?;
        Ok(interrupt)
    }

    /// Acts as if `signal` had arrived: every hold's `stop` is called, each time.
    pub fn raise(&self, signal: i32) {
        self.stop(Interrupted::Signal(signal), signal);
    }

    /// Acts like a SIGTERM once `limit` has passed, unless the process has ended by then.
    pub fn expire_after(&self, limit: Duration) -> io::Result<()> {
        let expired = self.clone();
        std::thread::Builder::new()
            .name("timeout".into())
            .spawn(move || {
                std::thread::sleep(limit);
                expired.stop(Interrupted::TimedOut(limit), libc::SIGTERM);
            })?;
        Ok(())
    }

    fn stop(&self, cause: Interrupted, signal: i32) {
        let mut state = self.state();
        state.cause.get_or_insert(cause);
        for stop in state.holds.values() {
            stop(signal);
        }
        self.0.changed.notify_all();
    }

    /// Keeps the process alive until the hold is dropped. If a signal arrives meanwhile, `stop` is called on another thread;
    /// it should make the holder finish soon (kill a child, say), return quickly, and not touch this interrupt.
    ///
    /// # Errors
    /// [`Interrupted`] if that was there first: then nothing new may begin.
    pub fn hold(&self, stop: impl Fn(i32) + Send + 'static) -> Result<Hold, Interrupted> {
        let mut state = self.state();
        if let Some(cause) = state.cause {
            return Err(cause);
        }
        let id = state.next_hold;
        state.next_hold += 1;
        state.holds.insert(id, Box::new(stop));
        Ok(Hold {
            interrupt: self.clone(),
            id,
        })
    }

    /// Has `act` done before a signal ends the process, after the last hold is gone; for work files, which nobody misses if
    /// it is not done.
    pub fn last_act(&self, act: impl FnOnce() + Send + 'static) -> LastAct {
        let mut state = self.state();
        let id = state.next_hold;
        state.next_hold += 1;
        state.last_acts.insert(id, Box::new(act));
        LastAct {
            interrupt: self.clone(),
            id,
        }
    }

    /// Does what is left to do before the process may end.
    pub fn finish(&self) {
        let acts = std::mem::take(&mut self.state().last_acts);
        for act in acts.into_values() {
            act();
        }
    }

    /// Fails if a signal has arrived; for the places between two steps.
    pub fn check(&self) -> Result<(), Interrupted> {
        match self.state().cause {
            Some(cause) => Err(cause),
            None => Ok(()),
        }
    }

    /// Blocks until a signal has arrived and the last hold is gone.
    pub fn wait(&self) -> Interrupted {
        let mut state = self.state();
        loop {
            match state.cause {
                Some(cause) if state.holds.is_empty() => return cause,
                _ => {
                    let waited = self.0.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts to listen to signals: to `always`, and to those of `unless_ignored` that are not ignored now.
fn catch(always: &[i32], unless_ignored: &[i32]) -> io::Result<Vec<(i32, Signal)>> {
    // Without /proc nothing is known to be ignored.
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    let heeded = unless_ignored
        .iter()
        .filter(|number| ignored & (1 << (*number - 1)) == 0);
    let caught = always.iter().chain(heeded);
    caught
        .map(|number| Ok((*number, signal(SignalKind::from_raw(*number))?)))
        .collect()
}

/// Returns the mask of ignored signals that a `status` file of `/proc` tells.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

/// Waits for the next of the signals.
async fn next(caught: &mut [(i32, Signal)]) -> i32 {
    std::future::poll_fn(|context| {
        for (number, signal) in caught.iter_mut() {
            if signal.poll_recv(context).is_ready() {
                return Poll::Ready(*number);
            }
        }
        Poll::Pending
    })
    .await
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.interrupt.state().holds.remove(&self.id);
        self.interrupt.0.changed.notify_all();
    }
}

impl Drop for LastAct {
    fn drop(&mut self) {
        self.interrupt.state().last_acts.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_process_waits_for_the_last_hold() {
        let interrupt = Interrupt::new();
        let (sender, receiver) = mpsc::channel();
        let hold = interrupt.hold(move |signal| sender.send(signal).unwrap());
        let hold = hold.unwrap();
        let waiter = std::thread::spawn({
            let interrupt = interrupt.clone();
            move || interrupt.wait()
        });
        interrupt.raise(libc::SIGTERM);
        interrupt.raise(libc::SIGINT);
        assert_eq!(receiver.recv(), Ok(libc::SIGTERM));
        assert_eq!(receiver.recv(), Ok(libc::SIGINT));
        assert!(interrupt.hold(|_| ()).is_err(), "nothing new begins");
        assert!(!waiter.is_finished());
        drop(hold);
        let interrupted = waiter.join().unwrap();
        assert_eq!(interrupted.exit_status(), 143, "the first signal counts");
        assert_eq!(interrupted.to_string(), "stopped by SIGTERM");
        assert_eq!(interrupt.check(), Err(interrupted));
    }

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000004\nSigIgn:\t0000000000001005\n";
        assert_eq!(ignored(status), 0x1005);
        assert_eq!(ignored("Name:\tx\n"), 0);
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn time_runs_out() {
        let interrupt = Interrupt::new();
        let (sender, receiver) = mpsc::channel();
        let hold = interrupt.hold(move |signal| sender.send(signal).unwrap());
        let limit = Duration::from_millis(1500);
        interrupt.expire_after(limit).unwrap();
        assert_eq!(receiver.recv(), Ok(libc::SIGTERM));
        drop(hold.unwrap());
        let interrupted = interrupt.wait();
        assert_eq!(interrupted.exit_status(), 1);
        let text = "stopped after the 1.5s that --timeout allows";
        assert_eq!(interrupted.to_string(), text);
    }
}
