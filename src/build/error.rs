//! What stops a build, and where in the Dockerfile.

use std::io;
use std::path::PathBuf;

use crate::causes;
use crate::dockerfile::{self, Span, suggest};
use crate::execute::mount;
use crate::image::reference::DOCKER_HUB;
use crate::image::{self, Digest, ImageRef, Platform};
use crate::interrupt::Interrupted;
use crate::log::units;
use crate::plan::{PlannedStage, Step};
use crate::{context, execute, layout, plan, registry, rootfs, snapshot, store};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Dockerfile(#[from] dockerfile::Error),
    #[error(transparent)]
    Plan(#[from] plan::Error),
    #[error("lint violation found for rules: {}", .rules.join(", "))]
    Checks { rules: Vec<String> },
    #[error("cannot use the work directory `{}`", .dir.display())]
    Workspace { dir: PathBuf, source: io::Error },
    #[error("cannot copy a stage's root")]
    Pipe { source: io::Error },
    #[error("cannot get the image `{image}`")]
    Image {
        image: Box<ImageRef>,
        /// The stage that is probably meant.
        stage: Option<String>,
        source: Box<registry::Error>,
    },
    #[error("cannot get the image `{image}`")]
    LayoutImage {
        image: String,
        source: layout::Error,
    },
    #[error("cannot relabel zstd layer {layer} of `{image}`")]
    Relabel {
        layer: Digest,
        image: String,
        /// `--image-format` says that it be Docker's.
        is_asked: bool,
        source: image::Error,
    },
    #[error(transparent)]
    From(FromError),
    #[error("cannot open the context `{name}`")]
    Context {
        name: String,
        source: Box<context::Error>,
    },
    #[error("cannot unpack layer {layer} of `{image}` into `{}`", .dir.display())]
    Unpack {
        layer: Digest,
        image: String,
        dir: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{image}` has {} of compressed layers, and there are {} left on the disk of `{}`", units::size(*.needed), units::size(*.free), .dir.display())]
    NoRoom {
        image: String,
        needed: u64,
        dir: PathBuf,
        free: u64,
    },
    #[error("cannot unpack the cached layer {layer} into `{}`", .dir.display())]
    Cached {
        layer: Digest,
        dir: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("stage `{stage}` failed")]
    Stage {
        stage: String,
        place: Place,
        source: Box<Error>,
    },
    #[error("{keyword} failed")]
    Instruction { keyword: String, source: Box<Error> },
    #[error(transparent)]
    Execute(#[from] execute::Error),
    #[error(transparent)]
    Run(#[from] execute::run::Error),
    #[error(transparent)]
    Mount(mount::Error),
    #[error("{0} is not allowed")]
    NotAllowed(&'static str),
    #[error("its command is for {platform}, and nothing here runs that")]
    Machine { platform: Box<Platform> },
    #[error("cannot isolate commands")]
    Isolation(#[source] execute::run::SelectError),
    #[error(transparent)]
    Root(#[from] rootfs::Error),
    #[error("cannot make a layer of the changes")]
    Snapshot(#[from] snapshot::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Assemble(#[from] image::Error),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl From<mount::Error> for Error {
    fn from(error: mount::Error) -> Self {
        match error {
            mount::Error::Interrupted(interrupted) => Self::Interrupted(interrupted),
            other => Self::Mount(other),
        }
    }
}

/// An error of what a stage starts from.
#[derive(Debug)]
pub struct FromError {
    error: Box<Error>,
    place: Place,
    /// The name of the image as it stands there.
    word: String,
}

impl std::fmt::Display for FromError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for FromError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The instruction at which a build stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub Span);

impl Error {
    /// Places an error in a stage, at the lines of an instruction.
    pub(super) fn in_stage(stage: &PlannedStage, span: Span, error: Self) -> Self {
        Self::Stage {
            stage: display_name(stage),
            place: Place(span),
            source: Box::new(error),
        }
    }

    /// Places an error at a step of a stage.
    pub(super) fn at(stage: &PlannedStage, step: &Step, error: Self) -> Self {
        let keyword = step
            .text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_uppercase();
        Self::in_stage(
            stage,
            step.span,
            Self::Instruction {
                keyword,
                source: Box::new(error),
            },
        )
    }

    /// Places an error at the `FROM` that names an image by `word`.
    pub(super) fn in_from(self, span: Span, word: String) -> Self {
        Self::From(FromError {
            error: Box::new(self),
            place: Place(span),
            word,
        })
    }

    /// Adds to an image that is not to be had which stage is probably meant, if its name is like one.
    ///
    /// Of each stage the name and what it starts from: a stage of that very image is not meant, nor is any by a name with a tag.
    pub(super) fn suggest_stages<'n>(
        mut self,
        stages: impl Iterator<Item = (&'n str, &'n str)>,
    ) -> Self {
        let mut error = &mut self;
        loop {
            error = match error {
                Self::From(from) => &mut from.error,
                Self::Stage { source, .. } | Self::Instruction { source, .. } => source,
                Self::Image { image, stage, .. } => {
                    let typed = image.repository.strip_prefix("library/");
                    let is_plain =
                        image.registry == DOCKER_HUB && image.manifest_reference() == "latest";
                    if let Some(typed) = typed.filter(|_| is_plain) {
                        let others = stages.filter(|(_, base)| *base != typed);
                        *stage = suggest(typed, others.map(|(name, _)| name)).map(str::to_owned);
                    }
                    return self;
                }
                _ => return self,
            };
        }
    }

    /// Returns the image that is not to be had, as messages call it.
    pub(super) fn image(&self) -> Option<String> {
        match self {
            Self::Image { image, .. } => Some(image.to_string()),
            Self::LayoutImage { image, .. } | Self::Relabel { image, .. } => Some(image.clone()),
            _ => None,
        }
    }

    /// Returns the instruction at which the build stopped.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Dockerfile(error) => error.span,
            Self::Plan(error) => error.span,
            Self::Stage { place, .. } | Self::From(FromError { place, .. }) => Some(place.0),
            _ => None,
        }
    }

    /// Returns the word of the Dockerfile that is at fault, if it is a single one.
    pub fn word(&self) -> Option<String> {
        match self {
            Self::Dockerfile(error) => error.word(),
            Self::Plan(error) => error.word(),
            Self::Stage { source, .. } | Self::Instruction { source, .. } => source.word(),
            Self::From(from) => Some(from.word.clone()),
            Self::Run(error) => error.word(),
            Self::Mount(error) => error.word(),
            Self::NotAllowed(what) => Some(format!("--{}", what.split('.').next()?)),
            // of a COPY or a mount
            Self::Image { .. } | Self::LayoutImage { .. } => Some("from=".to_owned()),
            Self::Execute(error) => error.word(),
            _ => None,
        }
    }

    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Dockerfile(error) => error.help(),
            Self::Plan(error) => error.help(),
            Self::Stage { source, .. } | Self::Instruction { source, .. } => source.help(),
            Self::From(from) => from.error.help(),
            Self::Image { source, stage, .. } => match (stage, source.help()) {
                (Some(stage), Some(help)) => {
                    Some(format!("is the stage `{stage}` meant? if not: {help}"))
                }
                (Some(stage), None) => Some(format!("is the stage `{stage}` meant?")),
                (None, help) => help,
            },
            Self::Context { source, .. } => source.help(),
            Self::Execute(error) => error.help(),
            Self::Run(error) => error.help(),
            Self::Mount(error) => error.help(),
            Self::Isolation(error) => error.help(),
            Self::Root(error) => error.help(),
            Self::Snapshot(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Workspace { .. } => {
                Some("choose a writable directory with `--kaniko-dir` or KANIKO_DIR".to_owned())
            }
            Self::NoRoom { .. } => Some(
                "`--kaniko-dir` can point to a larger disk; what is unpacked needs more".to_owned(),
            ),
            Self::Checks { .. } => {
                Some("the Dockerfile's `check=error=true` makes findings errors".to_owned())
            }
            Self::Unpack { source, .. } | Self::Cached { source, .. } => {
                let own = source.downcast_ref().and_then(rootfs::Error::help);
                own.or_else(|| help_with_layer(&**source))
            }
            Self::Relabel { is_asked, .. } => {
                let format = match is_asked {
                    true => "leave out `--image-format=docker`",
                    false => "make an OCI image by `--image-format=oci`",
                };
                Some(format!("{format}, or choose a base image with gzip layers"))
            }
            Self::NotAllowed(what) => Some(format!("allow it with `--allow {what}`")),
            Self::Machine { platform } => Some(format!(
                "register an emulator for {} with binfmt_misc on the host, or build on such a machine and join the images by `executor index create`",
                platform.architecture
            )),
            Self::Pipe { .. }
            | Self::LayoutImage { .. }
            | Self::Assemble(_)
            | Self::Interrupted(_) => None,
        }
    }

    /// Returns the status the executor ends with: a failed command's own.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Stage { source, .. } | Self::Instruction { source, .. } => source.exit_status(),
            Self::Run(error) => error.exit_status(),
            Self::Interrupted(interrupted) => interrupted.exit_status(),
            _ => 1,
        }
    }
}

/// Returns what can be done about a layer that could not be unpacked: what is wrong with it, if it was not the system.
fn help_with_layer(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = registry::Error::behind(error) {
        return error.help();
    }
    let is_about_layer = matches!(
        error.downcast_ref()?,
        rootfs::Error::Layer(_)
            | rootfs::Error::Content { .. }
            | rootfs::Error::ContentSize { .. }
            | rootfs::Error::MissingLinkTarget { .. }
            | rootfs::Error::ReplacesRoot { .. }
    );
    let mut causes = causes::of(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let is_about_system = causes.any(|cause| cause.raw_os_error().is_some());
    (is_about_layer && !is_about_system).then(|| {
        "the layer is damaged, or never was right: push that image again, or take it from elsewhere"
            .to_owned()
    })
}

/// Returns how messages call a stage.
pub(super) fn display_name(stage: &PlannedStage) -> String {
    stage
        .name
        .clone()
        .unwrap_or_else(|| format!("stage-{}", stage.index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_chose_the_format_is_told_how_to_choose_another() {
        for (is_asked, want) in [
            (true, "leave out `--image-format=docker`, or"),
            (false, "make an OCI image by `--image-format=oci`, or"),
        ] {
            let error = Error::Relabel {
                layer: Digest::of(b""),
                image: "base".to_owned(),
                is_asked,
                source: image::Error::Platform {
                    text: String::new(),
                    reason: "",
                },
            };
            assert!(error.help().unwrap().starts_with(want), "{want}");
        }
    }
}
