//! Paths inside a layer or a root: relative, normalised, bytes.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path relative to the root of a layer: components joined by `/`, none of them empty, `.` or `..`. The root itself is empty.
///
/// Ordered component by component, so a directory stands directly before what it contains.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct LayerPath(Box<[u8]>);

impl LayerPath {
    /// Returns the root, the empty path.
    pub fn root() -> Self {
        Self::default()
    }

    /// Cleans `path` lexically: leading slashes, `.` and empty components go; a `..` takes back one component and stops at the root.
    pub fn clean(path: impl AsRef<[u8]>) -> Self {
        let mut components: Vec<&[u8]> = Vec::new();
        for component in path.as_ref().split(|b| *b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => drop(components.pop()),
                name => components.push(name),
            }
        }
        Self(components.join(&b'/').into())
    }

    /// Takes a path that must not contain `..`; used for what untrusted archives name.
    pub fn checked(path: impl AsRef<[u8]>) -> Option<Self> {
        let path = path.as_ref();
        let climbs = path
            .split(|b| *b == b'/')
            .any(|component| component == b"..");
        (!climbs && !path.contains(&0)).then(|| Self::clean(path))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path relative to the root, for use with a directory handle; `.` for the root.
    pub fn as_path(&self) -> &Path {
        if self.is_root() {
            Path::new(".")
        } else {
            Path::new(OsStr::from_bytes(&self.0))
        }
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|b| *b == b'/')
            .filter(|component| !component.is_empty())
    }

    /// Returns the last component; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// Returns the directory above; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// Returns the directories above, the root left out, outermost first.
    pub fn ancestors(&self) -> Vec<Self> {
        let ends = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .map(|(i, _)| i);
        ends.map(|end| Self(self.0[..end].into())).collect()
    }

    /// Appends `path`, cleaned; `..` in it takes back components of `self` too.
    pub fn join(&self, path: impl AsRef<[u8]>) -> Self {
        let mut joined = self.0.to_vec();
        joined.push(b'/');
        joined.extend_from_slice(path.as_ref());
        Self::clean(joined)
    }

    /// Tells whether `self` is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(&*other.0)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Returns the part below `base`, or `None` if `self` does not lie in it.
    pub fn strip_prefix(&self, base: &Self) -> Option<Self> {
        self.starts_with(base)
            .then(|| Self::clean(&self.0[base.0.len()..]))
    }
}

impl Ord for LayerPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (a, b) = (&self.0, &other.0);
        let differs = a.iter().zip(b).position(|(a, b)| a != b);
        match differs.map(|at| (a[at], b[at])) {
            // A slash ends a component, and what ends first comes first.
            Some((b'/', _)) => std::cmp::Ordering::Less,
            Some((_, b'/')) => std::cmp::Ordering::Greater,
            Some((a, b)) => a.cmp(&b),
            None => a.len().cmp(&b.len()),
        }
    }
}

impl PartialOrd for LayerPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_stays_inside_the_root() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("/a//b/./c/", "/a/b/c"),
            ("../../x",    "/x"),
            ("a/../../b",  "/b"),
            ("",           "/"),
            (".",          "/"),
        ];
        for (text, want) in cases {
            assert_eq!(LayerPath::clean(text).to_string(), want, "{text}");
        }
        assert_eq!(LayerPath::checked("a/../b"), None);
    }

    #[test]
    fn a_directory_sorts_directly_before_its_content() {
        let mut paths = ["a.b", "a", "a/x", "a-b", "b"].map(LayerPath::clean);
        paths.sort();
        assert_eq!(
            paths.map(|p| p.to_string()),
            ["/a", "/a/x", "/a-b", "/a.b", "/b"]
        );
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_that_of_the_components(a in "[a./-]{0,8}", b in "[a./-]{0,8}") {
            let (a, b) = (LayerPath::clean(a), LayerPath::clean(b));
            proptest::prop_assert_eq!(a.cmp(&b), a.components().cmp(b.components()));
        }
    }

    #[test]
    fn prefixes_are_whole_components() {
        let path = LayerPath::clean("a/b");
        assert!(
            path.starts_with(&LayerPath::clean("a"))
                && !path.starts_with(&LayerPath::clean("a/bb"))
        );
        assert!(!LayerPath::clean("ab").starts_with(&LayerPath::clean("a")));
        assert_eq!(
            path.strip_prefix(&LayerPath::clean("a")),
            Some(LayerPath::clean("b"))
        );
        assert_eq!(path.ancestors(), [LayerPath::clean("a")]);
    }
}
