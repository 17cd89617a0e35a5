//! The files of a tree, in order, in blocks: a tree is rebuilt from what it was without ever being there twice.

use std::iter::Flatten;
use std::vec;

use super::tree::Node;

/// Of 64 KiB; few in tests, so that small trees have several.
const BLOCK: usize = match cfg!(test) {
    true => 4,
    false => (64 << 10) / size_of::<Node>(),
};

/// Nodes in order.
#[derive(Debug, Default, Clone)]
pub(super) struct Nodes {
    /// All but the last are full.
    blocks: Vec<Vec<Node>>,
}

impl Nodes {
    pub fn push(&mut self, node: Node) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(node),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(node);
                self.blocks.push(block);
            }
        }
    }

    pub fn len(&self) -> usize {
        let full = self.blocks.len().saturating_sub(1) * BLOCK;
        full + self.blocks.last().map_or(0, Vec::len)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.blocks.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.blocks.iter_mut().flatten()
    }
}

/// Frees each block when it has been gone through.
impl IntoIterator for Nodes {
    type Item = Node;
    type IntoIter = Flatten<vec::IntoIter<Vec<Node>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.into_iter().flatten()
    }
}
