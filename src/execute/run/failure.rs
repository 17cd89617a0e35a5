//! What went wrong in `init`, in a form that crosses the socket.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// A step that `init` could not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub step: Step,
    pub errno: i32,
}

/// The steps that can fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A system call that isolation is made of, with what it was for.
    Isolate(String),
    /// Mounting a new `/proc`: without it there is no pid namespace.
    NewProc,
    WorkingDirectory(String),
    /// Becoming the user.
    User(u32),
    /// No such program, by path or in `PATH`.
    Find(String),
    /// The program is there.
    Execute(String),
}

impl Failure {
    pub fn isolate(what: &str) -> impl FnOnce(io::Error) -> Self {
        Self::at(Step::Isolate(what.to_owned()))
    }

    pub fn at(step: Step) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            step,
            errno: errno(&error),
        }
    }

    pub fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

/// Returns the number of an error of the kernel, also when something has been told around it.
pub fn errno(error: &io::Error) -> i32 {
    let within = || error.get_ref()?.source()?.downcast_ref::<io::Error>();
    let number = error.raw_os_error().or_else(|| within().map(errno));
    number.unwrap_or(libc::EIO)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Isolate(what) => write!(f, "cannot {what}"),
            Self::NewProc => write!(f, "cannot mount a new /proc"),
            Self::WorkingDirectory(path) => {
                write!(f, "cannot enter the working directory `{path}`")
            }
            Self::User(uid) => write!(f, "cannot become the user {uid}"),
            Self::Find(program) if program.contains('/') => {
                write!(f, "`{program}` does not exist in the image")
            }
            Self::Find(program) => {
                write!(f, "`{program}` is not an executable in the image's PATH")
            }
            Self::Execute(program) => write!(f, "cannot execute `{program}`"),
        }
    }
}

/// Shortens `map_err` for the two kinds of error that system calls return.
pub trait Context<T> {
    fn to(self, what: &str) -> Result<T, Failure>;
    fn at(self, step: Step) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn to(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::isolate(what)(error.into()))
    }

    fn at(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure::at(step)(error.into()))
    }
}
