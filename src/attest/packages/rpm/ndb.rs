//! rpm's own store, `Packages.db`: slots that say where blobs are.
//!
//! # Spec
//! rpm, `lib/backend/ndb/rpmpkg.c`: pages of 4096 bytes with slots of 16, the first two of which are the head; little-endian.

use super::Numbers;

const PAGE: usize = 4096;
const SLOT: usize = 16;
const BLOCK: usize = 16;
const MAGIC: &[u8] = b"RpmP";

/// Returns the blobs; nothing if this is no such store.
pub fn blobs(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let pages = bytes.little(12)?;
    let slots = bytes.get(2 * SLOT..pages.checked_mul(PAGE)?)?;
    let mut blobs = Vec::new();
    for slot in slots.chunks_exact(SLOT) {
        let (start, blocks) = (slot.little(8)?, slot.little(12)?);
        if !slot.starts_with(b"Slot") || start == 0 || blocks == 0 {
            continue;
        }
        let blob = bytes.get(start.checked_mul(BLOCK)?..)?;
        if !blob.starts_with(b"BlbS") {
            return None;
        }
        let size = blob.little(12)?;
        blobs.push(blob.get(BLOCK..BLOCK.checked_add(size)?)?.to_vec());
    }
    Some(blobs)
}
