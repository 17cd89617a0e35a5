//! Which image is meant.

use std::fmt;
use std::path::PathBuf;

use crate::image::ImageRef;

/// An image that a stage starts from or that files come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageName {
    /// In a registry.
    Registry(ImageRef),
    /// In an OCI layout of this machine.
    Layout(LayoutName),
}

/// An image of an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutName {
    /// As typed.
    pub dir: PathBuf,
    /// A tag or a digest; absent for the only image.
    pub name: Option<String>,
}

impl From<ImageRef> for ImageName {
    fn from(image: ImageRef) -> Self {
        Self::Registry(image)
    }
}

impl LayoutName {
    /// Reads `DIR[:TAG][@DIGEST]`; with both the digest decides.
    pub(super) fn parse(text: &str) -> Self {
        let (path, digest) = match text.rsplit_once('@') {
            Some((path, digest)) if digest.starts_with("sha256:") => (path, Some(digest)),
            _ => (text, None),
        };
        let (dir, tag) = match path.rsplit_once(':') {
            Some((dir, tag)) if !tag.contains('/') => (dir, Some(tag)),
            _ => (path, None),
        };
        Self {
            dir: dir.into(),
            name: digest.or(tag).map(str::to_owned),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(image) => image.fmt(f),
            Self::Layout(layout) => {
                write!(f, "oci-layout://{}", layout.dir.display())?;
                match &layout.name {
                    Some(name) if name.contains(':') => write!(f, "@{name}"),
                    Some(name) => write!(f, ":{name}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_layouts() {
        let digest = format!("sha256:{}", "0".repeat(64));
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a/b".to_owned(),          "a/b",   None),
            ("a/b:v1".to_owned(),       "a/b",   Some("v1")),
            ("a:b/c".to_owned(),        "a:b/c", None),
            (format!("a@{digest}"),     "a",     Some(&*digest)),
            (format!("a:v1@{digest}"),  "a",     Some(&*digest)),
            ("a@b".to_owned(),          "a@b",   None),
        ];
        for (text, dir, name) in cases {
            let layout = LayoutName::parse(&text);
            assert_eq!(layout.dir.to_str(), Some(dir), "{text}");
            assert_eq!(layout.name.as_deref(), name, "{text}");
        }
        let shown = |text: &str| ImageName::Layout(LayoutName::parse(text)).to_string();
        assert_eq!(shown("a:v1"), "oci-layout://a:v1");
        assert_eq!(
            shown(&format!("a:v1@{digest}")),
            format!("oci-layout://a@{digest}")
        );
    }
}
