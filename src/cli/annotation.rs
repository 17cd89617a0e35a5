//! What `--annotation` says: `[LEVEL[\[PLATFORM\]][,…]:]KEY=VALUE`.
//!
//! # Spec
//! BuildKit, `docs/annotations.md`, in the spelling of `docker buildx build`. Other prefixes are part of the key, as in kaniko.

use crate::image::Platform;
use crate::output::annotations::{Annotation, Level};

/// Reads one value of the flag, which may be for several documents.
///
/// # Errors
/// In the words of the flag's parser.
pub fn parse(text: &str) -> Result<Vec<Annotation>, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("invalid argument value. expect key=value, got {text}"))?;
    let (levels, key) = match name
        .split_once(':')
        .map(|(levels, key)| (levels.split(','), key))
    {
        Some((levels, key)) => match levels.map(level).collect::<Option<Vec<_>>>() {
            Some(levels) => (levels, key),
            None => (vec![(Level::Manifest, None)], name),
        },
        None => (vec![(Level::Manifest, None)], name),
    };
    let annotation = |(level, platform): (Level, Option<&str>)| {
        let platform = platform.map(str::parse::<Platform>).transpose();
        if level != Level::Manifest && level != Level::ManifestDescriptor && platform != Ok(None) {
            return Err(format!("an index is for no platform alone, got {text}"));
        }
        Ok(Annotation {
            level,
            platform: platform.map_err(|error| error.to_string())?,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    };
    levels.into_iter().map(annotation).collect()
}

/// Reads `index`, or `manifest[linux/amd64]`.
fn level(text: &str) -> Option<(Level, Option<&str>)> {
    let (name, platform) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((name, platform)) => (name, Some(platform)),
        None => (text, None),
    };
    let level = match name {
        "manifest" => Level::Manifest,
        "index" => Level::Index,
        "manifest-descriptor" => Level::ManifestDescriptor,
        "index-descriptor" => Level::IndexDescriptor,
        _ => return None,
    };
    Some((level, platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a=b",                            "Manifest a=b"),
            ("a=b=c",                          "Manifest a=b=c"),
            ("com.example:x=y:z",              "Manifest com.example:x=y:z"),
            ("manifest:a=b",                   "Manifest a=b"),
            ("index:a=index:b",                "Index a=index:b"),
            ("manifest-descriptor:a=b",        "ManifestDescriptor a=b"),
            ("index-descriptor:a=b",           "IndexDescriptor a=b"),
            ("index,manifest[linux/arm64]:a=", "Index a=; Manifest linux/arm64 a="),
            ("index,other:a=b",                "Manifest index,other:a=b"),
            ("index[linux/arm64]:a=b",         "an index is for no platform alone, got index[linux/arm64]:a=b"),
            ("manifest[a/b/c/d]:a=b",          "invalid platform `a/b/c/d`: too many components"),
            ("a",                              "invalid argument value. expect key=value, got a"),
        ];
        for (text, want) in cases {
            let print = |annotation: &Annotation| {
                let platform = annotation
                    .platform
                    .as_ref()
                    .map(|platform| format!("{platform} "));
                let platform = platform.unwrap_or_default();
                format!(
                    "{:?} {platform}{}={}",
                    annotation.level, annotation.key, annotation.value
                )
            };
            let got = parse(text).map(|all| all.iter().map(print).collect::<Vec<_>>().join("; "));
            assert_eq!(got.unwrap_or_else(|error| error), want, "{text}");
        }
    }
}
