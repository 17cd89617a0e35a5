//! Flags of the warmer.

use super::State::{Alias, Works};
use super::{Flag, flag};
use crate::cli::value::Kind::*;

#[rustfmt::skip] // a table keeps its columns
pub const FLAGS: &[Flag] = &[
    flag("build-arg",         ' ', List,     "", Works,  "Value for an ARG in a FROM as KEY=VALUE, or KEY to take it from the environment; repeatable"),
    flag("cache-dir",         'c', Text,     "/cache", Works, "Directory to fill; it is made if it is not there"),
    flag("cache-dir-max-size", ' ', Size,    "", Works,  "Size, such as 10GB, to which the directory is cut back by removing what was not used for longest"),
    flag("cache-ttl",         ' ', Duration, "336h", Works, "How old an entry that kaniko's warmer made may be to count"),
    flag("custom-platform",   ' ', Text,     "", Alias("customPlatform"), "Use --customPlatform"),
    flag("customPlatform",    ' ', Text,     "", Works,  "Platform to choose of an image for several, as os/arch[/variant][:osversion]; default is the machine's"),
    flag("dockerfile",        'd', Text,     "", Works,  "Dockerfile whose base images are stored: a path or a URL"),
    flag("force",             'f', Bool,     "false", Works, "Download what is there already too"),
    flag("image",             'i', List,     "", Works,  "Image to store; repeatable"),
    flag("log-format",        ' ', Text,     "color", Works, "Log format: text, color or json"),
    flag("log-timestamp",     ' ', Bool,     "false", Works, "Time of day in the log instead of seconds since the start"),
    flag("verbosity",         'v', Text,     "info", Works, "Log level: trace, debug, info, warn, error, fatal or panic"),
];
