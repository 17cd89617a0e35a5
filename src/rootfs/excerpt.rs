//! Roots that have only those files of an image that somebody looks at.

use std::collections::BTreeSet;

use super::present::Present;
use super::resolve::MAX_SYMLINKS;
use super::{Error, FileType, Rootfs};
use crate::layer::LayerPath;

/// More places than links lead to in any real image.
const MAX_PATHS: usize = 256;

/// Which files of an image are put into a root.
///
/// Directories and symlinks are made wherever they are, so that all paths lead where they should. Of everything else, what is at
/// and below some paths, links followed. Links are followed as layers bring them; [`is_complete_in`](Self::is_complete_in) tells
/// afterwards whether one came too late.
#[derive(Debug, Default)]
pub struct Excerpt {
    asked: Vec<LayerPath>,
    /// What was asked for, and where links on the way there lead.
    paths: BTreeSet<LayerPath>,
    left_out: Present,
    /// A hard link to what was left out.
    is_torn: bool,
}

impl Excerpt {
    pub fn new(paths: impl IntoIterator<Item = LayerPath>) -> Self {
        let asked: Vec<_> = paths.into_iter().collect();
        Self {
            paths: asked.iter().cloned().collect(),
            asked,
            ..Self::default()
        }
    }

    /// Tells whether a file at `path`, which leads through no link, is put into the root.
    pub(super) fn has(&self, path: &LayerPath) -> bool {
        let is_near = |wanted: &LayerPath| path.starts_with(wanted) || wanted.starts_with(path);
        self.paths.iter().any(is_near)
    }

    /// Notes that a file was not put into the root.
    pub(super) fn leave_out(&mut self, path: &LayerPath) {
        self.left_out.insert(path);
    }

    /// Notes that a hard link could not be made, because what it links to was left out.
    pub(super) fn tear(&mut self) {
        self.is_torn = true;
    }

    /// Follows a symlink that was put at `path`.
    pub(super) fn follow(&mut self, path: &LayerPath, target: &[u8]) {
        let beyond: Vec<LayerPath> = self
            .paths
            .iter()
            .filter_map(|wanted| wanted.strip_prefix(path))
            .map(|rest| beside(path, target).join(rest.as_bytes()))
            .collect();
        if self.paths.len() + beyond.len() <= MAX_PATHS {
            self.paths.extend(beyond);
        }
    }

    /// Tells whether nothing is missing in `root` of what was asked for, or on the way there.
    pub fn is_complete_in(&self, root: &Rootfs) -> Result<bool, Error> {
        if self.is_torn {
            return Ok(false);
        }
        for path in &self.asked {
            if !self.is_whole(path, root)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_whole(&self, path: &LayerPath, root: &Rootfs) -> Result<bool, Error> {
        let mut at = LayerPath::root();
        let mut pending: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == b"." || name.is_empty() {
                continue;
            }
            if name == b".." {
                at = at.parent().unwrap_or_default();
                continue;
            }
            let next = at.join(&name);
            if self.left_out.has(&next) {
                return Ok(false);
            }
            let is_link = root
                .stat(&next)?
                .is_some_and(|stat| stat.kind == FileType::Symlink);
            if !is_link {
                at = next;
                continue;
            }
            links += 1;
            if links > MAX_SYMLINKS {
                // whoever follows it says so
                return Ok(true);
            }
            let target = root.read_link(&next)?;
            if target.starts_with(b"/") {
                at = LayerPath::root();
            }
            let names = target.split(|byte| *byte == b'/').rev();
            pending.extend(names.map(<[u8]>::to_vec));
        }
        Ok(!self.left_out.has_below(&at))
    }
}

/// Returns what `target` means for a link at `path`, as far as its text tells.
fn beside(path: &LayerPath, target: &[u8]) -> LayerPath {
    match target.starts_with(b"/") {
        true => LayerPath::clean(target),
        false => {
            let parent = path.parent().unwrap_or_default();
            LayerPath::clean([parent.as_bytes(), target].join(&b'/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Limits, Reader};
    use crate::rootfs::testing::{Scratch, tar};

    /// Unpacks layers, and tells what files there are and whether that is enough.
    fn check(layers: &[&str], paths: &[&str]) -> (String, bool) {
        let t = Scratch::new();
        let mut excerpt = Excerpt::new(paths.iter().map(LayerPath::clean));
        for layer in layers {
            let layer = tar(layer);
            let mut reader = Reader::new(&layer[..], Limits::default());
            t.root.apply_excerpt(&mut reader, &mut excerpt).unwrap();
        }
        let mut names = Vec::new();
        let mut walk = t.root.walk(&LayerPath::root()).unwrap();
        while let Some(found) = walk.next().unwrap() {
            if found.stat.kind == FileType::File {
                names.push(found.layer_path().to_string());
            }
        }
        (names.join(" "), excerpt.is_complete_in(&t.root).unwrap())
    }

    #[test]
    fn files_that_were_asked_for() {
        let image = "d a\nf a/x 1\nf a/y 1\nd b\nf b/z 1\nl l a/x\nl m /b\nl n l\nf c 1\nh h c";
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[&str], &[&str], &str, bool); 15] = [
            (&[image],                       &["a/x"],        "/a/x",         true),
            (&[image],                       &["a"],          "/a/x /a/y",    true),
            (&[image],                       &["b", "a/y"],   "/a/y /b/z",    true),
            (&[image],                       &["nothing"],    "",             true),
            (&[image],                       &["a/x/below"],  "/a/x",         true),
            // a link before what it leads to, and one behind
            (&["l bin usr/bin\nf usr/bin/x 1\nf usr/y 1"], &["bin/x"], "/usr/bin/x", true),
            (&["l bin usr/bin\nf bin/x 1\nf usr/y 1"],     &["bin"],   "/usr/bin/x", true),
            (&[image],                       &["l"],          "",             false),
            (&[image],                       &["m/z"],        "",             false),
            (&[image],                       &["n"],          "",             false),
            (&[image, "f a/x 2"],            &["l"],          "/a/x",         false),
            // hard links
            (&[image],                       &["c"],          "/c",           true),
            (&[image],                       &["h"],          "",             false),
            // what an upper layer hides or replaces
            (&[image, "f a/.wh.x\nf b/.wh.z"],     &["a"],    "/a/y",         true),
            (&[image, "f .wh.a\nd a\nf a/new 1"],  &["a/new"], "/a/new",      true),
        ];
        for (layers, paths, files, complete) in cases {
            let want = (files.to_owned(), complete);
            assert_eq!(check(layers, paths), want, "{layers:?} {paths:?}");
        }
    }

    #[test]
    fn directories_that_only_files_imply() {
        let t = Scratch::new();
        let layer = tar("f usr/bin/x 1");
        let mut reader = Reader::new(&layer[..], Limits::default());
        let mut excerpt = Excerpt::new([LayerPath::clean("etc")]);
        t.root.apply_excerpt(&mut reader, &mut excerpt).unwrap();
        let found = t.root.stat(&LayerPath::clean("usr/bin")).unwrap();
        assert!(found.is_some_and(|stat| stat.is_dir()));
    }
}
