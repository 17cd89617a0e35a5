//! Tests from outside: one binary, a module per subject. See `support` for what a test stands on.

mod add_git;
mod architecture;
mod build;
mod cache;
mod cache_dir;
mod conformance;
mod contexts;
mod faults;
mod git_contexts;
mod git_ssh;
mod hostile;
mod images;
mod in_place;
mod manual;
mod matrix;
mod mounts;
mod named_contexts;
mod outputs;
mod plans;
mod push;
mod refusals;
mod registry_process;
mod regressions;
mod run_isolation;
mod support;
mod timeout;
