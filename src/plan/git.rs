//! Git repositories as sources of `ADD`: what of one is wanted.
//!
//! # Spec
//! Language spec GIT-1 to GIT-4.

use std::collections::BTreeSet;

use super::error::hint;
use crate::dockerfile;
use crate::dockerfile::quote::quoted;

/// What of a repository an `ADD` copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// As written after expansion.
    pub url: String,
    /// The address alone.
    pub repository: String,
    pub reference: GitReference,
    /// A directory in the repository; empty for its root.
    pub sub_directory: String,
    /// The commit that it must be, or the first digits of its id.
    pub commit: Option<String>,
    /// The commit is fetched by its id, whatever the reference points to.
    pub by_commit: bool,
    pub keep_git_dir: bool,
    pub submodules: bool,
    /// Files are as old as the commit, not as the build.
    pub commit_time: bool,
}

/// Which commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitReference {
    Default,
    /// A branch, a tag, or a whole commit id.
    Any(String),
    Branch(String),
    Tag(String),
}

impl GitReference {
    /// Returns the name by which a server knows it, as far as that is said.
    pub fn full_name(&self) -> Option<String> {
        let below = |prefix: &str, name: &str| match name.starts_with(prefix) {
            true => name.to_owned(),
            false => format!("{prefix}{name}"),
        };
        match self {
            Self::Default => None,
            Self::Any(name) => Some(name.clone()),
            Self::Branch(name) => Some(below("refs/heads/", name)),
            Self::Tag(name) => Some(below("refs/tags/", name)),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.full_name() == other.full_name()
    }
}

/// What is wrong with the URL of a repository or the flags beside it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("unexpected query {}{}", quoted(.0), hint(.0, &KEYS))]
    Key(String),
    #[error("the query {} needs a value", quoted(.0))]
    NoValue(String),
    #[error("invalid value {} of the query {}", quoted(.value), quoted(.key))]
    Value { key: String, value: String },
    #[error("the query {} is given twice", quoted(.0))]
    Twice(String),
    #[error("{first} conflicts with {second}")]
    Conflict {
        first: &'static str,
        second: &'static str,
    },
    #[error("inconsistent keep-git-dir configuration")]
    KeepGitDir,
    #[error("the checksum {} is not one of a git commit", quoted(.0))]
    Commit(String),
    #[error("expected checksum {} conflicts with {}", quoted(.flag), quoted(.query))]
    Checksums { flag: String, query: String },
}

impl Error {
    /// Returns the word that is at fault, as it stands in the instruction.
    pub fn word(&self) -> &str {
        match self {
            Self::Key(text) | Self::NoValue(text) | Self::Twice(text) | Self::Commit(text) => text,
            Self::Value { value, .. } => value,
            Self::Conflict { first, .. } => first,
            Self::KeepGitDir => "--keep-git-dir",
            Self::Checksums { .. } => "--checksum",
        }
    }

    /// Returns what the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Key(_) => format!("queries are {}", KEYS.join(", ")),
            Self::NoValue(key) => format!("write `{key}=VALUE`"),
            Self::Value { key, .. } if key == "mtime" => "write checkout or commit".to_owned(),
            Self::Value { .. } => "write true or false".to_owned(),
            Self::Twice(_) | Self::Conflict { .. } | Self::KeepGitDir | Self::Checksums { .. } => {
                "keep one of the two".to_owned()
            }
            Self::Commit(_) => "write the commit's id, or the first digits of it".to_owned(),
        }
    }
}

const KEYS: [&str; 10] = [
    "ref",
    "branch",
    "tag",
    "subdir",
    "commit",
    "checksum",
    "keep-git-dir",
    "submodules",
    "fetch-by-commit",
    "mtime",
];

impl GitSource {
    /// Reads `ADDRESS[#REF[:SUBDIR]]` or `ADDRESS?KEY=VALUE&…`, and what `--checksum` and `--keep-git-dir` add.
    pub(super) fn parse(
        url: &str,
        checksum: Option<&str>,
        keep_git_dir: Option<bool>,
    ) -> Result<Self, Error> {
        let (address, fragment) = url.split_once('#').unwrap_or((url, ""));
        let (repository, query) = match has_query(address) {
            true => address.split_once('?').unwrap_or((address, "")),
            false => (address, ""),
        };
        let query = Query::parse(query)?;
        let (name, below) = fragment.split_once(':').unwrap_or((fragment, ""));
        let reference = reference(name, &query)?;
        let sub_directory = match (below, query.sub_directory) {
            (below, None) => below.to_owned(),
            (below, Some(same)) if below == same => same,
            ("", Some(below)) => below,
            _ => {
                return Err(Error::Conflict {
                    first: "subdir",
                    second: "the fragment",
                });
            }
        };
        let keep = match (keep_git_dir, query.keep_git_dir) {
            (Some(flag), Some(query)) if flag != query => return Err(Error::KeepGitDir),
            (flag, query) => flag.or(query).unwrap_or(false),
        };
        let commit = match (checksum, query.commit) {
            (Some(flag), Some(query)) if flag != query => {
                let flag = flag.to_owned();
                return Err(Error::Checksums { flag, query });
            }
            (flag, query) => flag.map(str::to_owned).or(query),
        };
        if let Some(text) = commit.as_ref().filter(|text| !is_commit_prefix(text)) {
            return Err(Error::Commit(text.clone()));
        }
        Ok(Self {
            url: url.to_owned(),
            repository: repository.to_owned(),
            reference,
            sub_directory,
            commit,
            by_commit: query.by_commit,
            keep_git_dir: keep,
            submodules: query.submodules.unwrap_or(true),
            commit_time: query.commit_time,
        })
    }
}

/// Finds the one reference that is named, which may be said twice.
fn reference(fragment: &str, query: &Query) -> Result<GitReference, Error> {
    let any = |name: &str| GitReference::Any(name.to_owned());
    let fragment = Some(fragment).filter(|name| !name.is_empty());
    let given = [
        ("ref", query.reference.as_deref().map(any)),
        ("branch", query.branch.clone().map(GitReference::Branch)),
        ("tag", query.tag.clone().map(GitReference::Tag)),
        ("the fragment", fragment.map(any)),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let Some((first, found)) = given.next() else {
        return Ok(GitReference::Default);
    };
    match given.find(|(_, other)| !other.is_same(&found)) {
        Some((second, _)) => Err(Error::Conflict { first, second }),
        None => Ok(found),
    }
}

/// Tells whether what follows a `?` is a query: `user@host:path` has none.
fn has_query(address: &str) -> bool {
    address.contains("://")
}

fn is_commit_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[derive(Default)]
struct Query {
    reference: Option<String>,
    branch: Option<String>,
    tag: Option<String>,
    sub_directory: Option<String>,
    commit: Option<String>,
    keep_git_dir: Option<bool>,
    submodules: Option<bool>,
    by_commit: bool,
    commit_time: bool,
}

impl Query {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut query = Self::default();
        let mut seen = BTreeSet::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (decoded(key), Some(decoded(value))),
                None => (decoded(pair), None),
            };
            query.set(&key, value)?;
            if !seen.insert(key.clone()) {
                return Err(Error::Twice(key));
            }
        }
        Ok(query)
    }

    fn set(&mut self, key: &str, value: Option<String>) -> Result<(), Error> {
        match key {
            "keep-git-dir" => self.keep_git_dir = Some(boolean(key, value)?),
            "submodules" => self.submodules = Some(boolean(key, value)?),
            "fetch-by-commit" => self.by_commit = boolean(key, value)?,
            _ => {
                let filled = value.filter(|value| !value.is_empty());
                let needed = filled.ok_or_else(|| match KEYS.contains(&key) {
                    true => Error::NoValue(key.to_owned()),
                    false => Error::Key(key.to_owned()),
                });
                match key {
                    "ref" => self.reference = Some(needed?),
                    "branch" => self.branch = Some(needed?),
                    "tag" => self.tag = Some(needed?),
                    "subdir" => self.sub_directory = Some(needed?),
                    "commit" | "checksum" => {
                        let new = needed?;
                        match self.commit.take() {
                            Some(old) if old != new => {
                                return Err(Error::Conflict {
                                    first: "commit",
                                    second: "checksum",
                                });
                            }
                            _ => self.commit = Some(new),
                        }
                    }
                    "mtime" => {
                        self.commit_time = match &*needed? {
                            "commit" => true,
                            "checkout" => false,
                            other => return Err(invalid(key, other)),
                        }
                    }
                    _ => return Err(Error::Key(key.to_owned())),
                }
            }
        }
        Ok(())
    }
}

fn boolean(key: &str, value: Option<String>) -> Result<bool, Error> {
    match value.as_deref() {
        None | Some("") => Ok(true),
        Some(text) => dockerfile::boolean(text).ok_or_else(|| invalid(key, text)),
    }
}

fn invalid(key: &str, value: &str) -> Error {
    Error::Value {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// Decodes a part of a query: `%2F` and `+`.
fn decoded(text: &str) -> String {
    let mut pair = url::form_urlencoded::parse(text.as_bytes());
    pair.next()
        .map_or(String::new(), |(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what differs from the default.
    fn show(source: &GitSource) -> String {
        let mut words = vec![source.repository.clone()];
        match &source.reference {
            GitReference::Default => {}
            GitReference::Any(name) => words.push(format!("any {name}")),
            GitReference::Branch(name) => words.push(format!("branch {name}")),
            GitReference::Tag(name) => words.push(format!("tag {name}")),
        }
        if !source.sub_directory.is_empty() {
            words.push(format!("below {}", source.sub_directory));
        }
        words.extend(source.commit.as_ref().map(|id| format!("is {id}")));
        for (is, word) in [
            (source.by_commit, "by commit"),
            (source.keep_git_dir, "keep"),
            (!source.submodules, "alone"),
            (source.commit_time, "old"),
        ] {
            words.extend(is.then(|| word.to_owned()));
        }
        words.join(", ")
    }

    #[test]
    fn what_a_source_says() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("https://h/a.git",                          "https://h/a.git"),
            ("https://h/a.git#",                         "https://h/a.git"),
            ("https://h/a.git#v1",                       "https://h/a.git, any v1"),
            ("https://h/a.git#v1:sub/dir",               "https://h/a.git, any v1, below sub/dir"),
            ("https://h/a.git#:sub",                     "https://h/a.git, below sub"),
            ("git@h:a/b.git#dev",                        "git@h:a/b.git, any dev"),
            ("ssh://git@h/a?branch=x",                   "ssh://git@h/a, branch x"),
            ("https://h/a.git?branch=feature%2Fx",       "https://h/a.git, branch feature/x"),
            ("https://h/a.git?tag=v1&subdir=s",          "https://h/a.git, tag v1, below s"),
            ("https://h/a.git?ref=r&commit=abc",         "https://h/a.git, any r, is abc"),
            ("https://h/a.git?checksum=abc&fetch-by-commit", "https://h/a.git, is abc, by commit"),
            ("https://h/a.git?keep-git-dir&submodules=false&mtime=commit", "https://h/a.git, keep, alone, old"),
            ("https://h/a.git?keep-git-dir=0&mtime=checkout", "https://h/a.git"),
            ("https://h/a.git?refs=x",                   "error: unexpected query \"refs\" (did you mean ref?)"),
            ("https://h/a.git?branch",                   "error: the query \"branch\" needs a value"),
            ("https://h/a.git?submodules=maybe",         "error: invalid value \"maybe\" of the query \"submodules\""),
            ("https://h/a.git?mtime=now",                "error: invalid value \"now\" of the query \"mtime\""),
            ("https://h/a.git?ref=a&branch=b",           "error: ref conflicts with branch"),
            ("https://h/a.git?ref=a#a",                  "https://h/a.git, any a"),
            ("https://h/a.git?tag=v1#refs/tags/v1",      "https://h/a.git, tag v1"),
            ("https://h/a.git?branch=refs/heads/b",      "https://h/a.git, branch refs/heads/b"),
            ("https://h/a.git?branch=b#b",               "error: branch conflicts with the fragment"),
            ("https://h/a.git?subdir=b#:b",              "https://h/a.git, below b"),
            ("https://h/a.git?ref=a&ref=a",              "error: the query \"ref\" is given twice"),
            ("https://h/a.git?branch=a&tag=b",           "error: branch conflicts with tag"),
            ("https://h/a.git?tag=b#x",                  "error: tag conflicts with the fragment"),
            ("https://h/a.git?subdir=b#:x",              "error: subdir conflicts with the fragment"),
            ("https://h/a.git?commit=ab&checksum=cd",    "error: commit conflicts with checksum"),
            ("https://h/a.git?commit=main",              "error: the checksum \"main\" is not one of a git commit"),
        ];
        for (url, want) in cases {
            let got = match GitSource::parse(url, None, None) {
                Ok(source) => show(&source),
                Err(error) => format!("error: {error}"),
            };
            assert_eq!(got, want, "{url}");
        }
    }

    #[test]
    fn what_a_value_may_be() {
        for (url, want) in [
            ("https://h/a.git?mtime=now", "write checkout or commit"),
            ("https://h/a.git?submodules=maybe", "write true or false"),
        ] {
            let error = GitSource::parse(url, None, None).unwrap_err();
            assert_eq!(error.help(), want, "{url}");
        }
    }

    #[test]
    fn flags_and_queries_agree() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("https://h/a.git",                 Some("ab"), Some(true),  "https://h/a.git, is ab, keep"),
            ("https://h/a.git?keep-git-dir",    None,       Some(true),  "https://h/a.git, keep"),
            ("https://h/a.git?keep-git-dir",    None,       Some(false), "error: inconsistent keep-git-dir configuration"),
            ("https://h/a.git?commit=ab",       Some("ab"), None,        "https://h/a.git, is ab"),
            ("https://h/a.git?commit=ab",       Some("cd"), None,        "error: expected checksum \"cd\" conflicts with \"ab\""),
            ("https://h/a.git",                 Some("sha256:00"), None, "error: the checksum \"sha256:00\" is not one of a git commit"),
        ];
        for (url, checksum, keep, want) in cases {
            let got = match GitSource::parse(url, checksum, keep) {
                Ok(source) => show(&source),
                Err(error) => format!("error: {error}"),
            };
            assert_eq!(got, want, "{url} {checksum:?} {keep:?}");
        }
    }
}
