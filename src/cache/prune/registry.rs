//! Old entries of a repository.

use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::entry;
use super::{Error, Pruned, Rules, doomed, tell};
use crate::image::{Digest, ImageRef, Platform};
use crate::registry::Client;

const CONCURRENT_REQUESTS: usize = 8;

/// An entry, by what deleting it takes.
struct Entry {
    tag: String,
    digest: Digest,
    created: OffsetDateTime,
}

/// Removes old entries; images that were not made for a cache are left alone.
pub async fn prune(client: &Client, repository: &ImageRef, rules: Rules) -> Result<Pruned, Error> {
    let failed = |error| Error::Registry(Box::new(error));
    let tags = client.tags(repository).await.map_err(failed)?;
    let count = tags.len();
    // kaniko's keys look like ours
    let keys = tags.into_iter().filter(|tag| Digest::is_hex(tag));
    let looked_up: Vec<_> = stream::iter(keys.map(|tag| look_at(client, repository, tag)))
        .buffer_unordered(CONCURRENT_REQUESTS)
        .collect()
        .await;
    let mut entries = Vec::new();
    for entry in looked_up {
        entries.extend(entry.map_err(failed)?);
    }
    let ages: Vec<OffsetDateTime> = entries.iter().map(|entry| entry.created).collect();
    let mut pruned = Pruned {
        foreign: count - entries.len(),
        ..Pruned::default()
    };
    for index in doomed(&ages, rules, OffsetDateTime::now_utc()) {
        let Entry {
            tag,
            digest,
            created,
        } = &entries[index];
        tell(repository.with_tag(tag), *created, rules);
        if !rules.dry_run {
            client
                .delete_manifest(repository, digest)
                .await
                .map_err(failed)?;
        }
        pruned.removed += 1;
    }
    pruned.kept = entries.len() - pruned.removed;
    Ok(pruned)
}

/// Looks at what is under a key; `None` if it is no entry.
async fn look_at(
    client: &Client,
    repository: &ImageRef,
    tag: String,
) -> Result<Option<Entry>, crate::registry::Error> {
    let reference = repository.with_tag(&tag);
    let image = match client.existing_image(&reference, &Platform::host()).await {
        Ok(Some(image)) => image,
        Ok(None) => return Ok(None),
        Err(error) if error.is_damage() || error.status().is_none_or(|s| s.as_u16() == 404) => {
            tracing::warn!("cannot look at {reference}, which stays: {}", error.chain());
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let created = image.config.created.as_deref();
    let created = created.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    Ok(created
        .filter(|_| entry::is_entry(&tag, &image.config))
        .map(|created| Entry {
            tag,
            digest: image.descriptor.digest,
            created,
        }))
}
