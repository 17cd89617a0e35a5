//! Sets of paths, in eight bytes each.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::layer::LayerPath;

/// Paths, as hashes under a random key.
#[derive(Debug, Default)]
pub(super) struct Present {
    entries: HashSet<u64>,
    /// The directories above them.
    above: HashSet<u64>,
    state: RandomState,
}

impl Present {
    pub fn insert(&mut self, path: &LayerPath) {
        self.entries.insert(self.hash(path));
        let mut path = path.parent();
        while let Some(dir) = path {
            if !self.above.insert(self.hash(&dir)) {
                break;
            }
            path = dir.parent();
        }
    }

    pub fn has(&self, path: &LayerPath) -> bool {
        self.entries.contains(&self.hash(path))
    }

    pub fn has_below(&self, path: &LayerPath) -> bool {
        self.above.contains(&self.hash(path))
    }

    fn hash(&self, path: &LayerPath) -> u64 {
        self.state.hash_one(path.as_bytes())
    }
}
