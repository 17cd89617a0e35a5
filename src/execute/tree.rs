//! Where COPY and ADD take files from, and which of them a source word means.
//!
//! # Spec
//! Language spec 3.7, IGN-6.

use super::{Error, glob};
use crate::context::dockerignore::{Matcher, Verdict};
use crate::dockerfile::suggest;
use crate::layer::LayerPath;
use crate::rootfs::{self, Rootfs, Stat};

/// A tree of files to copy from: a build context, or the root of a stage or an image.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    pub root: &'a Rootfs,
    /// What does not exist for the build.
    pub ignore: Option<&'a Matcher>,
    pub owners: Owners,
    /// How messages call it, such as `build context` or a stage's name.
    pub name: &'a str,
}

/// Whose files copies are without `--chown` (META-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Everything counts as 0:0, as in a local directory.
    Root,
    /// As in the source: stages and images.
    Kept,
}

/// A file or directory that a source word stands for.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Where it is, symlinks followed.
    pub path: LayerPath,
    /// Last component of what was named or matched; the name in a directory. Empty for the root.
    pub name: Vec<u8>,
    pub stat: Stat,
}

impl Tree<'_> {
    /// Tells whether what is on disk is what the build sees.
    pub(super) fn is_as_it_is(&self) -> bool {
        self.owners == Owners::Kept && self.ignore.is_none()
    }

    /// Returns what `word` stands for, in order; nothing for a pattern without match.
    ///
    /// # Errors
    /// [`Error::NotFound`] if a path without wildcards, or the part before the first wildcard, does not exist.
    pub(super) fn candidates(&self, word: &str) -> Result<Vec<Candidate>, Error> {
        let path = LayerPath::clean(word);
        let components: Vec<&[u8]> = path.components().collect();
        let fixed = components.iter().position(|c| glob::is_pattern(c));
        let Some(fixed) = fixed else {
            return Ok(vec![self.candidate(&path, &path)?]);
        };
        let (prefix, patterns) = components.split_at(fixed);
        if !patterns.iter().all(|pattern| glob::is_valid(pattern)) {
            return Err(Error::Pattern(word.to_owned()));
        }
        let prefix = LayerPath::clean(prefix.join(&b'/'));
        let base = self.candidate(&prefix, &prefix)?;
        let mut found = Vec::new();
        if base.stat.is_dir() {
            self.search(&base.path, patterns, &mut found)?;
        }
        Ok(found)
    }

    fn search(
        &self,
        dir: &LayerPath,
        patterns: &[&[u8]],
        found: &mut Vec<Candidate>,
    ) -> Result<(), Error> {
        let Some((pattern, rest)) = patterns.split_first() else {
            return Ok(());
        };
        for name in self.root.read_dir(dir)? {
            if glob::matches(pattern, &name) != Some(true) {
                continue;
            }
            let path = dir.join(&name);
            let Some(stat) = self.root.stat(&path)? else {
                continue;
            };
            if !self.exists(&path, &stat)? {
                continue;
            }
            if rest.is_empty() {
                found.push(self.candidate(&path, &path)?);
            } else if stat.is_dir() {
                self.search(&path, rest, found)?;
            }
        }
        Ok(())
    }

    /// Looks a path up, following symlinks inside the tree; `word` is what a message calls it.
    pub(super) fn candidate(&self, path: &LayerPath, word: &LayerPath) -> Result<Candidate, Error> {
        let real = match self.root.resolve(path.as_bytes()) {
            Ok(real) => real,
            Err(rootfs::Error::NotADirectory { .. } | rootfs::Error::TooManySymlinks { .. }) => {
                return Err(self.not_found(word, false));
            }
            Err(error) => return Err(error.into()),
        };
        let Some(stat) = self.root.stat(&real)? else {
            return Err(self.not_found(word, false));
        };
        let own = self.root.resolve_parent(path.as_bytes())?;
        let own_stat = self.root.stat(&own)?.unwrap_or(stat);
        if !self.exists(&real, &stat)? || !self.exists(&own, &own_stat)? {
            return Err(self.not_found(word, true));
        }
        Ok(Candidate {
            path: real,
            name: path.file_name().unwrap_or_default().to_vec(),
            stat,
        })
    }

    /// Tells whether the build sees `path`: it is not ignored, or a directory above something that is not (IGN-14).
    fn exists(&self, path: &LayerPath, stat: &Stat) -> Result<bool, Error> {
        let Some(ignore) = self.ignore else {
            return Ok(true);
        };
        let verdict = verdict_on(ignore, path);
        if path.is_root() || !verdict.excluded() {
            return Ok(true);
        }
        if !stat.is_dir() || !ignore.keeps_below(&verdict, path) {
            return Ok(false);
        }
        let mut verdicts = vec![verdict];
        let mut walk = self.root.walk(path)?;
        while let Some(found) = walk.next()? {
            verdicts.truncate(found.depth + 1);
            let path = found.layer_path();
            let verdict = ignore.enter(&verdicts[found.depth], &path);
            if !verdict.excluded() {
                return Ok(true);
            }
            if !ignore.keeps_below(&verdict, &path) {
                walk.skip();
            }
            verdicts.push(verdict);
        }
        Ok(false)
    }

    pub(super) fn not_found(&self, path: &LayerPath, ignored: bool) -> Error {
        let parent = path.parent().unwrap_or_default();
        // Only for a hint, so what cannot be read gives none.
        let names = self.root.read_dir(&parent).unwrap_or_default();
        let names: Vec<_> = names
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let typed = String::from_utf8_lossy(path.file_name().unwrap_or_default());
        let similar = suggest(&typed, names.iter().map(String::as_str));
        Error::NotFound {
            tree: self.name.to_owned(),
            path: path.clone(),
            ignored,
            similar: similar.map(|name| name.to_owned()),
        }
    }
}

/// Judges a path and all directories above it, the outermost first.
pub(super) fn verdict_on(matcher: &Matcher, path: &LayerPath) -> Verdict {
    let above = path.ancestors();
    let steps = above.iter().chain([path]).filter(|path| !path.is_root());
    steps.fold(matcher.root(), |verdict, path| {
        matcher.enter(&verdict, path)
    })
}
