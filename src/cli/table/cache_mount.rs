//! Flags of `executor cache-mount`.

use super::State::Works;
use super::{Flag, flag};
use crate::cli::value::Kind::*;

#[rustfmt::skip] // a table keeps its columns
pub const FLAGS: &[Flag] = &[
    flag("cache-dir",         ' ', Text,     "/cache", Works, "Directory with the caches: that of a build's --cache-dir, a volume, or its kaniko directory where commands have namespaces"),
    flag("from",              ' ', Text,     "", Works,  "Where import takes them from, as --to"),
    flag("id",                ' ', List,     "", Works,  "Cache to carry, by the id of its mount; all if none is named; repeatable"),
    flag("log-format",        ' ', Text,     "color", Works, "Log format: text, color or json"),
    flag("log-timestamp",     ' ', Bool,     "false", Works, "Time of day in the log instead of seconds since the start"),
    flag("to",                ' ', Text,     "", Works,  "Where export puts them: oci:DIR or /DIR, an archive FILE.tar, or a name in a registry"),
    flag("verbosity",         'v', Text,     "info", Works, "Log level: trace, debug, info, warn, error, fatal or panic"),
];
