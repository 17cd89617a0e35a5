//! Which files below a directory a COPY takes.
//!
//! # Spec
//! Language spec 3.7, 3.10, 3.11.

use super::Error;
use super::tree::{Tree, verdict_on};
use crate::context::dockerignore::{Matcher, Verdict};
use crate::layer::LayerPath;
use crate::rootfs::Stat;

/// Why a file is visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is copied.
    Entry,
    /// It is a directory on the way to what `--parents` selects.
    Intermediate,
}

/// Visits what is below `from` and neither ignored nor excluded, and selected if there is a selection, in the order of a layer.
///
/// A directory that is hidden itself is visited once something below it is.
pub(super) fn visit(
    tree: &Tree<'_>,
    from: &LayerPath,
    exclude: &Matcher,
    select: Option<&Matcher>,
    visit: &mut dyn FnMut(&LayerPath, &Stat, Role) -> Result<(), Error>,
) -> Result<(), Error> {
    let none = Matcher::default();
    let ignore = tree.ignore.unwrap_or(&none);
    let mut levels = vec![Level {
        dir: from.clone(),
        pending: None,
        ignore: verdict_on(ignore, from),
        exclude: exclude.root(),
        select: select.map(Matcher::root),
    }];
    let mut walk = tree.root.walk(from)?;
    while let Some(found) = walk.next()? {
        levels.truncate(found.depth + 1);
        let above = &levels[found.depth];
        let path = found.layer_path();
        let stat = found.stat;
        let below = path.strip_prefix(from).unwrap_or_default();
        let level = Level {
            ignore: ignore.enter(&above.ignore, &path),
            exclude: exclude.enter(&above.exclude, &below),
            select: above
                .select
                .as_ref()
                .zip(select)
                .map(|(verdict, select)| select.enter(verdict, &below)),
            pending: None,
            dir: path,
        };
        let is_hidden = level.ignore.excluded() || level.exclude.excluded();
        let is_selected = level
            .select
            .as_ref()
            .is_none_or(|verdict| !verdict.excluded());
        if !is_hidden && is_selected {
            for above in &mut levels {
                if let Some((stat, role)) = above.pending.take() {
                    visit(&above.dir, &stat, role)?;
                }
            }
            visit(&level.dir, &stat, Role::Entry)?;
            levels.push(level);
            continue;
        }
        let keeps_below = stat.is_dir()
            && ignore.keeps_below(&level.ignore, &level.dir)
            && exclude.keeps_below(&level.exclude, &below)
            && level
                .select
                .as_ref()
                .zip(select)
                .is_none_or(|(verdict, select)| select.keeps_below(verdict, &below));
        if keeps_below {
            let role = match is_selected {
                true => Role::Entry,
                false => Role::Intermediate,
            };
            let pending = Some((stat, role));
            levels.push(Level { pending, ..level });
        } else {
            walk.skip();
            levels.push(level);
        }
    }
    Ok(())
}

/// A directory on the way down a tree.
struct Level {
    dir: LayerPath,
    /// Set where the directory is visited only if something below it is.
    pending: Option<(Stat, Role)>,
    ignore: Verdict,
    exclude: Verdict,
    select: Option<Verdict>,
}

/// What `--parents` takes: the entries of a directory that a pattern selects.
pub(super) struct Selection {
    pub base: LayerPath,
    /// Hides everything but what is selected.
    pub matcher: Matcher,
}

/// Splits a source of `--parents` at its pivot and makes its pattern a selection (PAR-2, PAR-5).
pub(super) fn select(tree: &Tree<'_>, word: &str) -> Result<Selection, Error> {
    let (before, pattern) = word.split_once("/./").unwrap_or(("", word));
    let before = LayerPath::clean(before);
    let base = tree.candidate(&before, &before)?;
    let pattern = LayerPath::clean(pattern);
    let text = String::from_utf8_lossy(pattern.as_bytes()).into_owned();
    let is_literal = !text.contains(['*', '?', '[', '\\']);
    if is_literal && !pattern.is_root() {
        let path = base.path.join(pattern.as_bytes());
        // Symlinks on the way are not followed (PAR-5).
        for dir in path.ancestors() {
            if !tree.root.stat(&dir)?.is_some_and(|stat| stat.is_dir()) {
                return Err(tree.not_found(&before.join(pattern.as_bytes()), false));
            }
        }
        let found = tree.root.stat(&path)?;
        if !found.is_some_and(|stat| stat.is_symlink()) {
            tree.candidate(&path, &before.join(pattern.as_bytes()))?;
        }
    }
    Ok(Selection {
        base: base.path,
        // The root itself selects nothing (PAR-6).
        matcher: match pattern.is_root() {
            true => Matcher::new(["**"])?,
            false => Matcher::new(["**".to_owned(), format!("!{text}")])?,
        },
    })
}
