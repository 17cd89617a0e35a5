//! Keys of layers: a hash over everything that a step's layer depends on. Pure.
//!
//! A key is the SHA-256 of a sequence of fields, each with its length in front, so that no two different inputs make the same
//! sequence. The first field is `VERSION`; whoever changes what a step writes into its layer raises it.
//!
//! Part of a key: the chain of keys below it, the instruction as expanded, the environment and build args it sees, what it reads, and
//! how layers are written. Never part: times of files (but for those that `SOURCE_DATE_EPOCH` lets stand), proxies, what secrets and cache mounts contain, labels, anything of the
//! image's config that the step does not see.
//!
//! # Spec
//! Language spec RUN-10, LINK-3.

mod fields;
mod parts;

use std::fmt;

use crate::image::{Compression, DiffId, Digest, Platform};
use crate::layer::LayerPath;
use crate::plan::{Chmod, CopySource, CopyStep, GitSource, RunStep, Unpack, WorkdirStep};
use fields::Fields;

pub use parts::{Changes, Keyed, Parts};

const VERSION: &str = "layer key 3";

/// Names a layer by what it depends on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How all layers of a build are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    pub compression: Compression,
    pub level: Option<u32>,
    /// Seconds since 1970 that times in layers are clamped to.
    pub epoch: Option<i64>,
    /// Paths that are left out (`--ignore-path`).
    pub ignore: Vec<LayerPath>,
}

/// What a step reads besides the root it works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Nothing,
    /// Files of the build context.
    Files(Vec<InputFile>),
    /// Files of the build context, and what else is fetched, by what it is at the moment.
    Fetched(Vec<String>, Vec<InputFile>),
    /// A finished stage, by what it ended with.
    Stage(Key),
    /// An image, by its layers.
    Image(Vec<DiffId>),
}

/// A file as a COPY sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// In the build context; only to speak of it, and not part of a key.
    pub origin: LayerPath,
    /// Counts what the source words stand for, so that it is known which file came from where.
    pub source: usize,
    /// Below the directory that is copied; the name of a file that is copied by itself.
    pub path: LayerPath,
    /// A directory that is only there because of what is below it (`--parents`).
    pub is_intermediate: bool,
    pub content: Content,
    pub mode: u32,
    /// Absent where copies belong to root whoever owns the file.
    pub owner: Option<(u32, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Part of a key only where the layer shows it: a copy keeps times that are before `SOURCE_DATE_EPOCH`.
    pub mtime: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    File(Digest),
    /// A further name of a file, which is copied as a hard link.
    HardLink(LayerPath),
    Directory,
    /// The directory whose files are copied; it lends its time to the target.
    Top,
    Symlink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Socket,
}

/// Returns what a stage begins with that starts from nothing.
pub fn scratch(platform: &Platform) -> Key {
    let mut fields = Fields::new("scratch");
    fields.text(&platform.to_string());
    fields.finish().key
}

/// Returns what a stage begins with that starts from an image. Labels and other config are seen by no step but through its environment.
pub fn image(diff_ids: &[DiffId], platform: &Platform) -> Key {
    let mut fields = Fields::new("image");
    fields.text(&platform.to_string());
    fields.diff_ids(diff_ids);
    fields.finish().key
}

/// Returns the state of a stage after a step.
pub fn after(before: &Key, step: &Key) -> Key {
    let mut fields = Fields::new("after");
    fields.key(before);
    fields.key(step);
    fields.finish().key
}

/// Returns the key of the one layer of a stage (`--single-snapshot`) that begins with `start` and ends with `end`.
pub fn single(start: &Key, end: &Key, steps: Vec<Parts>) -> Keyed {
    let mut fields = Fields::new("single");
    fields.key(start);
    fields.key(end);
    Keyed {
        key: fields.finish().key,
        parts: Parts::of_steps(steps),
    }
}

/// Returns the key of a RUN's layer; `mounts` says what each mount of the step reads, in order.
pub fn run(before: &Key, step: &RunStep, mounts: &[Input], writing: &Writing) -> Keyed {
    let RunStep {
        args,
        env,
        proxy_env: _, // RUN-10
        working_dir,
        user,
        hostname,
        network,
        security,
        script,
        mounts: mount_options,
    } = step;
    let mut fields = Fields::new("run");
    fields.begin(before, writing);
    fields.part("the command", |fields| {
        fields.list(args, |fields, word| fields.text(word));
        fields.option(script.as_ref(), |fields, script| {
            fields.text(&script.name);
            fields.bytes(&script.body);
        });
    });
    fields.number(env.len() as u64);
    for (name, value) in env {
        fields.part(format!("variable `{name}`"), |fields| {
            fields.text(name);
            fields.text(value);
        });
    }
    fields.part("the working directory", |fields| fields.text(working_dir));
    fields.part("the user", |fields| fields.text(user));
    fields.part("the host name", |fields| fields.text(hostname));
    fields.part("the network", |fields| fields.text(network.as_str()));
    fields.part("the security mode", |fields| {
        fields.text(security.as_str());
    });
    fields.part("its mounts", |fields| {
        fields.list(mount_options, Fields::mount);
    });
    fields.number(mounts.len() as u64);
    for input in mounts {
        fields.input(input, None);
    }
    fields.finish()
}

/// Returns the key of a COPY's or ADD's layer.
///
/// With `--link` it does not depend on what is below, unless an owner's name must be looked up there (LINK-2, LINK-3).
pub fn copy(before: &Key, step: &CopyStep, input: &Input, writing: &Writing) -> Keyed {
    let CopyStep {
        unpack,
        from,
        sources,
        destination,
        working_dir,
        chown,
        chmod,
        link,
        parents,
        exclude,
    } = step;
    let mut fields = Fields::new("copy");
    let is_numeric = |owner: &String| {
        owner
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':')
    };
    let stands_alone = *link && chmod.is_none() && chown.as_ref().is_none_or(is_numeric);
    match stands_alone {
        true => fields.part("how layers are written", |fields| fields.writing(writing)),
        false => fields.begin(before, writing),
    }
    fields.part("the instruction", |fields| {
        fields.flag(stands_alone);
        fields.text(match unpack {
            Unpack::Never => "copy",
            Unpack::Local => "add",
            Unpack::Always => "unpack",
        });
        fields.source(from);
        fields.list(sources, |fields, source| match source {
            CopySource::Path(path) => {
                fields.text("path");
                fields.text(path);
            }
            CopySource::Inline { name, content } => {
                fields.text("inline");
                fields.text(name);
                fields.bytes(content);
            }
            CopySource::Url { url, checksum } => {
                fields.text("url");
                fields.text(url);
                fields.option(checksum.as_ref(), |fields, text| fields.text(text));
            }
            // what else it says follows from the URL
            CopySource::Git(GitSource {
                url, keep_git_dir, ..
            }) => {
                fields.text("git");
                fields.text(url);
                fields.flag(*keep_git_dir);
            }
        });
        fields.text(destination);
        fields.text(working_dir);
        fields.option(chown.as_ref(), |fields, owner| fields.text(owner));
        fields.option(chmod.as_ref(), |fields, chmod| match chmod {
            Chmod::Octal(mode) => {
                fields.text("octal");
                fields.number(u64::from(*mode));
            }
            Chmod::Symbolic(clauses) => {
                fields.text("symbolic");
                fields.text(clauses);
            }
        });
        fields.flag(*link);
        fields.flag(*parents);
        fields.list(exclude, |fields, pattern| fields.text(pattern));
    });
    fields.input(input, writing.epoch);
    fields.finish()
}

/// Returns the key of a WORKDIR's layer.
pub fn workdir(before: &Key, step: &WorkdirStep, writing: &Writing) -> Keyed {
    let WorkdirStep { path, user } = step;
    let mut fields = Fields::new("workdir");
    fields.begin(before, writing);
    fields.part("the working directory", |fields| fields.text(path));
    fields.part("the user", |fields| fields.text(user));
    fields.finish()
}

#[cfg(test)]
mod tests;
