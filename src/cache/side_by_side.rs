//! Doing the same for many things, some of them at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Calls `work` for every item, on up to `threads` threads of which this is one; the answers stand in the order of the items.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::default()).collect();
    let take = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        items.get(index).zip(answers.get(index))
    };
    let run = || {
        while let Some((item, answer)) = take() {
            let done = work(item);
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            // fewer threads than wished for are as good
            let _started = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
    let answers = answers.into_iter().map(Mutex::into_inner);
    answers
        .map(|answer| answer.unwrap_or_else(PoisonError::into_inner))
        .map(|answer| answer.expect("every item was taken"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn answers_stand_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        for threads in [0, 1, 3, 200] {
            let want: Vec<usize> = items.iter().map(|n| n * n).collect();
            assert_eq!(each(&items, threads, |n| n * n), want, "{threads}");
        }
        assert!(each(&[], 3, |n: &usize| *n).is_empty());
        // each waits for the others
        let together = Barrier::new(3);
        each(&[1, 2, 3], 3, |_| {
            together.wait();
        });
    }
}
