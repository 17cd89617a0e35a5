//! Files whose content is kept by Git LFS, which is not fetched.

use git2::Repository;
use tracing::warn;

use super::Error;

/// How a pointer begins.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// What no pointer exceeds.
const SIZE_LIMIT: u32 = 1024;
/// Names that the warning gives.
const SHOWN: usize = 5;

/// Warns of files that are only pointers, if the repository says that it has some.
pub fn warn_of_pointers(repository: &Repository) -> Result<(), Error> {
    let index = repository.index()?;
    let content = |entry: &git2::IndexEntry| repository.find_blob(entry.id);
    let mut uses_lfs = false;
    for entry in index.iter() {
        if entry.path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes") {
            let blob = content(&entry)?;
            uses_lfs |= String::from_utf8_lossy(blob.content()).contains("filter=lfs");
        }
    }
    if !uses_lfs {
        return Ok(());
    }
    let mut names = Vec::new();
    let is_file = |entry: &git2::IndexEntry| entry.mode & 0o170_000 == 0o100_000;
    let small = |entry: &git2::IndexEntry| is_file(entry) && entry.file_size <= SIZE_LIMIT;
    for entry in index.iter().filter(small) {
        if content(&entry)?.content().starts_with(POINTER) {
            names.push(String::from_utf8_lossy(&entry.path).into_owned());
        }
    }
    if !names.is_empty() {
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        names.truncate(SHOWN);
        let names = names.join(", ");
        warn!("not fetched is what Git LFS keeps of these files: {names}{more}");
    }
    Ok(())
}
