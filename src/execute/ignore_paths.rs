//! `--ignore-path`: what is no part of the image.

use std::path::Path;

use fs_err as fs;

use crate::layer::LayerPath;

use super::glob;

/// Absolute paths, each with all that lies below it; any component may be a pattern.
///
/// # Spec
/// Compat spec 1.3 and 8.5.
#[derive(Debug, Clone, Default)]
pub struct IgnorePaths(Vec<LayerPath>);

impl IgnorePaths {
    /// Takes what can match anything, see [`never_matches`].
    pub fn new(texts: &[String]) -> Self {
        let texts = texts.iter().filter(|text| never_matches(text).is_none());
        Self(texts.map(LayerPath::clean).collect())
    }

    /// Returns the paths as they are written.
    pub fn texts(&self) -> &[LayerPath] {
        &self.0
    }

    /// Tells whether `path` is one of them or lies below one.
    pub fn cover(&self, path: &[u8]) -> bool {
        !self.0.is_empty() && {
            let path = LayerPath::clean(path);
            self.0.iter().any(|pattern| covers(pattern, &path))
        }
    }

    /// Returns the paths that `root` has; those without a pattern whether or not they are there.
    pub fn below(&self, root: &Path) -> Vec<LayerPath> {
        let patterns = self.0.iter();
        patterns
            .flat_map(|pattern| {
                let start = vec![LayerPath::root()];
                pattern.components().fold(start, |dirs, component| {
                    let dirs = dirs.iter();
                    dirs.flat_map(|dir| children(root, dir, component))
                        .collect()
                })
            })
            .collect()
    }
}

/// Returns why a value of the flag matches nothing, if that is so.
pub fn never_matches(text: &str) -> Option<&'static str> {
    let malformed = |text: &str| {
        let path = LayerPath::clean(text);
        path.components().any(|part| !glob::is_valid(part))
    };
    match text {
        text if !text.starts_with('/') => Some("it does not begin with `/`"),
        text if malformed(text) => Some("its pattern is malformed"),
        _ => None,
    }
}

fn covers(pattern: &LayerPath, path: &LayerPath) -> bool {
    let mut names = path.components();
    let mut components = pattern.components();
    components.all(|component| names.next().is_some_and(|name| fits(component, name)))
}

fn fits(component: &[u8], name: &[u8]) -> bool {
    match is_literal(component) {
        true => component == name,
        false => glob::matches(component, name) == Some(true),
    }
}

fn is_literal(component: &[u8]) -> bool {
    !component.iter().any(|byte| b"*?[\\".contains(byte))
}

fn children(root: &Path, dir: &LayerPath, component: &[u8]) -> Vec<LayerPath> {
    if is_literal(component) {
        return vec![dir.join(component)];
    }
    // In what is no directory, or is closed, there is nothing that anybody could see.
    let entries = fs::read_dir(root.join(dir.as_path()));
    let names = entries.into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().into_encoded_bytes());
    let mut found: Vec<LayerPath> = names
        .filter(|name| fits(component, name))
        .map(|name| dir.join(name))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // value               path                 covered
            ("/srv/data",          "srv/data",          true),
            ("/srv/data",          "srv/data/deep/f",   true),
            ("/srv/data/",         "srv/data/f",        true),
            ("/srv/data",          "srv/database",      false),
            ("/srv/data",          "srv",               false),
            ("/srv/*.log",         "srv/a.log",         true),
            ("/srv/*.log",         "srv/a.log/f",       true),
            ("/srv/*.log",         "srv/deep/a.log",    false),
            ("/*/cache",           "home/cache/f",      true),
            ("/*/cache",           "cache",             false),
            ("/h?me/[ab]*",        "home/bob",          true),
            ("/h?me/[ab]*",        "home/carol",        false),
            ("/a\\*b",             "a*b",               true),
            ("/a\\*b",             "axb",               false),
            ("srv",                "srv",               false),
            ("*/srv",              "x/srv",             false),
            ("/[srv",              "[srv",              false),
            ("/",                  "anything",          true),
        ];
        for (value, path, want) in cases {
            let paths = IgnorePaths::new(&[value.to_owned()]);
            assert_eq!(paths.cover(path.as_bytes()), want, "{value} {path}");
        }
        assert!(!IgnorePaths::default().cover(b"anything"));
    }

    #[test]
    fn what_a_container_has_of_them() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["home/a/cache", "home/b/cache", "home/c", "etc"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("home/file"), "").unwrap();
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("/etc",               "etc"),
            ("/absent/deep",       "absent/deep"),
            ("/home/[a-c]",        "home/a home/b home/c"),
            ("/home/*/cache",      "home/a/cache home/b/cache home/c/cache home/file/cache"),
            ("/home/*/ca*",        "home/a/cache home/b/cache"),
            ("/absent/*",          ""),
            ("home/*",             ""),
        ];
        for (value, want) in cases {
            let found = IgnorePaths::new(&[value.to_owned()]).below(dir.path());
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            let want: Vec<String> = want.split_whitespace().map(|p| format!("/{p}")).collect();
            assert_eq!(found, want, "{value}");
        }
    }
}
