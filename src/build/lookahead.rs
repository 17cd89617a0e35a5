//! Which layers are in the cache, found out before any work, and the new ones on their way into it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tracing::{debug, info, warn};

use super::Error;
use super::keys::Keys;
use super::outlook::{self, At, Prospect};
use crate::cache::entry::New;
use crate::cache::{Hit, Key, LayerCache, Lookup, Repository, Storing};
use crate::image::{Compression, Digest, ImageRef, Layer};
use crate::interrupt::Interrupt;
use crate::log::record;
use crate::plan::{Action, Plan};
use crate::store::BlobStore;

/// What the cache has for a plan. Without a cache nothing is found and nothing stored.
#[derive(Default)]
pub struct Lookahead {
    cache: Option<LayerCache>,
    keys: BTreeMap<At, Key>,
    hits: BTreeMap<At, Hit>,
    /// Why the others were not found.
    misses: BTreeMap<At, String>,
    uploads: Mutex<Uploads>,
}

#[derive(Default)]
struct Uploads {
    keys: BTreeSet<Key>,
    going: Vec<(Digest, Key, Storing)>,
}

const ANEW: &str = "--no-cache-filter says that the stage is made anew";
const UNUSABLE: &str = "the entry cannot be used";

/// Layers fetched at the same time.
const CONCURRENT_FETCHES: usize = 4;

impl Lookahead {
    /// Looks up every step that the cache's options cover, but for those of the stages that are made `anew`.
    pub fn look_up(
        cache: LayerCache,
        plan: &Plan,
        keys: &Keys,
        compression: Compression,
        anew: &BTreeSet<usize>,
    ) -> Self {
        let options = cache.options();
        let is_covered = |action: &Action| match action {
            Action::Config => false,
            Action::Copy(_) => options.copies,
            Action::Run(_) | Action::Workdir(_) => options.runs,
        };
        let mut covered = BTreeMap::new();
        for (position, stage) in plan.stages.iter().enumerate() {
            for (index, step) in stage.steps.iter().enumerate() {
                if let Some(key) = keys[position][index]
                    && is_covered(&step.action)
                {
                    covered.insert((position, index), key);
                }
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
        let answers = cache.look_up(&distinct, platform, compression);
        let answers: BTreeMap<Key, Lookup> = distinct.into_iter().zip(answers).collect();
        complain(&cache, &answers);
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
                    let reason = reason(miss, *at, plan, &covered, &answers);
                    debug!(%key, "miss: {reason}");
                    misses.insert(*at, reason);
                }
            }
        }
        Self {
            cache: Some(cache),
            keys: covered,
            hits,
            misses,
            uploads: Mutex::default(),
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
                let key = self.keys[&at];
                if !fetched.contains(&key) {
                    missing.insert(key, self.hits[&at].clone());
                }
            }
            let Some(cache) = self.cache.as_ref().filter(|_| !missing.is_empty()) else {
                return Ok(prospects);
            };
            let missing: Vec<(Key, Hit)> = missing.into_iter().collect();
            for some in missing.chunks(CONCURRENT_FETCHES) {
                let results: Vec<_> = std::thread::scope(|scope| {
                    let fetches = some
                        .iter()
                        .map(|(key, hit)| scope.spawn(move || (*key, cache.fetch(hit, store))));
                    let fetches: Vec<_> = fetches.collect();
                    let join = |fetch: std::thread::ScopedJoinHandle<'_, _>| {
                        fetch.join().expect("fetching a layer does not panic")
                    };
                    fetches.into_iter().map(join).collect()
                });
                for (key, result) in results {
                    fetched.insert(key);
                    if let Err(error) = result {
                        let cause = std::error::Error::source(&error);
                        let cause = cause.map(|c| format!(": {c}")).unwrap_or_default();
                        warn_unusable(cache, &key, &format!("{error}{cause}"));
                        let lost: Vec<At> = self.hits.keys().copied().collect();
                        for at in lost.into_iter().filter(|at| self.keys[at] == key) {
                            self.hits.remove(&at);
                            self.misses.insert(at, UNUSABLE.to_owned());
                        }
                    }
                }
            }
        }
    }

    /// Decides what must be done, as far as it is known which layers there are.
    pub fn prospects(&self, plan: &Plan) -> Vec<Prospect> {
        outlook::outlook(plan, &self.found())
    }

    /// Returns the steps whose layers were found.
    pub fn found(&self) -> BTreeSet<At> {
        self.hits.keys().copied().collect()
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
        self.cache
            .as_ref()
            .is_some_and(|cache| cache.options().push)
            && self.keys.contains_key(&at)
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
        let (Some(cache), true) = (&self.cache, self.wants(at)) else {
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

    /// Waits for what is on its way into the cache. Returns where blobs are by then, so that a push can mount them.
    pub fn finish(&self) -> BTreeMap<Digest, ImageRef> {
        let going = std::mem::take(&mut self.uploads().going);
        let Some(cache) = &self.cache else {
            return BTreeMap::new();
        };
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

/// Says why a layer was not found, as far as one can tell: keys are hashes, so it follows from which of the keys below it are known.
fn reason(
    miss: &Lookup,
    at: At,
    plan: &Plan,
    keys: &BTreeMap<At, Key>,
    answers: &BTreeMap<Key, Lookup>,
) -> String {
    match miss {
        Lookup::Hit(_) => return "found".to_owned(),
        Lookup::Expired => return "the entry is older than --cache-ttl".to_owned(),
        Lookup::Broken(_) => return UNUSABLE.to_owned(),
        Lookup::Failed(_) => return "the repository did not answer".to_owned(),
        Lookup::Absent => {}
    }
    let is_hit = |at: At| {
        keys.get(&at)
            .map(|key| matches!(answers.get(key), Some(Lookup::Hit(_))))
    };
    let stage = &plan.stages[at.0];
    let below = (0..at.1)
        .rev()
        .find_map(|index| Some((index, is_hit((at.0, index))?)));
    let read = stage.steps[at.1].stages_read();
    let changed_stage = read.into_iter().find(|read| {
        let steps = 0..plan.stages[*read].steps.len();
        steps
            .filter_map(|index| is_hit((*read, index)))
            .any(|hit| !hit)
    });
    if let Some(changed) = changed_stage {
        let name = super::error::display_name(&plan.stages[changed]);
        return format!("stage `{name}`, which it reads, has steps that are not cached");
    }
    match below {
        Some((index, false)) => {
            let text = &stage.steps[index].text;
            format!("the step before it is not cached: {text}")
        }
        Some((_, true)) => {
            "the instruction, a variable it sees, or a file it reads changed".to_owned()
        }
        None => {
            "first build, the base image moved, or the first instruction or what it reads changed"
                .to_owned()
        }
    }
}
