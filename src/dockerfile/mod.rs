//! The Dockerfile language: text in, stages of typed instructions out.
//!
//! Nothing here does I/O, and nothing is expanded while parsing: an instruction keeps its words as written, and
//! [`expand`] is applied when a plan is made, because only then are the variables known.
//!
//! # Spec
//! `docker/dockerfile:1` and labs; rule ids (`LEX-1` …) in comments and tests are those of the project's language specification.

pub mod expand;
pub mod instruction;
pub mod quote;
mod suggest;

use crate::image::Platform;
pub use instruction::Instruction;
pub use suggest::suggest;

/// A parsed Dockerfile: every instruction of every stage, needed or not, is syntactically valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `ARG`s before the first `FROM`, in order.
    pub global_args: Vec<Located<Vec<instruction::ArgDeclaration>>>,
    pub stages: Vec<Stage>,
    /// The escape character in effect for expansion: `\` or a backtick.
    pub escape: char,
}

/// One `FROM` and the instructions up to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Position in the file, from 0.
    pub index: usize,
    /// Lower case; absent without `AS`.
    pub name: Option<String>,
    pub from: Located<From>,
    pub instructions: Vec<Located<Instruction>>,
}

/// `FROM [--platform=P] IMAGE`, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    pub image: String,
    pub platform: Option<String>,
    /// The stage's name as typed, for checks.
    pub name_as_typed: Option<String>,
}

/// A value and where it stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub span: Span,
    /// The whole instruction with its keyword as typed, continuations joined; without heredoc bodies.
    pub text: String,
    pub value: T,
}

/// Physical lines of an instruction, from 1, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub first_line: usize,
    pub last_line: usize,
}

/// Platforms of this build, for the automatic args.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platforms {
    pub build: Platform,
    pub target: Platform,
}
