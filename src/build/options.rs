//! What a build is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::context::GitOptions;
use crate::execute::IgnorePaths;
use crate::execute::mount::{Agents, Secrets};
use crate::execute::run;
use crate::image::{Compression, Family};
use crate::layer::LayerPath;
use crate::plan;

/// What a build is told beside its context and Dockerfile.
#[derive(Debug, Clone)]
pub struct Options {
    pub plan: plan::Options,
    /// How named contexts are fetched that are git repositories.
    pub git: GitOptions,
    /// `--jobs`: how many stages are built at a time; absent for what suits the machine.
    pub jobs: Option<usize>,
    /// Base images may be unpacked in part, layers be fetched before it is their turn, and be uploaded before the build is over.
    pub shortcuts: bool,
    pub isolation: IsolationOptions,
    /// The work directory, unless commands run in place; absent for a fresh one.
    pub work_dir: Option<PathBuf>,
    pub mounts: MountOptions,
    /// Stages, in lower case, whose layers are not taken from the cache.
    pub no_cache_filter: Vec<String>,
    pub snapshot: SnapshotOptions,
    pub image: ImageOptions,
    /// What ADD fetches is pinned beforehand, so that [`Prepared::materials`](super::prepared::Prepared::materials) can tell what it is.
    pub pin_sources: bool,
}

/// How a `RUN` is isolated.
#[derive(Debug, Clone)]
pub struct IsolationOptions {
    pub requested: run::Requested,
    /// `--force`: in-place isolation is allowed outside a container.
    pub force: bool,
    /// `--allow security.insecure`
    pub allow_insecure: bool,
    /// Where the container may have mounts that no command should see.
    pub hide: Vec<LayerPath>,
}

/// What mounts of a `RUN` are made of.
#[derive(Debug, Clone)]
pub struct MountOptions {
    pub secrets: Secrets,
    pub agents: Agents,
    /// `--cache-dir`: keeps caches if it is there and can be written.
    pub cache_dir: PathBuf,
}

/// How changes become layers.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// `--single-snapshot`: one layer a stage.
    pub single: bool,
    /// `--snapshot-mode=full`, asked for: all content is read again.
    pub read_everything: bool,
    /// `--ignore-path`
    pub ignore: IgnorePaths,
    pub compression: Compression,
    pub level: Option<u32>,
    /// How many compress a layer; absent for what suits the machine.
    pub threads: Option<usize>,
}

/// What the finished image is like.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// `--image-format`; absent to follow the base image.
    pub family: Option<Family>,
    pub labels: Vec<(String, String)>,
    pub annotations: BTreeMap<String, String>,
    /// `--reproducible`: times are 1970 unless `SOURCE_DATE_EPOCH` says otherwise.
    pub reproducible: bool,
}
