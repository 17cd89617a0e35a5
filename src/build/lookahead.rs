//! Which layers are in the cache, found out before any work, and the new ones on their way into it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tracing::{debug, info, warn};

use super::Error;
use super::keys::Keys;
use super::outlook::{self, At, Prospect};
use super::reasons::{Known, UNUSABLE};
use crate::cache::entry::New;
use crate::cache::key::Parts;
use crate::cache::{Hit, Key, LayerCache, Lookup, Repository, Storing};
use crate::causes;
use crate::image::{Compression, Digest, ImageRef, Layer};
use crate::interrupt::Interrupt;
use crate::log::record;
use crate::plan::{Action, Plan, Step};
use crate::store::BlobStore;

/// What the cache has for a plan. Without a cache nothing is found and nothing stored.
#[derive(Default)]
pub struct Lookahead {
    cache: Option<LayerCache>,
    keys: BTreeMap<At, Key>,
    hits: BTreeMap<At, Hit>,
    /// For steps whose changes are in the layer of a later one (`--single-snapshot`), that one.
    merged: BTreeMap<At, At>,
    /// What the keys were made of, by what the steps are remembered by.
    parts: Vec<(String, Parts)>,
    /// Why the others were not found.
    misses: BTreeMap<At, String>,
    uploads: Mutex<Uploads>,
    /// Nothing more is stored.
    is_closed: AtomicBool,
    /// Nothing can be stored at all: nobody is there.
    is_away: bool,
}

#[derive(Default)]
struct Uploads {
    keys: BTreeSet<Key>,
    going: Vec<(Digest, Key, Storing)>,
}

const ANEW: &str = "--no-cache-filter says that the stage is made anew";

impl Lookahead {
    /// Looks up every step that the cache's options cover, but for those of the stages that are made `anew`; a stage's only layer
    /// (`single`) as one of a RUN if there is a RUN in it.
    pub fn look_up(
        cache: LayerCache,
        plan: &Plan,
        mut keys: Keys,
        compression: Compression,
        anew: &BTreeSet<usize>,
        single: bool,
    ) -> Self {
        let options = cache.options();
        let is_covered = |action: &Action| match action {
            Action::Config => false,
            Action::Copy(_) => options.copies,
            Action::Run(_) | Action::Workdir(_) => options.runs,
        };
        let mut covered = BTreeMap::new();
        let mut parts = BTreeMap::new();
        let mut merged = BTreeMap::new();
        for (position, stage) in plan.stages.iter().enumerate() {
            let is_run = |step: &Step| matches!(step.action, Action::Run(_) | Action::Workdir(_));
            let whole = single && stage.steps.iter().any(is_run);
            for (index, step) in stage.steps.iter().enumerate() {
                let is_covered = match whole {
                    true => options.runs,
                    false => is_covered(&step.action),
                };
                if let Some(keyed) = keys[position][index].take()
                    && is_covered
                {
                    covered.insert((position, index), keyed.key);
                    parts.insert((position, index), keyed.parts);
                }
            }
            let last = stage.steps.iter().rposition(Step::has_layer);
            if let Some(last) = last.filter(|_| single) {
                let others = (0..last).filter(|index| stage.steps[*index].has_layer());
                merged.extend(others.map(|index| ((position, index), (position, last))));
            }
        }
        let mut distinct: Vec<Key> = Vec::new();
        for (at, key) in &covered {
            if !anew.contains(&at.0) && !distinct.contains(key) {
                info!("Checking for cached layer {}...", cache.name(key));
                distinct.push(*key);
            }
        }
        let platform = &plan.stages[plan.target].config.platform;
        let silence = match covered.is_empty() {
            true => None,
            false => cache.silence(),
        };
        let is_away = silence.is_some();
        let answers: BTreeMap<Key, Lookup> = match silence {
            Some(error) => {
                let failed = |key| (key, Lookup::Failed(Arc::clone(&error)));
                distinct.into_iter().map(failed).collect()
            }
            None => {
                let answers = cache.look_up(&distinct, platform, compression);
                let answers = distinct.into_iter().zip(answers).collect();
                complain(&cache, &answers);
                answers
            }
        };
        let mut hits = BTreeMap::new();
        let mut misses = BTreeMap::new();
        for (at, key) in &covered {
            let text = &plan.stages[at.0].steps[at.1].text;
            let answer = answers.get(key).filter(|_| !anew.contains(&at.0));
            match answer {
                None => {
                    info!("No cached layer found for cmd {text}");
                    misses.insert(*at, ANEW.to_owned());
                }
                Some(Lookup::Hit(hit)) => {
                    info!("Using caching version of cmd: {text}");
                    hits.insert(*at, hit.clone());
                }
                Some(miss) => {
                    info!("No cached layer found for cmd {text}");
                    let known = Known {
                        plan,
                        keys: &covered,
                        answers: &answers,
                        changes: cache
                            .recall(&step_name(plan, *at))
                            .map(|earlier| parts[at].changes_since(&earlier)),
                    };
                    let reason = known.reason(miss, *at);
                    debug!(%key, "miss: {reason}");
                    misses.insert(*at, reason);
                }
            }
        }
        Self {
            cache: Some(cache),
            keys: covered,
            hits,
            merged,
            parts: parts
                .into_iter()
                .map(|(at, parts)| (step_name(plan, at), parts))
                .collect(),
            misses,
            uploads: Mutex::default(),
            is_closed: AtomicBool::new(false),
            is_away,
        }
    }

    /// Brings the layers into the store that roots will go through, and decides what must be done.
    ///
    /// A layer that turns out to be damaged counts as not found, which may make more layers necessary.
    pub fn settle(
        &mut self,
        plan: &Plan,
        store: &BlobStore,
        interrupt: &Interrupt,
    ) -> Result<Vec<Prospect>, Error> {
        let mut fetched = BTreeSet::new();
        loop {
            interrupt.check()?;
            let prospects = self.prospects(plan);
            let mut missing: BTreeMap<Key, Hit> = BTreeMap::new();
            for at in outlook::applied(&prospects, &self.found()) {
                if !self.hits.contains_key(&at) {
                    continue;
                }
                let key = self.keys[&at];
                if !fetched.contains(&key) {
                    missing.insert(key, self.hits[&at].clone());
                }
            }
            let Some(cache) = self.cache.as_ref().filter(|_| !missing.is_empty()) else {
                return Ok(prospects);
            };
            let hits: Vec<&Hit> = missing.values().collect();
            let results = cache.fetch(&hits, store);
            for (key, result) in missing.into_keys().zip(results) {
                fetched.insert(key);
                if let Err(error) = result {
                    warn_unusable(cache, &key, &causes::in_one_line(&error));
                    let lost: Vec<At> = self.hits.keys().copied().collect();
                    for at in lost.into_iter().filter(|at| self.keys[at] == key) {
                        self.hits.remove(&at);
                        self.misses.insert(at, UNUSABLE.to_owned());
                    }
                }
            }
        }
    }

    /// Decides what must be done, as far as it is known which layers there are.
    pub fn prospects(&self, plan: &Plan) -> Vec<Prospect> {
        outlook::outlook(plan, &self.found())
    }

    /// Returns the steps that need not be done, because their layers were found or they are part of one that was.
    pub fn found(&self) -> BTreeSet<At> {
        let merged = self.merged.keys().filter(|at| self.is_merged(**at));
        self.hits.keys().chain(merged).copied().collect()
    }

    /// Tells whether what a step does is part of a layer that was found for a later one.
    pub fn is_merged(&self, at: At) -> bool {
        let with = self.merged.get(&at);
        with.is_some_and(|with| self.hits.contains_key(with))
    }

    pub fn hit(&self, at: At) -> Option<&Hit> {
        self.hits.get(&at)
    }

    /// Returns what the cache said to a step, if it was asked.
    pub fn verdict(&self, at: At) -> Option<record::Cache> {
        Some(record::Cache {
            key: self.keys.get(&at)?.to_string(),
            hit: self.hits.contains_key(&at),
            reason: self.misses.get(&at).cloned(),
        })
    }

    /// Returns how the entry of a step is called, if the cache was asked for it.
    pub fn entry_name(&self, at: At) -> Option<String> {
        Some(self.cache.as_ref()?.name(self.keys.get(&at)?))
    }

    /// Tells whether layers are looked for at all.
    pub fn has_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// Tells whether the layer of a step is to be made for the cache's sake.
    pub fn wants(&self, at: At) -> bool {
        let cache = self.cache.as_ref().filter(|_| !self.is_away);
        cache.is_some_and(|cache| cache.options().push) && self.keys.contains_key(&at)
    }

    /// Returns the registry to which the layer of a step goes for the cache's sake.
    pub fn registry(&self, at: At) -> Option<&str> {
        let cache = self.cache.as_ref().filter(|_| self.wants(at))?;
        match &cache.options().repository {
            Repository::Registry(repository) => Some(&repository.registry),
            Repository::Layouts(_) => None,
        }
    }

    /// Starts to store a layer that was made, unless the cache does not want it.
    pub fn put(
        &self,
        at: At,
        plan: &Plan,
        layer: &Layer,
        created: time::OffsetDateTime,
        store: &BlobStore,
    ) {
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        let (Some(cache), true) = (&self.cache, self.wants(at) && !is_closed) else {
            return;
        };
        let stage = &plan.stages[at.0];
        let step = &stage.steps[at.1];
        let key = self.keys[&at];
        let mut uploads = self.uploads();
        if !uploads.keys.insert(key) {
            return;
        }
        let new = New {
            key,
            layer: layer.clone(),
            created_by: step.created_by.clone().unwrap_or_else(|| step.text.clone()),
            created,
            platform: stage.config.platform.clone(),
        };
        let storing = cache.put(new, store);
        uploads
            .going
            .push((layer.descriptor.digest.clone(), key, storing));
    }

    /// Stores nothing more, because a step did not read what its key says, and what comes after it stands on that.
    pub fn close(&self, text: &str) {
        if !self.is_closed.swap(true, Ordering::Relaxed) {
            warn!(
                "files changed while they were read by {text}: the layers from there on are not cached"
            );
        }
    }

    /// Waits for what is on its way into the cache. Returns where blobs are by then, so that a push can mount them.
    pub fn finish(&self) -> BTreeMap<Digest, ImageRef> {
        let going = std::mem::take(&mut self.uploads().going);
        let Some(cache) = &self.cache else {
            return BTreeMap::new();
        };
        for (step, parts) in &self.parts {
            cache.remember(step, parts);
        }
        let mut stored = BTreeMap::new();
        for (digest, key, storing) in going {
            if cache.finish(storing)
                && let Repository::Registry(repository) = &cache.options().repository
            {
                stored.insert(digest, repository.with_tag(&key.to_string()));
            }
        }
        stored
    }

    /// Returns the cache and the layers found in it, by digest.
    pub fn layers(&self) -> Option<(LayerCache, BTreeMap<Digest, Hit>)> {
        let by_digest = |hit: &Hit| (hit.layer.descriptor.digest.clone(), hit.clone());
        let cache = self.cache.clone()?;
        Some((cache, self.hits.values().map(by_digest).collect()))
    }

    fn uploads(&self) -> std::sync::MutexGuard<'_, Uploads> {
        self.uploads
            .lock()
            .expect("nothing panics while it is held")
    }
}

/// Says once for each entry that it cannot be used, and once for the repository that it does not answer.
fn complain(cache: &LayerCache, answers: &BTreeMap<Key, Lookup>) {
    let mut has_failed = false;
    for (key, answer) in answers {
        match answer {
            Lookup::Hit(_) | Lookup::Absent => {}
            Lookup::Expired => info!("Cache entry expired: {}", cache.name(key)),
            Lookup::Broken(why) => warn_unusable(cache, key, why),
            Lookup::Failed(error) if error.status().is_none() && !has_failed => {
                has_failed = true;
                warn!("cannot look into the layer cache: {}", error.chain());
            }
            Lookup::Failed(error) => {
                debug!("cannot look up {}: {}", cache.name(key), error.chain())
            }
        }
    }
}

fn warn_unusable(cache: &LayerCache, key: &Key, why: &str) {
    warn!(
        "cached layer {} cannot be used and is made anew: {why}",
        cache.name(key)
    );
}

/// Returns what a step is remembered by: its place in the Dockerfile, since its text may change.
fn step_name(plan: &Plan, at: At) -> String {
    let stage = &plan.stages[at.0];
    let names: Vec<String> = plan.stages.iter().map(super::error::display_name).collect();
    let before = stage.steps[..at.1].iter().filter(|step| step.has_layer());
    let platform = &stage.config.platform;
    format!("{platform} {} {} {}", names.join(","), at.0, before.count())
}
