//! Runs the steps of a plan in a stage's private root.

pub mod run;
