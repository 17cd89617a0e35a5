//! Keys of layers: a hash over everything that a step's layer depends on. Pure.
//!
//! A key is the SHA-256 of a sequence of fields, each with its length in front, so that no two different inputs make the same
//! sequence. The first field is `VERSION`; whoever changes what a step writes into its layer raises it.
//!
//! Part of a key: the chain of keys below it, the instruction as expanded, the environment and build args it sees, what it reads, and
//! how layers are written. Never part: times of files, proxies, what secrets and cache mounts contain, labels, anything of the
//! image's config that the step does not see.
//!
//! # Spec
//! Language spec RUN-10, LINK-3.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::image::{Compression, DiffId, Digest, Platform};
use crate::layer::LayerPath;
use crate::plan::{
    Chmod, CopySource, CopyStep, GitSource, RunMount, RunStep, Sharing, Source, Unpack, WorkdirStep,
};

const VERSION: &str = "layer key 1";

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

/// A file as a COPY sees it; its times are not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
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
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    File(Digest),
    /// A further name of a file, which is copied as a hard link.
    HardLink(LayerPath),
    Directory,
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
    fields.finish()
}

/// Returns what a stage begins with that starts from an image. Labels and other config are seen by no step but through its environment.
pub fn image(diff_ids: &[DiffId], platform: &Platform) -> Key {
    let mut fields = Fields::new("image");
    fields.text(&platform.to_string());
    fields.diff_ids(diff_ids);
    fields.finish()
}

/// Returns the state of a stage after a step.
pub fn after(before: &Key, step: &Key) -> Key {
    let mut fields = Fields::new("after");
    fields.key(before);
    fields.key(step);
    fields.finish()
}

/// Returns the key of a RUN's layer; `mounts` says what each mount of the step reads, in order.
pub fn run(before: &Key, step: &RunStep, mounts: &[Input], writing: &Writing) -> Key {
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
    fields.writing(writing);
    fields.key(before);
    fields.list(args, |fields, word| fields.text(word));
    fields.list(env, |fields, (name, value)| {
        fields.text(name);
        fields.text(value);
    });
    fields.text(working_dir);
    fields.text(user);
    fields.text(hostname);
    fields.text(network.as_str());
    fields.text(security.as_str());
    fields.option(script.as_ref(), |fields, script| {
        fields.text(&script.name);
        fields.bytes(&script.body);
    });
    fields.list(mount_options, Fields::mount);
    fields.list(mounts, Fields::input);
    fields.finish()
}

/// Returns the key of a COPY's or ADD's layer.
///
/// With `--link` it does not depend on what is below, unless an owner's name must be looked up there (LINK-2, LINK-3).
pub fn copy(before: &Key, step: &CopyStep, input: &Input, writing: &Writing) -> Key {
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
    fields.writing(writing);
    let is_numeric = |owner: &String| {
        owner
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b':')
    };
    let stands_alone = *link && chmod.is_none() && chown.as_ref().is_none_or(is_numeric);
    fields.option((!stands_alone).then_some(before), Fields::key);
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
        Chmod::Octal(mode) => fields.number(u64::from(*mode)),
        Chmod::Symbolic(clauses) => fields.text(clauses),
    });
    fields.flag(*link);
    fields.flag(*parents);
    fields.list(exclude, |fields, pattern| fields.text(pattern));
    fields.input(input);
    fields.finish()
}

/// Returns the key of a WORKDIR's layer.
pub fn workdir(before: &Key, step: &WorkdirStep, writing: &Writing) -> Key {
    let WorkdirStep { path, user } = step;
    let mut fields = Fields::new("workdir");
    fields.writing(writing);
    fields.key(before);
    fields.text(path);
    fields.text(user);
    fields.finish()
}

/// A sequence of fields under the hash.
struct Fields(Sha256);

impl Fields {
    fn new(kind: &str) -> Self {
        let mut fields = Self(Sha256::new());
        fields.text(VERSION);
        fields.text(kind);
        fields
    }

    fn finish(self) -> Key {
        Key(self.0.finalize().into())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    fn key(&mut self, key: &Key) {
        self.0.update(key.0);
    }

    fn option<T>(&mut self, value: Option<T>, mut write: impl FnMut(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<I: IntoIterator<IntoIter: ExactSizeIterator>>(
        &mut self,
        items: I,
        mut write: impl FnMut(&mut Self, I::Item),
    ) {
        let items = items.into_iter();
        self.number(items.len() as u64);
        items.for_each(|item| write(self, item));
    }

    fn diff_ids(&mut self, diff_ids: &[DiffId]) {
        self.list(diff_ids, |fields, id| fields.text(id.digest().as_str()));
    }

    fn writing(&mut self, writing: &Writing) {
        let Writing {
            compression,
            level,
            epoch,
            ignore,
        } = writing;
        self.text(match compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        });
        self.option(*level, |fields, level| fields.number(u64::from(level)));
        self.option(*epoch, |fields, epoch| fields.number(epoch.cast_unsigned()));
        self.list(ignore, |fields, path| fields.bytes(path.as_bytes()));
    }

    /// Writes what kind of source it is; which stage or image, is the [`Input`]'s to say.
    fn source(&mut self, source: &Source) {
        self.text(match source {
            Source::Context => "context",
            Source::Named(_) => "named context",
            Source::Stage(_) => "stage",
            Source::Image(..) => "image",
            Source::Scratch => "scratch",
        });
    }

    fn input(&mut self, input: &Input) {
        match input {
            Input::Nothing => self.text("nothing"),
            Input::Files(files) => {
                self.text("files");
                self.list(files, Self::file);
            }
            Input::Fetched(fetched, files) => {
                self.text("fetched");
                self.list(fetched, |fields, text| fields.text(text));
                self.list(files, Self::file);
            }
            Input::Stage(key) => {
                self.text("stage");
                self.key(key);
            }
            Input::Image(diff_ids) => {
                self.text("image");
                self.diff_ids(diff_ids);
            }
        }
    }

    fn file(&mut self, file: &InputFile) {
        let InputFile {
            source,
            path,
            is_intermediate,
            content,
            mode,
            owner,
            xattrs,
        } = file;
        self.number(*source as u64);
        self.bytes(path.as_bytes());
        self.flag(*is_intermediate);
        self.number(u64::from(*mode));
        self.option(*owner, |fields, (uid, gid)| {
            fields.number(u64::from(uid));
            fields.number(u64::from(gid));
        });
        self.list(xattrs, |fields, (name, value)| {
            fields.bytes(name);
            fields.bytes(value);
        });
        match content {
            Content::File(digest) => {
                self.text("file");
                self.text(digest.as_str());
            }
            Content::HardLink(first) => {
                self.text("link");
                self.bytes(first.as_bytes());
            }
            Content::Directory => self.text("directory"),
            Content::Symlink(target) => {
                self.text("symlink");
                self.bytes(target);
            }
            Content::CharDevice(major, minor) => {
                self.text("character device");
                self.number(u64::from(*major));
                self.number(u64::from(*minor));
            }
            Content::BlockDevice(major, minor) => {
                self.text("block device");
                self.number(u64::from(*major));
                self.number(u64::from(*minor));
            }
            Content::Fifo => self.text("fifo"),
            Content::Socket => self.text("socket"),
        }
    }

    fn mount(&mut self, mount: &RunMount) {
        match mount {
            RunMount::Bind {
                target,
                from,
                source,
                readonly,
            } => {
                self.text("bind");
                self.text(target);
                self.source(from);
                self.text(source);
                self.flag(*readonly);
            }
            RunMount::Cache {
                target,
                id,
                from,
                source,
                sharing,
                readonly,
                mode,
                uid,
                gid,
            } => {
                self.text("cache");
                self.text(target);
                self.text(id);
                self.option(from.as_ref(), Self::source);
                self.text(source);
                self.text(match sharing {
                    Sharing::Shared => "shared",
                    Sharing::Private => "private",
                    Sharing::Locked => "locked",
                });
                self.flag(*readonly);
                self.owner(*mode, *uid, *gid);
            }
            RunMount::Tmpfs { target, size } => {
                self.text("tmpfs");
                self.text(target);
                self.option(*size, Self::number);
            }
            RunMount::Secret {
                id,
                target,
                env,
                required,
                mode,
                uid,
                gid,
            } => {
                self.text("secret");
                self.text(id);
                self.option(target.as_ref(), |fields, text| fields.text(text));
                self.option(env.as_ref(), |fields, text| fields.text(text));
                self.flag(*required);
                self.owner(*mode, *uid, *gid);
            }
            RunMount::Ssh {
                id,
                target,
                required,
                mode,
                uid,
                gid,
            } => {
                self.text("ssh");
                self.text(id);
                self.text(target);
                self.flag(*required);
                self.owner(*mode, *uid, *gid);
            }
        }
    }

    fn owner(&mut self, mode: u32, uid: u32, gid: u32) {
        for number in [mode, uid, gid] {
            self.number(u64::from(number));
        }
    }
}

#[cfg(test)]
mod tests;
