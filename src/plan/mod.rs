//! From stages, options and base configs to ordered steps: everything about a build that can be known without a filesystem.
//!
//! A plan is complete: the config of every stage after its last instruction, the history texts, and for each step that
//! touches files its fully expanded inputs. What is left for `build` is to run the steps and to hash the layers.

mod chmod;
mod step;

pub use chmod::Chmod;
pub use step::{
    Action, CopySource, CopyStep, RunMount, RunStep, Sharing, Source, Step, Unpack, WorkdirStep,
};

use crate::dockerfile::Span;
use crate::image::{ImageConfig, ImageRef, Platform};

/// What to build, in file order, without stages that no target needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub stages: Vec<PlannedStage>,
    /// Index into `stages` of the stage that becomes the image. Stages of further targets are built and dropped.
    pub target: usize,
    /// Seconds since 1970 that new history entries and layers are clamped to.
    pub source_date_epoch: Option<i64>,
    /// Build args that no `ARG` declares and that have no meaning of their own, for a warning.
    pub unused_build_args: Vec<String>,
}

/// One stage: where it starts, what it does, and the config it ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStage {
    /// Position in the Dockerfile.
    pub index: usize,
    pub name: Option<String>,
    /// The `FROM` instruction.
    pub span: Span,
    pub text: String,
    pub base: Base,
    pub steps: Vec<Step>,
    /// The config after the last step. `rootfs`, `history` and `created` are still those of the base image.
    pub config: ImageConfig,
    /// Later stages that start from this one, copy from it or mount it, by their position in [`Plan::stages`], ascending.
    pub consumers: Vec<usize>,
    /// Some step of this stage, or of a consumer, looks at this stage's files, so its base must be unpacked to run it.
    pub needs_root: bool,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    Scratch,
    /// An image in a registry, for a platform.
    Image(ImageRef, Platform),
    /// An earlier stage, by its position in [`Plan::stages`].
    Stage(usize),
}
