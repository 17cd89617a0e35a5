//! A layer as an image lists it: the blob and the tar inside it.

use super::{Descriptor, DiffId};

/// One layer of an image: the blob that a registry stores, and the hash of the tar that is compressed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub descriptor: Descriptor,
    pub diff_id: DiffId,
}
