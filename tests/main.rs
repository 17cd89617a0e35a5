//! Tests from outside: one binary, a module per subject. See `support` for what a test stands on.

mod architecture;
mod in_place;
mod registry_process;
mod run_isolation;
mod support;
