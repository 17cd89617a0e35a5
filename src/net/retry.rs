//! How often and how long a failing request is tried again.

use std::time::{Duration, Instant};

use reqwest::StatusCode;

/// Limits for one operation; both hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Number of tries, the first included.
    pub attempts: u32,
    /// Time after the first failure in which a new try may begin.
    pub budget: Duration,
    /// Wait before the second try; doubles with each further one.
    pub first_delay: Duration,
    /// Tries that were asked for beside the usual ones; only these are made after a definite refusal, too.
    pub extra: u32,
}

const LONGEST_DELAY: Duration = Duration::from_secs(15);
const LONGEST_AFTER_REFUSAL: Duration = Duration::from_secs(60);

impl Retry {
    /// What holds without any flag: enough for a registry that fails two requests in five, and for one that restarts.
    pub const DEFAULT: Self = Self {
        attempts: 15,
        budget: Duration::from_secs(180),
        first_delay: Duration::from_millis(250),
        extra: 0,
    };

    /// Returns limits with `count` more tries, as `--push-retry` and `--image-download-retry` ask for.
    pub fn with_extra(self, count: u32) -> Self {
        Self {
            attempts: self.attempts.saturating_add(count),
            budget: self.budget + LONGEST_DELAY * count.min(1000),
            extra: self.extra.saturating_add(count),
            ..self
        }
    }

    /// Returns the waits before the tries that follow refusals: usually a second, and twice as long each time, up to a minute.
    pub fn after_refusals(self) -> impl Iterator<Item = Duration> {
        let first = self.first_delay.saturating_mul(4);
        (0..self.extra).map(move |nth| {
            let wait = first.saturating_mul(2u32.saturating_pow(nth));
            wait.min(LONGEST_AFTER_REFUSAL)
        })
    }

    /// Returns the number of tries where no connection comes about: a name that is wrong stays wrong.
    pub fn without_answer(self) -> u32 {
        self.attempts.min(8).saturating_add(self.extra)
    }

    /// Returns limits with fewer tries, but for those that were asked for, for a candidate that is not the last one.
    pub fn at_most(self, attempts: u32) -> Self {
        Self {
            attempts: self.attempts.min(attempts.saturating_add(self.extra)),
            ..self
        }
    }
}

/// Counts failures and says how long to wait, or that it is enough.
#[derive(Debug)]
pub struct Backoff {
    retry: Retry,
    failures: u32,
    since: Option<Instant>,
}

impl Backoff {
    pub fn new(retry: Retry) -> Self {
        Self {
            retry,
            failures: 0,
            since: None,
        }
    }

    /// Forgets earlier failures, because there was progress since.
    pub fn reset(&mut self) {
        *self = Self::new(self.retry);
    }

    /// Records a failure and returns the wait before the next try, or `None` if there shall be none.
    ///
    /// A server's own wish (`Retry-After`) is honoured if the time budget allows it; a wish for no wait at all, once.
    pub fn next(&mut self, wish: Option<Duration>) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.failures += 1;
        if self.failures >= self.retry.attempts {
            return None;
        }
        let doubled = self.retry.first_delay * 2u32.saturating_pow(self.failures - 1).min(1 << 16);
        let longest = doubled.min(LONGEST_DELAY);
        let jittered = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        let delay = match wish {
            Some(Duration::ZERO) if self.failures == 1 => Duration::ZERO,
            Some(wish) => wish.max(jittered),
            None => jittered,
        };
        // a server may wish for any number of seconds
        (since.elapsed().saturating_add(delay) <= self.retry.budget).then_some(delay)
    }
}

/// Tells whether an answer means that another try may fare better.
pub fn is_transient(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        408 | 425 | 429 | 499 | 500 | 502 | 503 | 504 | 522
    )
}

/// Reads a `Retry-After` header: seconds, or a date.
pub fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(
        date.duration_since(std::time::SystemTime::now())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn retry(attempts: u32, budget: Duration) -> Retry {
        Retry {
            attempts,
            budget,
            first_delay: SECOND,
            extra: 0,
        }
    }

    #[test]
    fn tries_that_are_asked_for() {
        let seconds = |retry: Retry| -> Vec<u64> {
            retry.after_refusals().map(|wait| wait.as_secs()).collect()
        };
        assert_eq!(seconds(Retry::DEFAULT), [0; 0]);
        assert_eq!(seconds(Retry::DEFAULT.with_extra(4)), [1, 2, 4, 8]);
        let many = seconds(Retry::DEFAULT.with_extra(100));
        assert_eq!((many.len(), many[99]), (100, 60));
        let of_a_mirror = |count| Retry::DEFAULT.with_extra(count).at_most(3).attempts;
        assert_eq!([of_a_mirror(0), of_a_mirror(5)], [3, 8]);
        assert_eq!(Retry::DEFAULT.without_answer(), 8);
        assert_eq!(Retry::DEFAULT.with_extra(2).without_answer(), 10);
    }

    #[test]
    fn waits_grow_and_end_with_the_attempts() {
        let mut backoff = Backoff::new(retry(4, SECOND * 100));
        let delays: Vec<_> = std::iter::from_fn(|| backoff.next(None)).collect();
        assert_eq!(delays.len(), 3);
        for (delay, longest) in delays.into_iter().zip([SECOND, SECOND * 2, SECOND * 4]) {
            assert!(delay >= longest / 2 && delay <= longest, "{delay:?}");
        }
    }

    #[test]
    fn a_wish_is_honoured_within_the_budget_only() {
        let mut backoff = Backoff::new(retry(9, SECOND * 10));
        assert_eq!(backoff.next(Some(SECOND * 5)), Some(SECOND * 5));
        assert_eq!(backoff.next(Some(SECOND * 11)), None);
        let mut backoff = Backoff::new(retry(9, SECOND * 10));
        assert_eq!(backoff.next(Some(Duration::ZERO)), Some(Duration::ZERO));
        assert!(backoff.next(Some(Duration::ZERO)).unwrap() >= SECOND);
    }

    #[test]
    fn a_wish_beyond_all_measure_ends_it() {
        let mut backoff = Backoff::new(retry(9, SECOND * 10));
        backoff.since = Instant::now().checked_sub(SECOND * 2);
        let wish = retry_after(&u64::MAX.to_string());
        assert_eq!(backoff.next(wish), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(SECOND * 7));
        assert_eq!(
            retry_after("Thu, 01 Jan 1970 00:00:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon"), None);
    }
}
