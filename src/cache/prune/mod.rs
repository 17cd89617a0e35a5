//! Removing what is old from where layers and images are cached.

mod directories;
mod registry;
mod shared;

use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;
use tracing::info;

use super::Repository;
use crate::registry::Client;
use crate::{registry as registries, store};

/// What is removed. An entry must be old and not among the newest, as far as either is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub older_than: Option<Duration>,
    /// How many of the newest stay.
    pub keep: Option<usize>,
    /// Nothing is removed, only told.
    pub dry_run: bool,
}

/// What was looked at and what was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub removed: usize,
    pub kept: usize,
    /// What is there and is no entry of a cache.
    pub foreign: usize,
}

/// What kept a cache from being pruned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(Box<registries::Error>),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("cannot read or change `{}`", .path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Registry(error) if error.status().is_some_and(|s| s.as_u16() == 405) => Some(
                "the registry does not permit deletion; many have to be configured for it, or have a policy of their own for old tags".to_owned(),
            ),
            Self::Registry(error) => error.help(),
            Self::Store(_) | Self::Io { .. } => None,
        }
    }
}

/// Removes entries of a layer cache.
pub fn layers(client: &Client, repository: &Repository, rules: Rules) -> Result<Pruned, Error> {
    match repository {
        Repository::Registry(image) => client.net().block_on(registry::prune(client, image, rules)),
        Repository::Layouts(prefix) => directories::prune(prefix, rules),
    }
}

pub use shared::prune as images;

/// Chooses what goes: positions in `ages`, which says when each entry was made or used.
fn doomed(ages: &[OffsetDateTime], rules: Rules, now: OffsetDateTime) -> Vec<usize> {
    let mut newest_first: Vec<usize> = (0..ages.len()).collect();
    newest_first.sort_by_key(|index| std::cmp::Reverse(ages[*index]));
    let beyond = newest_first.into_iter().skip(rules.keep.unwrap_or(0));
    let is_old = |index: &usize| {
        rules
            .older_than
            .is_none_or(|limit| now - ages[*index] > limit)
    };
    beyond.filter(is_old).collect()
}

/// Tells about one entry.
fn tell(name: impl std::fmt::Display, made: OffsetDateTime, rules: Rules) {
    let days = (OffsetDateTime::now_utc() - made).whole_days();
    match rules.dry_run {
        true => info!("Would remove {name}, {days} days old"),
        false => info!("Removing {name}, {days} days old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_is_old_and_not_among_the_newest() {
        let ages = [10, 30, 20].map(|s| OffsetDateTime::from_unix_timestamp(s).unwrap());
        let now = OffsetDateTime::from_unix_timestamp(35).unwrap();
        let check = |older_than: Option<u64>, keep, want: &[usize]| {
            let rules = Rules {
                older_than: older_than.map(Duration::from_secs),
                keep,
                dry_run: false,
            };
            assert_eq!(doomed(&ages, rules, now), want, "{older_than:?} {keep:?}");
        };
        check(Some(10), None, &[2, 0]);
        check(Some(15), None, &[0]);
        check(Some(60), None, &[]);
        check(None, Some(1), &[2, 0]);
        check(None, Some(5), &[]);
        check(Some(0), Some(2), &[0]);
        check(Some(30), Some(0), &[]);
    }
}
