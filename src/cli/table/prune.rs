//! Flags of `executor cache prune`.

use super::State::Works;
use super::{Flag, flag};
use crate::cli::value::Kind::*;

#[rustfmt::skip] // a table keeps its columns
pub const FLAGS: &[Flag] = &[
    flag("cache-dir",         ' ', Text,     "", Works,  "Directory of --cache-dir whose images and layers are pruned; caches of RUN mounts stay"),
    flag("cache-repo",        ' ', Text,     "", Works,  "Repository of cached layers to prune, or oci:DIR"),
    flag("dryrun",            ' ', Bool,     "false", Works, "Tell what would be removed and remove nothing"),
    flag("keep",              ' ', Int,      "", Works,  "How many of the newest entries stay, whatever their age"),
    flag("log-format",        ' ', Text,     "color", Works, "Log format: text, color or json"),
    flag("log-timestamp",     ' ', Bool,     "false", Works, "Time of day in the log instead of seconds since the start"),
    flag("older-than",        ' ', Age,      "", Works,  "Remove only what was made, or in a directory last used, longer ago than this, such as 30d or 12h"),
    flag("verbosity",         'v', Text,     "info", Works, "Log level: trace, debug, info, warn, error, fatal or panic"),
];
