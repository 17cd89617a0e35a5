//! The build context: the files `COPY` and `ADD` see, and the rules that hide some of them.

pub mod dockerignore;
