//! Paths of an image as text, cleaned without looking at any filesystem.

/// Cleans `path` as Go's `path.Clean` does: relative paths stay relative, the empty path is `.`.
pub(super) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|last| *last != "..") => drop(components.pop()),
            ".." if absolute => {}
            name => components.push(name),
        }
    }
    match (absolute, components.is_empty()) {
        (true, _) => format!("/{}", components.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => components.join("/"),
    }
}

/// Resolves `path` from the directory `base`, cleaned; the result is absolute.
pub(super) fn join(base: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => clean(path),
        false => clean(&format!("/{base}/{path}")),
    }
}

/// Returns what stands behind the last slash, trailing slashes left out.
pub(super) fn base_name(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("/a//b/./c/", "/a/b/c"),
            ("/../a",      "/a"),
            ("../a/../b",  "../b"),
            ("",           "."),
            ("/",          "/"),
            ("c",          "c"),
        ];
        for (path, want) in cases {
            assert_eq!(clean(path), want, "{path}");
        }
    }

    #[test]
    fn joining_is_absolute() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("/a",  "b",        "/a/b"),
            ("/a",  "/b/",      "/b"),
            ("/a",  "../../..", "/"),
            ("",    "b",        "/b"),
            ("/a",  "",         "/a"),
        ];
        for (base, path, want) in cases {
            assert_eq!(join(base, path), want, "{base} {path}");
        }
    }
}
