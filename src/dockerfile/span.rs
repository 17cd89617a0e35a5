//! Where something stands in the Dockerfile.

/// Physical lines of an instruction, from 1, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub first_line: usize,
    pub last_line: usize,
}

impl Span {
    /// Returns the span of one line.
    pub const fn line(number: usize) -> Self {
        Self {
            first_line: number,
            last_line: number,
        }
    }
}

/// A value and where it stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub span: Span,
    /// The whole instruction with its keyword as typed, continuations joined; without heredoc bodies.
    pub text: String,
    pub value: T,
}

impl Located<()> {
    pub(super) fn with<T>(self, value: T) -> Located<T> {
        Located {
            span: self.span,
            text: self.text,
            value,
        }
    }
}
