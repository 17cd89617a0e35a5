//! What a git URL and `--git` say. Pure.

use super::address::{Address, Login};

/// A repository, what of it is wanted, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub address: Address,
    /// What the URL brought.
    pub login: Option<Login>,
    pub wanted: Wanted,
    /// A directory in the repository.
    pub sub_directory: String,
}

/// What to check out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Default,
    /// As `--git branch=` says: a branch, else a tag.
    Branch(String),
    /// By git's own rules for short names.
    Name(String),
    Commit(String),
}

impl Spec {
    /// Reads `URL[#REF[#COMMIT]][:SUBDIR]`; `git://` means `scheme`, which may be `git` itself.
    pub fn parse(text: &str, scheme: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '#');
        let (address, login) = context_address(parts.next()?, scheme)?;
        let (mut reference, mut sub_directory) = split(parts.next().unwrap_or_default());
        if let Some(commit) = parts.next() {
            let (commit, below) = split(commit);
            reference = commit;
            sub_directory = below;
        }
        let wanted = match reference {
            "" => Wanted::Default,
            id if is_commit(id) => Wanted::Commit(id.to_owned()),
            name => Wanted::Name(name.to_owned()),
        };
        Some(Self {
            address,
            login,
            wanted,
            sub_directory: sub_directory.to_owned(),
        })
    }
}

/// Reads the address of a repository that is a context; `git://` means `scheme`.
pub fn context_address(text: &str, scheme: &str) -> Option<(Address, Option<Login>)> {
    match text.strip_prefix("git://") {
        Some(rest) => Address::parse(&format!("{scheme}://{rest}")),
        None => Address::parse(text),
    }
}

fn split(part: &str) -> (&str, &str) {
    part.split_once(':').unwrap_or((part, ""))
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says() {
        let id = "0123456789012345678901234567890123456789";
        let commit = format!("commit {id}");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("git://h/a",                       "https://h/a",      "default",       ""),
            ("https://h/a.git#",                "https://h/a.git",  "default",       ""),
            ("git://t%40@h/a.git#main",         "https://h/a.git",  "name main",     ""),
            ("git://h/a#refs/heads/b:c/d",      "https://h/a",      "name refs/heads/b", "c/d"),
            ("git://h/a#:c",                    "https://h/a",      "default",       "c"),
            ("git@h:o/a.git#main:c",            "git@h:o/a.git",    "name main",     "c"),
            ("ssh://git@h/a#v1",                "ssh://git@h/a",    "name v1",       ""),
            (&format!("git://h/a#{id}"),        "https://h/a",      &commit,         ""),
            (&format!("git://h/a#main#{id}:c"), "https://h/a",      &commit,         "c"),
        ];
        for (text, address, wanted, below) in cases {
            let spec = Spec::parse(text, "https").unwrap();
            assert_eq!(spec.address.to_string(), address, "{text}");
            assert_eq!(spec.login.is_some(), text.contains("%40@"), "{text}");
            let is_user = |(user, _): Login| user.reveal() == "t@";
            assert!(spec.login.is_none_or(is_user), "{text}");
            assert_eq!(spec.sub_directory, below, "{text}");
            let found = match spec.wanted {
                Wanted::Default => "default".to_owned(),
                Wanted::Branch(name) => format!("branch {name}"),
                Wanted::Name(name) => format!("name {name}"),
                Wanted::Commit(id) => format!("commit {id}"),
            };
            assert_eq!(found, wanted, "{text}");
        }
        assert_eq!(Spec::parse("git://", "https"), None);
    }
}
