//! What a user should know about a command that ran in place.

use std::fmt;

use crate::layer::LayerPath;

/// Something that is not as it would be in a container made from the image; each is worth one line of the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Mounts of the executor's container that commands see at their paths; they are not part of the image.
    Volumes(Vec<LayerPath>),
    /// The image has something at `path`, but commands see what the container has at `by`.
    Shadowed { path: LayerPath, by: LayerPath },
    /// The command's working directory lies in a mount of the container: what it writes there is not in the image.
    WorkingDir { path: LayerPath, volume: LayerPath },
    /// A secret of the container, or a path in its way, that could not be moved aside.
    Visible { path: LayerPath },
    /// A command wrote below a directory that exists only because something is mounted in it.
    Lost { path: LayerPath },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volumes(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
                write!(
                    f,
                    "commands see this container's mounts at {}, which are not part of the image",
                    paths.join(", ")
                )
            }
            Self::Shadowed { path, by } if path == by => write!(
                f,
                "commands do not see the image's `{path}`, because it is mounted over in this container"
            ),
            Self::Shadowed { path, by } => write!(
                f,
                "commands do not see the image's `{path}`, because this container has `{by}` there"
            ),
            Self::WorkingDir { path, volume } => write!(
                f,
                "the working directory `{path}` is in this container's mount `{volume}`: what is written there is not part of the image"
            ),
            Self::Visible { path } => write!(
                f,
                "commands see this container's `{path}`, which cannot be moved out of their way"
            ),
            Self::Lost { path } => write!(
                f,
                "`{path}` is not in the image, because the image has a file where this container has a directory"
            ),
        }
    }
}
