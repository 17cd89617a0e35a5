//! What a stage does, expanded and checked: the steps of a plan and their inputs.

use std::collections::BTreeMap;

use super::{Chmod, GitSource, ImageName};
use crate::dockerfile::Span;
use crate::dockerfile::instruction::{Heredoc, Network, Security};
use crate::image::Platform;

/// One instruction that is executed or recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The instruction, or the stage's `FROM` for a trigger.
    pub span: Span,
    /// The instruction as typed, for the log.
    pub text: String,
    /// History text; absent for `ONBUILD`, which leaves no entry.
    pub created_by: Option<String>,
    pub action: Action,
}

impl Step {
    /// Returns the stages whose files this step reads, by their position in the plan.
    pub fn stages_read(&self) -> Vec<usize> {
        let stage = |source: &Source| match source {
            Source::Stage(position) => Some(*position),
            Source::Context | Source::Named(_) | Source::Image(..) | Source::Scratch => None,
        };
        self.sources().into_iter().filter_map(stage).collect()
    }

    /// Tells whether this step makes a layer of its own, where each does.
    pub fn has_layer(&self) -> bool {
        self.action != Action::Config
    }

    /// Returns where this step takes files from.
    pub fn sources(&self) -> Vec<&Source> {
        match &self.action {
            Action::Copy(step) => vec![&step.from],
            Action::Run(step) => step.mounts.iter().filter_map(RunMount::source).collect(),
            Action::Config | Action::Workdir(_) => Vec::new(),
        }
    }
}

/// What a step does to the stage's filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Only the config changes; no layer.
    Config,
    Run(RunStep),
    Copy(CopyStep),
    Workdir(WorkdirStep),
}

impl Action {
    /// Returns what has a NUL byte, which the kernel takes for the end of any argument, variable or path.
    pub(super) fn nul(&self) -> Option<String> {
        let has = |text: &str| text.contains('\0');
        let text = match self {
            Self::Run(step) if step.args.iter().any(|arg| has(arg)) => "the command",
            Self::Run(step) if has(&step.working_dir) => "the working directory",
            Self::Run(step) if has(&step.user) => "the user",
            Self::Run(step) => {
                let mut variables = step.env.iter();
                let (name, _) = variables.find(|(name, value)| has(name) || has(value))?;
                return Some(format!("the variable `{}`", name.replace('\0', "\\0")));
            }
            Self::Copy(step) if has(&step.target()) => "the destination",
            Self::Copy(step)
                if step
                    .sources
                    .iter()
                    .any(|source| source.name().is_some_and(has)) =>
            {
                "a source"
            }
            Self::Workdir(step) if has(&step.path) => "the directory",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// A command, ready to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// Program and arguments, shell included.
    pub args: Vec<String>,
    /// The image's variables and the build args in scope; without `HOME`, which depends on the user's passwd entry.
    pub env: BTreeMap<String, String>,
    /// Proxy variables, kept apart because they are part of no cache key (language spec 2.7).
    pub proxy_env: BTreeMap<String, String>,
    /// Absolute and clean.
    pub working_dir: String,
    /// `USER` as expanded; empty for root.
    pub user: String,
    /// Name of the machine as the command sees it, where the isolation can set one.
    pub hostname: String,
    pub network: Network,
    pub security: Security,
    /// A heredoc script that starts with `#!`, to appear as an executable file of this name under `/dev/pipes` (HD-10).
    pub script: Option<Heredoc>,
    pub mounts: Vec<RunMount>,
}

/// A `--mount`, checked and expanded; see language spec 3.4 for the defaults already filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunMount {
    Bind {
        target: String,
        from: Source,
        source: String,
        readonly: bool,
    },
    Cache {
        target: String,
        id: String,
        from: Option<Source>,
        /// What of `from` a new one starts with; nothing if it is to have an owner or mode of its own (MNT-9).
        source: Option<String>,
        sharing: Sharing,
        readonly: bool,
        access: Access,
    },
    Tmpfs {
        target: String,
        size: Option<u64>,
        readonly: bool,
    },
    Secret {
        id: String,
        target: Option<String>,
        env: Option<String>,
        required: bool,
        access: Access,
    },
    Ssh {
        id: String,
        target: String,
        required: bool,
        access: Access,
    },
}

/// Who may do what with what is made for a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl RunMount {
    /// Returns where files come from, if it is not made anew.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Bind { from, .. } => Some(from),
            Self::Cache { from, .. } => from.as_ref(),
            Self::Tmpfs { .. } | Self::Secret { .. } | Self::Ssh { .. } => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Shared,
    Private,
    Locked,
}

/// Where copied or mounted files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each step")]
pub enum Source {
    /// The main build context.
    Context,
    /// A context of files, by its position in [`Options::contexts`](super::Options::contexts).
    Named(usize),
    /// An earlier stage, by its position in [`Plan::stages`](super::Plan::stages).
    Stage(usize),
    Image(ImageName, Platform),
    /// An empty directory.
    Scratch,
}

/// `COPY` or `ADD`, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// `ADD`: archives are unpacked.
    pub unpack: Unpack,
    pub from: Source,
    /// As written after expansion; cleaned by the execution.
    pub sources: Vec<CopySource>,
    /// As written after expansion; joined with `working_dir` by the execution, so that a trailing slash keeps its meaning.
    pub destination: String,
    pub working_dir: String,
    /// Expanded, non-empty.
    pub chown: Option<String>,
    /// Expanded, non-empty, validated.
    pub chmod: Option<Chmod>,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<String>,
}

impl CopyStep {
    /// Returns the destination, joined with the working directory.
    pub fn target(&self) -> String {
        match self.destination.starts_with('/') {
            true => self.destination.clone(),
            false => format!("{}/{}", self.working_dir, self.destination),
        }
    }

    /// Returns the copy of a whole source onto an empty root.
    pub(super) fn of_everything(from: Source) -> Self {
        Self {
            unpack: Unpack::Never,
            from,
            sources: vec![CopySource::Path(".".to_owned())],
            destination: "/".to_owned(),
            working_dir: "/".to_owned(),
            chown: None,
            chmod: None,
            link: false,
            parents: false,
            exclude: Vec::new(),
        }
    }
}

/// Whether a local archive among the sources is extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// `COPY`, or `ADD --unpack=false`.
    Never,
    /// `ADD`: local archives.
    Local,
    /// `ADD --unpack`: downloaded archives too.
    Always,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern below the root of the source.
    Path(String),
    /// An inline file: name and expanded content.
    Inline { name: String, content: Vec<u8> },
    /// `ADD http…`.
    Url {
        url: String,
        checksum: Option<String>,
    },
    /// `ADD` of a git repository.
    Git(GitSource),
}

impl CopySource {
    /// Returns its path or the name of an inline file.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Path(name) | Self::Inline { name, .. } => Some(name),
            Self::Url { .. } | Self::Git(_) => None,
        }
    }
}

/// A directory to be created if missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkdirStep {
    /// Absolute and clean; never `/`.
    pub path: String,
    /// The owner of what is created, by name as in `USER`; unknown names count as root (WD-3).
    pub user: String,
}
