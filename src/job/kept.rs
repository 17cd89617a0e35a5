//! Images that could not be pushed: kept for a while, so that they need not be built again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{debug, warn};

use crate::cli::options::KanikoDir;
use crate::output::{Product, layout};

/// Directory below the kaniko dir, with a layout for each image.
const DIR: &str = "unpushed";
/// Beginning of the names of directories that stand for it where there is no kaniko dir.
const TEMPORARY: &str = "executor-unpushed-";
const TEMPORARY_PARENT: &str = "/var/tmp";
/// The file that tells such a layout from those that somebody else needs.
const MARK: &str = "unpushed.txt";
const MARK_TEXT: &str = "This image could not be pushed and was kept. It is removed when `executor push` pushes it, or after a week.\n";
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Keeps an image; returns where.
pub fn keep(product: &Product, kaniko_dir: &KanikoDir) -> Option<PathBuf> {
    let dir = match kaniko_dir {
        KanikoDir::At(dir) => dir.join(DIR),
        KanikoDir::Temporary => {
            let fresh = tempfile::Builder::new()
                .prefix(TEMPORARY)
                .tempdir_in(TEMPORARY_PARENT);
            fresh.ok()?.keep()
        }
    };
    let path = dir.join(product.digest().hex());
    let written = layout::write(&path, product)
        .map_err(|error| error.to_string())
        .and_then(|()| {
            fs_err::write(path.join(MARK), MARK_TEXT).map_err(|error| error.to_string())
        });
    match written {
        Ok(()) => Some(path),
        Err(error) => {
            warn!("cannot keep the image in `{}`: {error}", path.display());
            None
        }
    }
}

/// Removes a layout that was pushed, if it was kept for that alone.
pub fn forget(layout: &Path) {
    if !layout.join(MARK).is_file() {
        return;
    }
    match fs_err::remove_dir_all(layout) {
        Ok(()) => debug!("removed {}", layout.display()),
        Err(error) => warn!("{error}"),
    }
    let parent = layout.parent().filter(|parent| is_ours(parent));
    // fails as long as there are others
    let _others = parent.map(fs_err::remove_dir);
}

fn is_ours(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name == DIR || name.starts_with(TEMPORARY)
}

/// Removes what was kept too long.
pub fn expire(kaniko_dir: &KanikoDir) {
    let dirs = match kaniko_dir {
        KanikoDir::At(dir) => vec![dir.join(DIR)],
        KanikoDir::Temporary => entries(Path::new(TEMPORARY_PARENT))
            .filter(|dir| is_ours(dir))
            .collect(),
    };
    for layout in dirs.iter().flat_map(|dir| entries(dir)) {
        let kept = fs_err::metadata(layout.join(MARK)).and_then(|mark| mark.modified());
        let age = kept.map(|kept| SystemTime::now().duration_since(kept).unwrap_or_default());
        if age.is_ok_and(|age| age > LIFETIME) {
            forget(&layout);
        }
    }
}

/// Returns what is in a directory; nothing if it is not there.
fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs_err::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_ones_go_and_only_ours() {
        let kaniko = tempfile::tempdir().unwrap();
        let make = |name: &str, marked: bool, age: u64| {
            let layout = kaniko.path().join(DIR).join(name);
            fs_err::create_dir_all(&layout).unwrap();
            if marked {
                fs_err::write(layout.join(MARK), "").unwrap();
                let then = SystemTime::now() - Duration::from_secs(age);
                let mark = std::fs::File::options().write(true).open(layout.join(MARK));
                mark.unwrap().set_modified(then).unwrap();
            }
            layout
        };
        let old = make("old", true, 8 * 24 * 3600);
        let new = make("new", true, 60);
        let other = make("other", false, 0);
        expire(&KanikoDir::At(kaniko.path().into()));
        assert!(!old.exists() && new.exists() && other.exists());
        forget(&new);
        forget(&other);
        assert!(!new.exists() && other.exists());
        fs_err::remove_dir(&other).unwrap();
        let last = make("last", true, 0);
        forget(&last);
        assert!(!kaniko.path().join(DIR).exists());
    }
}
