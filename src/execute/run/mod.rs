//! Running a command.

pub mod in_place;
