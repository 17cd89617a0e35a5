//! `--secret`: a comma-separated list of `key=value`.

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

/// Checks the syntax of one `--secret`.
///
/// # Spec
/// Compat spec 1.8.
pub fn check(text: &str) -> Result<(), Error> {
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
    match (kind, src, env) {
        _ if id.is_empty() => Err(Error::NoId),
        ("file", _, Some(_)) => Err(Error::EnvOfFile),
        (_, Some(_), Some(_)) => Err(Error::TwoSources),
        ("env", None, None) => Err(Error::NoVariable),
        ("" | "file" | "env", _, _) => Ok(()),
        (other, _, _) => Err(Error::UnknownType(other.into())),
    }
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
            let got = check(text).err().map(|error| error.to_string());
            assert_eq!(got.unwrap_or_default(), want, "{text}");
        }
    }
}
