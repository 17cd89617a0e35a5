//! Tries after refusals: of a push as a whole, not of each of its requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::client::lock;
use crate::net::retry::Retry;

/// The rounds of each repository that is pushed to, by name; they last as long as a job.
#[derive(Default)]
pub(super) struct Insistence(Mutex<HashMap<String, Arc<Rounds>>>);

impl Insistence {
    pub(super) fn rounds(&self, repository: String) -> Arc<Rounds> {
        Arc::clone(lock(&self.0).entry(repository).or_default())
    }
}

/// Rounds of tries. What is refused in one waits for the next, together with all else that was refused in it; no round is left when
/// as many have begun as tries were asked for.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<Round>);

#[derive(Debug, Clone, Copy, Default)]
struct Round {
    number: usize,
    /// `None`: it always was.
    begins: Option<Instant>,
}

impl Rounds {
    /// Waits until the newest round has begun, and returns its number.
    pub(super) async fn enter(&self) -> usize {
        loop {
            let round = *lock(&self.0);
            match round.begins {
                Some(begins) if begins > Instant::now() => sleep_until(begins).await,
                _ => return round.number,
            }
        }
    }

    /// Says that a try of this round was refused. Returns the wait before the round that is opened by that, or none at all if there
    /// is a newer one already; `None` if it was the last.
    pub(super) fn refused(&self, number: usize, retry: Retry) -> Option<Duration> {
        let mut round = lock(&self.0);
        if round.number > number {
            return Some(Duration::ZERO);
        }
        let wait = retry.after_refusals().nth(round.number)?;
        *round = Round {
            number: round.number + 1,
            begins: Some(Instant::now() + wait),
        };
        Some(wait)
    }
}
