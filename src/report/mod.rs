//! What the user sees of an error: its causes, the lines of the Dockerfile it belongs to, and what to do about it.

mod excerpt;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::causes;
use crate::cli::{Advice, Mistake};
use crate::context;
use crate::log;
use crate::registry;
pub use excerpt::Excerpt;

/// An error that knows more than its text.
pub trait Explain: Error {
    /// Returns what the user can do about it.
    fn help(&self) -> Option<String> {
        None
    }

    /// Returns the instruction it belongs to.
    fn excerpt(&self) -> Option<Excerpt<'_>> {
        None
    }

    /// Returns the status the executor ends with.
    fn exit_status(&self) -> u8 {
        1
    }
}

impl Explain for context::Error {
    fn help(&self) -> Option<String> {
        self.help()
    }
}

/// Prints a mistake on the command line on stderr and returns the exit status.
pub fn mistake(mistake: &Mistake) -> u8 {
    let Mistake { error, advice } = mistake;
    if error.is_fatal_line() {
        let text = causes::in_one_line(error);
        tracing::error!(target: log::FATAL, "{text}");
        return 1;
    }
    let mut text = format!("Error: {}", chain(error));
    if let Some(help) = error.help() {
        let _ = writeln!(text, "help: {help}");
    }
    match advice {
        Advice::Usage(usage) => text += &format!("{usage}\n"),
        Advice::Pointer(line) => text += &format!("{line}\n"),
        Advice::Nothing => {}
    }
    print(&text);
    1
}

/// Prints why a build does not begin, in the way of a mistake on the command line, and returns the exit status.
pub fn refusal(error: &(dyn Explain + 'static)) -> u8 {
    print(&format!("Error: {}", render(error)));
    error.exit_status()
}

/// Prints what a build failed with on stderr and returns the exit status.
pub fn failure(error: &(dyn Explain + 'static)) -> u8 {
    print(&render(error));
    error.exit_status()
}

/// Prints text on stderr as it is. A stderr that nobody reads any more is no reason to end differently.
pub fn print(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn render(error: &(dyn Explain + 'static)) -> String {
    let mut text = chain(error);
    if let Some(excerpt) = error.excerpt() {
        text += &excerpt.render();
    }
    let of_registry = || registry::Error::behind(error)?.help();
    let help = error.help().or_else(of_registry);
    if let Some(help) = help.or_else(|| about_limits(error)) {
        let _ = writeln!(text, "help: {help}");
    }
    text
}

/// Returns what can be done about a limit that any call may meet.
fn about_limits(error: &(dyn Error + 'static)) -> Option<String> {
    let numbers =
        causes::of(error).filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    let mut helps = numbers.filter_map(|number| match number {
        libc::EMFILE | libc::ENFILE => Some("allow more open files, as with `ulimit -n 1024`"),
        libc::ENOSPC | libc::EDQUOT => Some("the disk is full: make room, or choose another one"),
        libc::EROFS => Some("the file system is read-only: choose another one"),
        _ => None,
    });
    helps.next().map(str::to_owned)
}

/// Returns an error and its causes, a line for each.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error}\n");
    let mut told = error.to_string();
    for cause in causes::of(error) {
        // some libraries say of an error what the one inside it says
        let cause = cause.to_string();
        if cause != told {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        told = cause;
    }
    log::harmless(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::Span;
    use expect_test::expect;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("cannot open `{0}`")]
        Open(&'static str, #[source] io::Error),
        #[error("error building image: stage `builder` failed")]
        Stage(#[source] Box<Failure>),
        #[error("COPY failed")]
        Copy(#[source] Box<Failure>),
        #[error("no files in the build context match `src/*.rs`")]
        NoMatch,
    }

    const TEXT: &str = "FROM a\n\n\n\n\nWORKDIR /src\nCOPY src/*.rs ./\nRUN cargo build\n";

    impl Explain for Failure {
        fn help(&self) -> Option<String> {
            match self {
                Self::Open(..) => None,
                _ => Some("`.dockerignore` excludes 3 files".into()),
            }
        }

        fn excerpt(&self) -> Option<Excerpt<'_>> {
            let excerpt = Excerpt {
                file_name: "Dockerfile",
                text: TEXT,
                span: Span {
                    first_line: 7,
                    last_line: 7,
                },
                word: Some("src/*.rs".to_owned()),
            };
            Some(excerpt).filter(|_| !matches!(self, Self::Open(..)))
        }
    }

    #[test]
    fn layout() {
        let error = Failure::Copy(Failure::NoMatch.into());
        let error = Failure::Stage(error.into());
        expect![[r#"
            error building image: stage `builder` failed
              caused by: COPY failed
              caused by: no files in the build context match `src/*.rs`
                --> Dockerfile:7:6
                 6 | WORKDIR /src
               > 7 | COPY src/*.rs ./
                   |      ^^^^^^^^
                 8 | RUN cargo build
            help: `.dockerignore` excludes 3 files
        "#]]
        .assert_eq(&render(&error));
        assert_eq!(error.exit_status(), 1);
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        let inner = Failure::Copy(Failure::Copy(Failure::NoMatch.into()).into());
        expect![[r"
            COPY failed
              caused by: no files in the build context match `src/*.rs`
        "]]
        .assert_eq(&chain(&inner));
    }

    #[test]
    fn a_limit_of_the_process_and_a_name_that_steers_the_terminal() {
        let error = Failure::Open("a\x1b[2J", io::Error::from_raw_os_error(libc::EMFILE));
        expect![[r#"
            cannot open `a�[2J`
              caused by: Too many open files (os error 24)
            help: allow more open files, as with `ulimit -n 1024`
        "#]]
        .assert_eq(&render(&error));
    }
}
