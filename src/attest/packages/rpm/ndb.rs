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
    // blobs that lie on one another must not take more memory than the file
    let mut room = bytes.len();
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
        room = room.checked_sub(size)?;
        blobs.push(blob.get(BLOCK..BLOCK.checked_add(size)?)?.to_vec());
    }
    Some(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_take_no_more_memory_than_the_file() {
        let store = |slots: usize| {
            let number = |number: usize| (number as u32).to_le_bytes();
            let mut file = MAGIC.to_vec();
            file.resize(12, 0);
            file.extend(number(1));
            file.resize(2 * SLOT, 0);
            for _ in 0..slots {
                file.extend(b"Slot\x01\x00\x00\x00");
                file.extend(number(PAGE / BLOCK));
                file.extend(number(4));
            }
            file.resize(PAGE, 0);
            file.extend(b"BlbS\x01\x00\x00\x00\x00\x00\x00\x00");
            file.extend(number(50));
            file.resize(PAGE + BLOCK + 50, 7);
            file
        };
        assert_eq!(blobs(&store(1)), Some(vec![vec![7; 50]]));
        assert_eq!(blobs(&store(100)), None);
    }
}
