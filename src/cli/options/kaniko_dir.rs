//! Where the executor keeps its own files.

use std::path::{Path, PathBuf};

/// The directory for the executor's own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KanikoDir {
    At(PathBuf),
    /// A fresh one that is removed at the end.
    Temporary,
}

impl KanikoDir {
    /// Chooses: what was asked for, else the directory of kaniko's image if the program runs from there.
    pub fn choose(given: Option<PathBuf>, executable: &Path) -> Self {
        const IN_IMAGE: &str = "/kaniko";
        match given {
            Some(dir) => Self::At(dir),
            None if executable.parent() == Some(Path::new(IN_IMAGE)) => Self::At(IN_IMAGE.into()),
            None => Self::Temporary,
        }
    }

    /// Returns the directory, unless it is a fresh one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::At(dir) => Some(dir),
            Self::Temporary => None,
        }
    }
}
