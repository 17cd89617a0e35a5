//! `--secret`: a comma-separated list of `key=value`.

use std::path::Path;

use super::env::Environment;
use crate::execute::mount::{Origin, SecretSource};
use crate::log::go_quote;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("secret requires id=ID")]
    NoId,
    #[error("invalid secret format: {}", go_quote(.0))]
    Format(String),
    #[error("unknown key {} in secret", go_quote(.0))]
    UnknownKey(String),
    #[error("unknown secret type {}, it is file or env", go_quote(.0))]
    UnknownType(String),
    #[error("a secret has either src or env")]
    TwoSources,
    #[error("a secret of type file has no env")]
    EnvOfFile,
    #[error("a secret of type env needs env or src")]
    NoVariable,
}

/// What is said about one secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Secret<'t> {
    pub id: &'t str,
    from: From<'t>,
}

#[derive(Debug, PartialEq, Eq)]
enum From<'t> {
    File(&'t str),
    Variable(&'t str),
    /// The variable of the secret's id if there is one, else the file of that name.
    Id,
}

impl Secret<'_> {
    /// Returns where to read it.
    pub fn source(&self, env: &Environment, current_dir: &Path) -> SecretSource {
        let id = self.id;
        let from = match self.from {
            From::Variable(name) => Origin::Variable(name.to_owned()),
            From::Id if env.is_set(id) => Origin::Variable(id.to_owned()),
            From::File(path) => Origin::File(current_dir.join(path)),
            From::Id => Origin::File(current_dir.join(id)),
        };
        SecretSource {
            id: id.to_owned(),
            from,
        }
    }
}

/// Parses one `--secret`.
///
/// # Spec
/// Compat spec 1.8.
pub fn parse(text: &str) -> Result<Secret<'_>, Error> {
    let (mut id, mut kind, mut src, mut env) = ("", "", None, None);
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            return Err(Error::Format(part.into()));
        };
        match key {
            "id" => id = value,
            "type" => kind = value,
            "src" | "source" => src = Some(value),
            "env" => env = Some(value),
            other => return Err(Error::UnknownKey(other.into())),
        }
    }
    let from = match (kind, src, env) {
        _ if id.is_empty() => return Err(Error::NoId),
        ("file", _, Some(_)) => return Err(Error::EnvOfFile),
        (_, Some(_), Some(_)) => return Err(Error::TwoSources),
        ("env", None, None) => return Err(Error::NoVariable),
        ("env", Some(name), None) | ("" | "env", None, Some(name)) => From::Variable(name),
        ("" | "file", Some(path), None) => From::File(path),
        ("file", None, None) => From::File(id),
        ("", None, None) => From::Id,
        (other, _, _) => return Err(Error::UnknownType(other.into())),
    };
    Ok(Secret { id, from })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("id=a",                  ""),
            ("id=a,src=/x",           ""),
            ("type=file,source=x,id=a", ""),
            ("id=a,env=X",            ""),
            ("id=a,type=env,src=X",   ""),
            ("src=/x",                "secret requires id=ID"),
            ("id=",                   "secret requires id=ID"),
            ("id=a,x",                "invalid secret format: \"x\""),
            ("",                      "invalid secret format: \"\""),
            ("id=a,dst=/x",           "unknown key \"dst\" in secret"),
            ("id=a,src=x,env=X",      "a secret has either src or env"),
            ("id=a,type=file,env=X",  "a secret of type file has no env"),
            ("id=a,type=env",         "a secret of type env needs env or src"),
            ("id=a,type=x",           "unknown secret type \"x\", it is file or env"),
        ];
        for (text, want) in cases {
            let got = parse(text).err().map(|error| error.to_string());
            assert_eq!(got.unwrap_or_default(), want, "{text}");
        }
    }

    #[test]
    fn sources() {
        let env = [("SET", "value")].iter().copied().collect();
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("id=a,src=x",            "a file /here/x"),
            ("id=a,source=/x",        "a file /x"),
            ("id=a,type=file,src=x",  "a file /here/x"),
            ("id=SET,type=file",      "SET file /here/SET"),
            ("id=a,env=X",            "a variable X"),
            ("id=a,type=env,env=X",   "a variable X"),
            ("id=a,type=env,src=X",   "a variable X"),
            ("id=SET",                "SET variable SET"),
            ("id=a",                  "a file /here/a"),
        ];
        for (text, want) in cases {
            let SecretSource { id, from } = parse(text).unwrap().source(&env, Path::new("/here"));
            let got = match from {
                Origin::File(path) => format!("{id} file {}", path.display()),
                Origin::Variable(name) => format!("{id} variable {name}"),
            };
            assert_eq!(got, want, "{text}");
        }
    }
}
