//! `.dockerignore`: which files of a build context a build sees. Pure: takes text, answers about paths.
//!
//! `COPY --exclude` and the patterns of `COPY --parents` use the same language through [`Matcher::new`].

mod pattern;

use crate::layer::LayerPath;
use pattern::Pattern;

/// An ordered list of ignore patterns.
///
/// A tree is judged top-down: begin with [`Matcher::root`] and give each entry its directory's verdict.
///
/// ```
/// use executor::context::dockerignore;
/// use executor::layer::LayerPath;
///
/// let matcher = dockerignore::parse(b"target\n!target/keep\n").unwrap();
/// let target = matcher.enter(&matcher.root(), &LayerPath::clean("target"));
/// assert!(target.excluded());
/// assert!(!matcher.enter(&target, &LayerPath::clean("target/keep")).excluded());
/// assert!(matcher.excludes(&LayerPath::clean("target/other")));
/// ```
///
/// # Spec
/// Dockerfile language spec 4.2 to 4.4.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

/// What a [`Matcher`] says about one path, and what the entries below inherit from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// By pattern: whether it applied to the path or to a directory above it.
    applied: Vec<bool>,
    excluded: bool,
}

impl Verdict {
    /// Tells whether the last pattern that applied hides the path. For a list of things to select, as in
    /// `COPY --parents`, it means that the path is selected.
    pub fn excluded(&self) -> bool {
        self.excluded
    }
}

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("illegal exclusion pattern: \"!\"")]
    IllegalExclusion,
    #[error("syntax error in pattern: \"{pattern}\"")]
    Syntax { pattern: String },
}

/// A line of an ignore file that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    pub error: Error,
}

/// Parses the content of an ignore file.
///
/// # Errors
/// [`LineError`] for the first line that is no pattern.
pub fn parse(text: &[u8]) -> Result<Matcher, LineError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut patterns = Vec::new();
    for (line, pattern) in (1..).zip(text.split(|b| *b == b'\n')) {
        if !pattern.starts_with(b"#") {
            let parsed = Pattern::parse(pattern);
            patterns.extend(parsed.map_err(|error| LineError { line, error })?);
        }
    }
    Ok(Matcher { patterns })
}

impl Matcher {
    /// Makes a matcher of single patterns; blank ones count for nothing.
    ///
    /// # Errors
    /// [`Error`] for the first one that is no pattern.
    pub fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        let mut parsed = Vec::new();
        for pattern in patterns {
            parsed.extend(Pattern::parse(pattern.as_ref())?);
        }
        Ok(Self { patterns: parsed })
    }

    /// Tells whether some pattern takes back what others exclude.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns the verdict for the root of the tree, which no pattern matches.
    pub fn root(&self) -> Verdict {
        Verdict {
            applied: vec![false; self.patterns.len()],
            excluded: false,
        }
    }

    /// Judges `path`, relative to the root of the tree, given the verdict on the directory it lies in.
    pub fn enter(&self, directory: &Verdict, path: &LayerPath) -> Verdict {
        let mut verdict = self.root();
        for (index, pattern) in self.patterns.iter().enumerate() {
            // A pattern is only tried if it could change the verdict so far; otherwise it is not handed down either.
            let applies = directory.applied[index]
                || (pattern.exception == verdict.excluded && pattern.matches(path.as_bytes()));
            if applies {
                verdict.applied[index] = true;
                verdict.excluded = !pattern.exception;
            }
        }
        verdict
    }

    /// Judges `path` alone, walking down to it.
    pub fn excludes(&self, path: &LayerPath) -> bool {
        let mut verdict = self.root();
        for directory in path.ancestors() {
            verdict = self.enter(&verdict, &directory);
        }
        self.enter(&verdict, path).excluded
    }

    /// Tells whether something below `directory`, which got `verdict`, may be kept. A walk need not descend where not.
    pub fn keeps_below(&self, verdict: &Verdict, directory: &LayerPath) -> bool {
        let exceptions = || self.patterns.iter().filter(|pattern| pattern.exception);
        !verdict.excluded || exceptions().any(|pattern| pattern.may_match_below(directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "a.md README.md b.txt .env Dockerfile .dockerignore foo foobar foobar/x x x/foo src src/a.go src/b.md \
        src/sub src/sub/c.go src/sub/d.md dir dir/keep dir/keep/k dir/drop dir/drop/d tmp tmp/one tmp/two tmp/two/three";

    fn excluded(patterns: &str) -> String {
        let matcher = parse(patterns.as_bytes()).unwrap();
        let hidden = |path: &&str| matcher.excludes(&LayerPath::clean(path));
        TREE.split_whitespace()
            .filter(hidden)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_is_excluded() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("*.md",                      "a.md README.md"),
            ("**/*.md",                   "a.md README.md src/b.md src/sub/d.md"),
            ("src",                       "src src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("/src/",                     "src src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("./src/.",                   "src src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("src/*",                     "src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("src/**",                    "src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("*",                         TREE),
            ("**",                        TREE),
            ("**/*",                      TREE),
            ("foo",                       "foo"),
            ("**/foo",                    "foo x/foo"),
            ("*/foo",                     "x/foo"),
            ("foo*",                      "foo foobar foobar/x"),
            ("foo/**",                    ""),
            ("**/sub/**",                 "src/sub/c.go src/sub/d.md"),
            ("src/**/*.md",               "src/b.md src/sub/d.md"),
            ("*/*/c*",                    "src/sub/c.go"),
            ("tmp/?ne",                   "tmp/one"),
            ("[^a-z]*",                   "README.md .env Dockerfile .dockerignore"),
            ("FOO",                       ""),
            ("*.md\n!README.md",          "a.md"),
            ("!README.md\n*.md",          "a.md README.md"),
            ("dir\n!dir/keep",            "dir dir/drop dir/drop/d"),
            ("src/*\n!src/sub\nsrc/sub/d.md", "src/a.go src/b.md src/sub/d.md"),
            ("src\n!**/d.md",             "src src/a.go src/b.md src/sub src/sub/c.go"),
            ("*\n!*/",                    ""),
            ("**.go",                     "src/a.go src/sub/c.go"),
            ("**md",                      "a.md README.md src/b.md src/sub/d.md"),
            ("**oo",                      "foo x/foo"),
            ("s**c.go",                   "src/sub/c.go"),
            ("s**",                       "src src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("**.g?",                     ""),
            (".\n/\n../foo\n\n  \n# foo", ""),
        ];
        for (patterns, want) in cases {
            let want: Vec<&str> = want.split_whitespace().collect();
            assert_eq!(excluded(patterns), want.join(" "), "{patterns:?}");
        }
    }

    #[test]
    fn what_is_kept() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("*\n!src",                "src src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md"),
            ("*\n!src/sub",            "src/sub src/sub/c.go src/sub/d.md"),
            ("*\n!src/**/*.go",        "src/a.go src/sub/c.go"),
            ("*\n!src\nsrc/sub",       "src src/a.go src/b.md"),
            // A plain pattern for what is excluded already at its turn is not handed down.
            ("*\n!**/*.go\nsrc/sub",   "src/a.go src/sub/c.go"),
            ("*\n!**/*.go\nsrc/sub/*", "src/a.go"),
        ];
        for (patterns, want) in cases {
            let excluded = excluded(patterns);
            let excluded: Vec<&str> = excluded.split(' ').collect();
            let kept: Vec<&str> = TREE
                .split_whitespace()
                .filter(|path| !excluded.contains(path))
                .collect();
            assert_eq!(kept.join(" "), want, "{patterns:?}");
        }
    }

    #[test]
    fn lines() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[u8], &str, bool); 16] = [
            // file                 path         excluded
            (b"\xef\xbb\xbffoo",    "foo",       true),
            (b"\xef\xbb\xbf# foo",  "# foo",     false),
            (b"# x",                "x",         false),
            (b" # x",               "# x",       true),
            (b"foo  \r\n",          "foo",       true),
            (b"//foo",              "foo",       true),
            (b"dir/../foo",         "foo",       true),
            (b"/../foo",            "foo",       true),
            (b"*\n! foo",           "foo",       false),
            (b"\\#x",               "#x",        true),
            (b"\\!x",               "!x",        true),
            (b"!!x",                "!x",        false),
            (b"*\n!!x",             "!x",        false),
            (b"a]{b,c}^$+(.",       "a]{b,c}^$+(.", true),
            (b"[!a]",               "b",         false),
            (b"\xff?",              "\u{fffd}x", false),
        ];
        for (text, path, want) in cases {
            let matcher = parse(text).unwrap();
            let text = String::from_utf8_lossy(text);
            assert_eq!(
                matcher.excludes(&LayerPath::clean(path)),
                want,
                "{text} {path}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern() {
        let cases = [
            ("a\n!", "illegal exclusion pattern: \"!\""),
            ("! ", "illegal exclusion pattern: \"!\""),
            ("[", "syntax error in pattern: \"[\""),
            ("x/[a-", "syntax error in pattern: \"x/[a-\""),
            ("a\\", "syntax error in pattern: \"a\\\""),
            ("![]a]", "syntax error in pattern: \"[]a]\""),
            ("[z-a]", "syntax error in pattern: \"[z-a]\""),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn walks_are_cut_where_nothing_can_be_kept() {
        let matcher = parse(b"*\n!src/*/keep\n!doc").unwrap();
        let descends = |path: &str| {
            let path = LayerPath::clean(path);
            let verdict = path
                .ancestors()
                .iter()
                .chain([&path])
                .fold(matcher.root(), |verdict, path| {
                    matcher.enter(&verdict, path)
                });
            matcher.keeps_below(&verdict, &path)
        };
        #[rustfmt::skip] // a table keeps its columns
        let cases = [("src", true), ("src/a", true), ("doc", true), ("doc/x", true), ("target", false), ("srcs", false)];
        for (path, want) in cases {
            assert_eq!(descends(path), want, "{path}");
        }
    }
}
