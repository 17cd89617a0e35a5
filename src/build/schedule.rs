//! In which order stages are built, and how many at a time.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What each stage waits for, by position; always something further up.
pub type Dependencies = Vec<BTreeSet<usize>>;

/// Calls `work` for every stage, after all that it waits for, on up to `jobs` threads; on this thread in file order if `jobs` is 1.
///
/// # Errors
/// The first error there is. Nothing new begins after it; `halt` is called to end what is under way, which is waited for, and whose
/// errors are dropped.
pub fn run<E: Send>(
    dependencies: &Dependencies,
    jobs: usize,
    work: impl Fn(usize) -> Result<(), E> + Sync,
    halt: impl Fn() + Sync,
) -> Result<(), E> {
    let schedule = Schedule {
        dependencies,
        state: Mutex::new(State {
            started: BTreeSet::new(),
            done: BTreeSet::new(),
            failure: None,
        }),
        changed: Condvar::new(),
    };
    let (schedule, work, halt) = (&schedule, &work, &halt);
    std::thread::scope(|scope| {
        for _ in 1..jobs.min(dependencies.len()) {
            let worker = std::thread::Builder::new().name("stage".to_owned());
            // fewer threads than wished for are as good
            let _started = worker.spawn_scoped(scope, move || schedule.work(work, halt));
        }
        schedule.work(work, halt);
    });
    match schedule.state().failure.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Tells whether any of the stages `wanted`, in file order, could be built at the same time.
pub fn is_parallel(dependencies: &Dependencies, wanted: &[usize]) -> bool {
    // in a chain each stage waits for the one before it
    let mut neighbours = wanted.windows(2);
    neighbours.any(|pair| !dependencies[pair[1]].contains(&pair[0]))
}

struct Schedule<'d, E> {
    dependencies: &'d Dependencies,
    state: Mutex<State<E>>,
    changed: Condvar,
}

struct State<E> {
    started: BTreeSet<usize>,
    done: BTreeSet<usize>,
    failure: Option<E>,
}

impl<E> Schedule<'_, E> {
    /// Works until there is nothing left to begin.
    fn work(&self, work: &impl Fn(usize) -> Result<(), E>, halt: &impl Fn()) {
        while let Some(position) = self.next() {
            match work(position) {
                Ok(()) => drop(self.state().done.insert(position)),
                Err(error) => {
                    self.state().failure.get_or_insert(error);
                    // only now, or what is ended by it could be the first to fail
                    halt();
                }
            }
            self.changed.notify_all();
        }
    }

    /// Waits for a stage that can begin; the first of them in file order.
    fn next(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            if state.failure.is_some() || state.started.len() == self.dependencies.len() {
                return None;
            }
            let is_ready = |position: &usize| {
                !state.started.contains(position)
                    && self.dependencies[*position].is_subset(&state.done)
            };
            if let Some(position) = (0..self.dependencies.len()).find(is_ready) {
                state.started.insert(position);
                return Some(position);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn dependencies(edges: &[&[usize]]) -> Dependencies {
        let set = |edges: &&[usize]| edges.iter().copied().collect();
        edges.iter().map(set).collect()
    }

    #[test]
    fn one_job_goes_in_file_order() {
        let order = Mutex::new(Vec::new());
        let graph = dependencies(&[&[], &[0], &[], &[1, 2]]);
        run(
            &graph,
            1,
            |position| {
                order.lock().unwrap().push(position);
                Ok::<(), ()>(())
            },
            || (),
        )
        .unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn nothing_begins_before_what_it_waits_for() {
        let graph = dependencies(&[&[], &[], &[0], &[0, 1], &[], &[2, 3, 4], &[5]]);
        for jobs in [1, 2, 8] {
            let done = Mutex::new(BTreeSet::new());
            run(
                &graph,
                jobs,
                |position| {
                    assert!(graph[position].is_subset(&done.lock().unwrap()));
                    done.lock().unwrap().insert(position);
                    Ok::<(), ()>(())
                },
                || (),
            )
            .unwrap();
            assert_eq!(done.lock().unwrap().len(), graph.len(), "{jobs} jobs");
        }
    }

    #[test]
    fn what_can_be_built_side_by_side_is() {
        let together = Barrier::new(2);
        // each of the two waits for the other
        run(
            &dependencies(&[&[], &[]]),
            2,
            |_| {
                together.wait();
                Ok::<(), ()>(())
            },
            || (),
        )
        .unwrap();
    }

    #[test]
    fn after_an_error_nothing_begins() {
        let graph = dependencies(&[&[], &[0], &[1], &[]]);
        for jobs in [1, 3] {
            let begun = Mutex::new(Vec::new());
            let result = run(
                &graph,
                jobs,
                |position| {
                    begun.lock().unwrap().push(position);
                    match position {
                        1 => Err("one"),
                        _ => Ok(()),
                    }
                },
                || (),
            );
            assert_eq!(result, Err("one"), "{jobs} jobs");
            assert!(!begun.lock().unwrap().contains(&2), "{jobs} jobs");
        }
    }

    #[test]
    fn what_is_halted_is_not_the_first_error() {
        let (halted, both) = (Barrier::new(2), Barrier::new(2));
        let work = |position| {
            both.wait();
            if position == 1 {
                halted.wait();
                return Err("halted");
            }
            Err("failed")
        };
        let is_first = Mutex::new(true);
        let halt = || {
            if std::mem::take(&mut *is_first.lock().unwrap()) {
                halted.wait();
                // long enough for the other to fail too
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        };
        let result = run(&dependencies(&[&[], &[]]), 2, work, halt);
        assert_eq!(result, Err("failed"));
    }

    #[test]
    fn a_chain_is_not_parallel() {
        type Case<'a> = (&'a [&'a [usize]], &'a [usize], bool);
        #[rustfmt::skip] // a table keeps its columns
        let cases: [Case<'_>; 6] = [
            (&[],                        &[],        false),
            (&[&[]],                     &[0],       false),
            (&[&[], &[0], &[0, 1]],      &[0, 1, 2], false),
            (&[&[], &[], &[0, 1]],       &[0, 1, 2], true),
            (&[&[], &[], &[0, 1]],       &[0, 2],    false),
            (&[&[], &[0], &[0]],         &[0, 1, 2], true),
        ];
        for (edges, wanted, want) in cases {
            let got = is_parallel(&dependencies(edges), wanted);
            assert_eq!(got, want, "{edges:?} {wanted:?}");
        }
    }
}
