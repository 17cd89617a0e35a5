//! `--secret`: values that commands may see and an image never does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    pub id: String,
    pub from: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    Variable(String),
}

/// Secrets by id, kept in memory; nothing prints their values.
#[derive(Default, Clone)]
pub struct Secrets(BTreeMap<String, Vec<u8>>);

/// Why a secret cannot be had, in kaniko's words.
///
/// # Spec
/// Compat spec 1.8.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("environment variable for secret {id:?} not set: {variable}")]
    Unset { id: String, variable: String },
    /// The cause is part of the text, which scripts know.
    #[error("copying secret {}: {cause}", .path.display())]
    Read { path: PathBuf, cause: io::Error },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Unset { variable, .. } => {
                format!(
                    "give the executor the variable {variable}, or name another one with `env=`"
                )
            }
            Self::Read { .. } => "`src=` names a file of this container: mount it there".to_owned(),
        })
    }
}

impl Secrets {
    /// Reads all secrets, so that later nobody can, and a source may be removed.
    ///
    /// # Errors
    /// [`Error::Unset`], [`Error::Read`].
    pub fn load(
        sources: &[SecretSource],
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let mut secrets = BTreeMap::new();
        for SecretSource { id, from } in sources {
            let value = match from {
                Origin::Variable(name) => match variable(name) {
                    Some(value) => value.into_vec(),
                    None => {
                        return Err(Error::Unset {
                            id: id.clone(),
                            variable: name.clone(),
                        });
                    }
                },
                Origin::File(path) => read(path).map_err(|cause| Error::Read {
                    path: path.clone(),
                    cause,
                })?,
            };
            secrets.insert(id.clone(), value);
        }
        Ok(Self(secrets))
    }

    pub(in crate::execute) fn get(&self, id: &str) -> Option<&[u8]> {
        self.0.get(id).map(Vec::as_slice)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the message has the path once, where kaniko has it"
)]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_at_once_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs_err::write(&path, "hunter2\n").unwrap();
        let source = |id: &str, from| SecretSource {
            id: id.into(),
            from,
        };
        let variable = |name: &str| (name == "SET").then(|| "hunter3".into());
        let sources = [
            source("f", Origin::File(path.clone())),
            source("v", Origin::Variable("SET".into())),
        ];
        let secrets = Secrets::load(&sources, variable).unwrap();
        fs_err::remove_file(&path).unwrap();
        assert_eq!(secrets.get("f"), Some(&b"hunter2\n"[..]));
        assert_eq!(secrets.get("v"), Some(&b"hunter3"[..]));
        assert_eq!(secrets.get("x"), None);
        assert_eq!(format!("{secrets:?}"), r#"{"f", "v"}"#);

        let unset = [source("u", Origin::Variable("UNSET".into()))];
        let error = Secrets::load(&unset, variable).unwrap_err().to_string();
        assert_eq!(
            error,
            "environment variable for secret \"u\" not set: UNSET"
        );
        let gone = [source("g", Origin::File(path.clone()))];
        let error = Secrets::load(&gone, variable).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "said once");
        let error = error.to_string();
        let want = format!("copying secret {}: No such file", path.display());
        assert!(error.starts_with(&want), "{error}");
    }
}
