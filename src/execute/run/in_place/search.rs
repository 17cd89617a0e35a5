//! Looking through a tree, however deep a command made it.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Mode, openat};

use super::dir::{self, Seen};
use crate::layer::LayerPath;
use crate::rootfs::walk::Descent;

/// What becomes of something that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is looked into, if it is a directory.
    Into,
    Past,
    /// It is what was looked for.
    Found,
}

/// A directory that is looked through.
struct Level {
    names: std::vec::IntoIter<Vec<u8>>,
    /// Length of its path.
    path_len: usize,
}

/// Shows `look` everything below a directory with its path from there, names in order; returns the path of what was found.
pub(super) fn search(
    base: impl AsFd,
    mut look: impl FnMut(&[u8], Seen) -> Next,
) -> io::Result<Option<LayerPath>> {
    let mut path: Vec<u8> = Vec::new();
    let mut descent = Descent::default();
    let mut levels = Vec::new();
    let mut below = Some(dir::open(base, &LayerPath::root())?);
    loop {
        if let Some(below) = below.take() {
            levels.push(Level {
                names: dir::names(&below)?.into_iter(),
                path_len: path.len(),
            });
            descent.push(below)?;
        }
        let Some(level) = levels.last_mut() else {
            return Ok(None);
        };
        path.truncate(level.path_len);
        let Some(name) = level.names.next() else {
            levels.pop();
            descent.pop()?;
            continue;
        };
        let handle = descent.top().expect("a level has its directory");
        let Some(seen) = dir::look_at(handle, &name)? else {
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        match look(&path, seen) {
            Next::Found => return Ok(Some(LayerPath::clean(&path))),
            Next::Into if seen.is_dir() => {
                below = Some(openat(handle, &name[..], dir::DIRECTORY, Mode::empty())?);
            }
            Next::Into | Next::Past => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_costs_no_stack() {
        const DEPTH: usize = 600;
        let root = tempfile::tempdir().unwrap();
        let base = fs_err::File::open(root.path()).unwrap();
        let mut handle = dir::open(&base, &LayerPath::root()).unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&handle, "d", Mode::RWXU).unwrap();
            handle = openat(&handle, "d", dir::DIRECTORY, Mode::empty()).unwrap();
        }
        let wanted = dir::look_at(&handle, b".").unwrap().unwrap().identity;
        let look = |_: &[u8], seen: Seen| match seen.identity == wanted {
            true => Next::Found,
            false => Next::Into,
        };
        let found = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(128 << 10);
            let searching = thread.spawn_scoped(scope, || search(&base, look));
            searching.unwrap().join().unwrap()
        });
        assert_eq!(found.unwrap().unwrap().components().count(), DEPTH);
        dir::remove_tree(&base, b"d").unwrap();
    }

    #[test]
    fn what_is_passed_is_not_looked_into() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["a/b/c", "d/e"] {
            fs_err::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs_err::write(root.path().join("a/f"), "").unwrap();
        let handle = fs_err::File::open(root.path()).unwrap();
        let mut seen = Vec::new();
        let found = search(handle, |path, _| {
            seen.push(String::from_utf8(path.to_vec()).unwrap());
            match path {
                b"a/b" => Next::Past,
                _ => Next::Into,
            }
        });
        assert_eq!(found.unwrap(), None);
        assert_eq!(seen, ["a", "a/b", "a/f", "d", "d/e"]);
    }
}
