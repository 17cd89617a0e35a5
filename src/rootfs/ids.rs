//! Owners on disk that differ from the image's.

/// How an owner of the image is written on disk: itself, or moved up where RUN works in a user namespace whose id 0 is another id outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdShift {
    /// What is added to every id.
    pub offset: u32,
}

impl IdShift {
    /// Returns the id to write on disk; `None` if there is none.
    pub fn to_disk(self, id: u32) -> Option<u32> {
        // The last id means "leave as it is" to the kernel.
        id.checked_add(self.offset).filter(|id| *id != u32::MAX)
    }

    /// Returns the image's id of one read from disk; an id that the shift cannot produce stands for itself.
    pub fn from_disk(self, id: u32) -> u32 {
        id.checked_sub(self.offset).unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_there_and_back() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // offset  image           disk
            (0,        0,              Some(0)),
            (0,        u32::MAX - 1,   Some(u32::MAX - 1)),
            (0,        u32::MAX,       None),
            (1,        0,              Some(1)),
            (1,        u32::MAX - 1,   None),
        ];
        for (offset, id, disk) in cases {
            let shift = IdShift { offset };
            assert_eq!(shift.to_disk(id), disk, "{id} + {offset}");
            if let Some(disk) = disk {
                assert_eq!(shift.from_disk(disk), id);
            }
        }
    }
}
