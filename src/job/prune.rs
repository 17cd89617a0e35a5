//! `executor cache prune`: old entries out of a cache.

use tracing::info;

use super::settings;
use crate::cache::prune::{self, Pruned};
use crate::cli::Prune;
use crate::net::{self, Net};
use crate::registry::{self, Client};
use crate::report::Explain;

/// Why a cache was not pruned, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    #[error("cannot prune the cache")]
    Prune(#[from] prune::Error),
    #[error(transparent)]
    Net(#[from] net::Error),
    #[error(transparent)]
    Registry(Box<registry::Error>),
}

impl Explain for PruneError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Prune(error) => error.help(),
            Self::Net(error) => error.help(),
            Self::Registry(error) => error.help(),
        }
    }
}

/// Removes what the rules say, and tells what.
pub fn prune(asked: &Prune) -> Result<(), PruneError> {
    if let Some(repository) = &asked.repository {
        let net = Net::new(net::Options { http1_only: false })?;
        let credentials = settings::credentials(&asked.registry, None);
        let client = Client::new(&net, asked.registry.push(credentials))
            .map_err(|error| PruneError::Registry(Box::new(error)))?;
        summarize(
            asked,
            "entries",
            prune::layers(&client, repository, asked.rules)?,
        );
    }
    if let Some(dir) = &asked.dir {
        summarize(asked, "blobs", prune::images(dir, asked.rules)?);
    }
    Ok(())
}

fn summarize(asked: &Prune, what: &str, pruned: Pruned) {
    let Pruned {
        removed,
        kept,
        foreign,
    } = pruned;
    let foreign = match foreign {
        0 => String::new(),
        foreign => format!(", left {foreign} that are no entries alone"),
    };
    match asked.rules.dry_run {
        true => info!("Would remove {removed} {what} and keep {kept}{foreign}"),
        false => info!("Removed {removed} {what}, kept {kept}{foreign}"),
    }
}
