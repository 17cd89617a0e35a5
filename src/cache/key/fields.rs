//! What a key is a hash of: fields with their lengths in front, in parts that can be told from those of another time.

use sha2::{Digest as _, Sha256};

use super::{Content, Input, InputFile, Key, Keyed, Parts, VERSION, Writing};
use crate::image::{Compression, DiffId};
use crate::plan::{Access, RunMount, Sharing, Source};

/// A sequence of fields under the hash, grouped into parts that have names.
pub(super) struct Fields {
    hash: Sha256,
    parts: Vec<(String, String)>,
}

impl Fields {
    pub(super) fn new(kind: &str) -> Self {
        let mut fields = Self::empty();
        fields.text(VERSION);
        fields.text(kind);
        fields
    }

    fn empty() -> Self {
        Self {
            hash: Sha256::new(),
            parts: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Keyed {
        Keyed {
            key: Key(self.hash.finalize().into()),
            parts: Parts(self.parts),
        }
    }

    /// Writes fields that are spoken of as one thing. They count by their hash.
    pub(super) fn part(&mut self, name: impl Into<String>, write: impl FnOnce(&mut Self)) {
        let mut fields = Self::empty();
        write(&mut fields);
        let digest: [u8; 32] = fields.hash.finalize().into();
        self.hash.update(digest);
        let short = u64::from_be_bytes(*digest.first_chunk().expect("it has 32 bytes"));
        self.parts.push((name.into(), format!("{short:016x}")));
    }

    /// Writes what each layer on top of others depends on.
    pub(super) fn begin(&mut self, before: &Key, writing: &Writing) {
        self.part("how layers are written", |fields| fields.writing(writing));
        self.part(super::parts::BELOW, |fields| fields.key(before));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hash.update(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.hash.update(number.to_be_bytes());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    pub(super) fn key(&mut self, key: &Key) {
        self.hash.update(key.0);
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, mut write: impl FnMut(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn list<I: IntoIterator<IntoIter: ExactSizeIterator>>(
        &mut self,
        items: I,
        mut write: impl FnMut(&mut Self, I::Item),
    ) {
        let items = items.into_iter();
        self.number(items.len() as u64);
        items.for_each(|item| write(self, item));
    }

    pub(super) fn diff_ids(&mut self, diff_ids: &[DiffId]) {
        self.list(diff_ids, |fields, id| fields.text(id.digest().as_str()));
    }

    pub(super) fn writing(&mut self, writing: &Writing) {
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
    pub(super) fn source(&mut self, source: &Source) {
        self.text(match source {
            Source::Context => "context",
            Source::Named(_) => "named context",
            Source::Stage(_) => "stage",
            Source::Image(..) => "image",
            Source::Scratch => "scratch",
        });
    }

    /// Writes what a step reads; times of files that are before `epoch` count.
    pub(super) fn input(&mut self, input: &Input, epoch: Option<i64>) {
        match input {
            Input::Nothing => self.text("nothing"),
            Input::Files(files) => {
                self.text("files");
                self.files(files, epoch);
            }
            Input::Fetched(fetched, files) => {
                self.text("fetched");
                self.number(fetched.len() as u64);
                for (number, text) in fetched.iter().enumerate() {
                    self.part(format!("what fetched source {} is", number + 1), |fields| {
                        fields.text(text);
                    });
                }
                self.files(files, epoch);
            }
            Input::Stage(key) => {
                self.text("stage");
                self.part("the stage it reads", |fields| fields.key(key));
            }
            Input::Image(diff_ids) => {
                self.text("image");
                self.part("the image it reads", |fields| fields.diff_ids(diff_ids));
            }
        }
    }

    fn files(&mut self, files: &[InputFile], epoch: Option<i64>) {
        self.number(files.len() as u64);
        for file in files {
            let name = String::from_utf8_lossy(file.origin.as_bytes());
            let name = match file.content {
                Content::Top => format!("directory `/{name}`"),
                _ => format!("file `{name}`"),
            };
            self.part(name, |fields| fields.file(file, epoch));
        }
    }

    fn file(&mut self, file: &InputFile, epoch: Option<i64>) {
        let InputFile {
            origin: _,
            source,
            path,
            is_intermediate,
            content,
            mode,
            owner,
            xattrs,
            mtime,
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
        let stands = epoch.is_some_and(|epoch| *mtime < epoch);
        self.option(stands.then_some(*mtime), |fields, mtime| {
            fields.number(mtime.cast_unsigned());
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
            Content::Top => self.text("top"),
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

    pub(super) fn mount(&mut self, mount: &RunMount) {
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
                access,
            } => {
                self.text("cache");
                self.text(target);
                self.text(id);
                self.option(from.as_ref(), Self::source);
                // absent, it is told from every path by its length
                self.text(source.as_deref().unwrap_or_default());
                self.text(match sharing {
                    Sharing::Shared => "shared",
                    Sharing::Private => "private",
                    Sharing::Locked => "locked",
                });
                self.flag(*readonly);
                self.access(*access);
            }
            RunMount::Tmpfs {
                target,
                size,
                readonly,
            } => {
                self.text("tmpfs");
                self.text(target);
                self.option(*size, Self::number);
                self.flag(*readonly);
            }
            RunMount::Secret {
                id,
                target,
                env,
                required,
                access,
            } => {
                self.text("secret");
                self.text(id);
                self.option(target.as_ref(), |fields, text| fields.text(text));
                self.option(env.as_ref(), |fields, text| fields.text(text));
                self.flag(*required);
                self.access(*access);
            }
            RunMount::Ssh {
                id,
                target,
                required,
                access,
            } => {
                self.text("ssh");
                self.text(id);
                self.text(target);
                self.flag(*required);
                self.access(*access);
            }
        }
    }

    fn access(&mut self, access: Access) {
        let Access { mode, uid, gid } = access;
        for number in [mode, uid, gid] {
            self.number(u64::from(number));
        }
    }
}
