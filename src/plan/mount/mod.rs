//! `RUN --mount`: its options checked and expanded, its defaults filled in.
//!
//! # Spec
//! Language spec 3.4.

mod error;
mod value;

pub use error::Error;

use super::path::{base_name, clean, join};
use super::{Access, Problem, RunMount, Sharing, Source};
use crate::dockerfile::instruction::Mount;
use error::TYPES;
use value::{boolean, number, sharing, size};

/// What the options of a mount mean depends on this.
pub(super) trait Surroundings {
    fn expand(&mut self, word: &str) -> Result<String, Problem>;
    /// Finds the stage or image called `from`, which must be complete before this instruction.
    fn source(&self, from: &str, target: &str) -> Result<Source, Problem>;
    fn working_dir(&self) -> &str;
    /// The prefix of all cache ids, or nothing.
    fn cache_namespace(&self) -> &str;
    /// Notes an option that means nothing for mounts of this type.
    fn unused(&mut self, option: &str, kind: &str);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Bind,
        Self::Cache,
        Self::Tmpfs,
        Self::Secret,
        Self::Ssh,
    ];

    fn name(self) -> &'static str {
        TYPES[self as usize]
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let lower = text.to_lowercase();
        let known = Self::ALL.into_iter().find(|kind| kind.name() == lower);
        known.ok_or_else(|| Error::Type(text.to_owned()))
    }
}

/// Tells whether what a mount has for `from` is looked at: to others it means nothing.
pub(super) fn reads_files(mount: &Mount) -> bool {
    let kinds = mount
        .fields
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case("type"));
    let kind = kinds
        .filter_map(|(_, text)| Kind::parse(text.as_deref()?).ok())
        .next_back();
    !matches!(kind, Some(Kind::Tmpfs | Kind::Ssh))
}

/// The options of one mount before their defaults.
struct Fields {
    kind: Kind,
    target: String,
    source: String,
    from: String,
    id: String,
    env: String,
    readonly: Option<bool>,
    sharing: Option<Sharing>,
    size: Option<u64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    required: bool,
}

/// Returns the mounts of one `RUN` in order.
pub(super) fn plan(
    mounts: &[Mount],
    around: &mut dyn Surroundings,
) -> Result<Vec<RunMount>, Problem> {
    let mut planned = Vec::new();
    let mut ssh_mounts = 0;
    for mount in mounts {
        let fields = Fields::read(mount, around)?;
        fields.check()?;
        for option in fields.unused() {
            around.unused(option, fields.kind.name());
        }
        planned.push(fields.finish(around, &mut ssh_mounts)?);
    }
    Ok(planned)
}

impl Fields {
    fn read(mount: &Mount, around: &mut dyn Surroundings) -> Result<Self, Problem> {
        let mut fields = Self {
            kind: Kind::Bind,
            target: String::new(),
            source: String::new(),
            from: String::new(),
            id: String::new(),
            env: String::new(),
            readonly: None,
            sharing: None,
            size: None,
            mode: None,
            uid: None,
            gid: None,
            required: false,
        };
        for (key, value) in &mount.fields {
            let lower = key.to_lowercase();
            match value {
                None => fields.set_bare(key, &lower)?,
                Some(value) if lower == "from" => fields.from.clone_from(value),
                Some(value) => {
                    let expanded = around.expand(value)?;
                    fields.set(key, &lower, value, expanded)?;
                }
            }
        }
        Ok(fields)
    }

    fn set_bare(&mut self, key: &str, lower: &str) -> Result<(), Error> {
        match lower {
            "readonly" | "ro" => self.readonly = Some(true),
            "readwrite" | "rw" => self.readonly = Some(false),
            "required" => {
                self.only_for("required", &[Kind::Secret, Kind::Ssh])?;
                self.required = true;
            }
            _ => return Err(Error::Bare(key.to_owned())),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, lower: &str, typed: &str, value: String) -> Result<(), Error> {
        match lower {
            "type" => self.kind = Kind::parse(&value)?,
            "target" | "dst" | "destination" => self.target = value,
            "source" | "src" => self.source = value,
            "readonly" | "ro" => self.readonly = Some(boolean("readonly", &value)?),
            "readwrite" | "rw" => self.readonly = Some(!boolean("readwrite", &value)?),
            "id" => self.id = value,
            "env" => self.env = value,
            "sharing" => self.sharing = Some(sharing(&value)?),
            "size" => {
                self.only_for("size", &[Kind::Tmpfs])?;
                self.size = Some(size(&value)?);
            }
            "required" => {
                self.only_for("required", &[Kind::Secret, Kind::Ssh])?;
                self.required = boolean("required", &value)?;
            }
            "mode" => self.mode = Some(number("mode", &value, 8)?),
            "uid" => self.uid = Some(number("uid", &value, 10)?),
            "gid" => self.gid = Some(number("gid", &value, 10)?),
            _ => {
                return Err(Error::Key {
                    key: key.to_owned(),
                    field: format!("{key}={typed}"),
                });
            }
        }
        Ok(())
    }

    /// Refuses a key that means nothing for the type named so far (MNT-3).
    fn only_for(&self, key: &'static str, kinds: &[Kind]) -> Result<(), Error> {
        match kinds.contains(&self.kind) {
            true => Ok(()),
            false => Err(Error::KeyForType {
                key,
                kind: self.kind.name(),
            }),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let kind = self.kind.name();
        let not_allowed = |key| Err(Error::NotAllowed { key, kind });
        if matches!(self.kind, Kind::Bind | Kind::Tmpfs) {
            for (key, value) in [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)] {
                if value.is_some() {
                    return not_allowed(key);
                }
            }
        }
        if self.kind != Kind::Cache && self.sharing.is_some() {
            return not_allowed("sharing");
        }
        if self.kind == Kind::Secret && !self.from.is_empty() {
            return not_allowed("from");
        }
        if self.kind == Kind::Ssh && !self.source.is_empty() {
            return Err(Error::Unsupported {
                kind,
                key: "source",
            });
        }
        if self.kind == Kind::Secret {
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return Err(Error::SecretWithoutId);
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return Err(Error::SecretWithTwoIds);
            }
        }
        Ok(())
    }

    /// Returns the options that neither mean anything for this type nor are refused.
    fn unused(&self) -> Vec<&'static str> {
        let from = matches!(self.kind, Kind::Tmpfs | Kind::Ssh) && !self.from.is_empty();
        let source = self.kind == Kind::Tmpfs && !self.source.is_empty();
        let id = matches!(self.kind, Kind::Bind | Kind::Tmpfs) && !self.id.is_empty();
        let env = self.kind != Kind::Secret && !self.env.is_empty();
        let readonly =
            matches!(self.kind, Kind::Secret | Kind::Ssh) && self.readonly == Some(false);
        [
            ("from", from),
            ("source", source),
            ("id", id),
            ("env", env),
            ("readwrite", readonly),
        ]
        .into_iter()
        .filter_map(|(option, is_unused)| is_unused.then_some(option))
        .collect()
    }

    fn finish(
        self,
        around: &dyn Surroundings,
        ssh_mounts: &mut usize,
    ) -> Result<RunMount, Problem> {
        let access = |mode| Access {
            mode: self.mode.unwrap_or(mode),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        };
        match self.kind {
            Kind::Secret => {
                let named = [&self.id, &self.source];
                let id = match named.into_iter().find(|id| !id.is_empty()) {
                    Some(id) => id,
                    None => base_name(&self.target),
                };
                let target = match (self.target.is_empty(), self.env.is_empty()) {
                    (false, _) => Some(join("/", &self.target)),
                    (true, false) => None,
                    (true, true) => Some(format!("/run/secrets/{}", base_name(id))),
                };
                return Ok(RunMount::Secret {
                    id: id.to_owned(),
                    target,
                    env: (!self.env.is_empty()).then_some(self.env),
                    required: self.required,
                    access: access(0o400),
                });
            }
            Kind::Ssh => {
                let number = *ssh_mounts;
                *ssh_mounts += 1;
                return Ok(RunMount::Ssh {
                    id: or(self.id, "default"),
                    target: match self.target.is_empty() {
                        true => format!("/run/buildkit/ssh_agent.{number}"),
                        false => join("/", &self.target),
                    },
                    required: self.required,
                    access: access(0o600),
                });
            }
            Kind::Bind | Kind::Cache | Kind::Tmpfs => {}
        }
        let target = join(around.working_dir(), &self.target);
        if target == "/" {
            return Err(Error::Target(target).into());
        }
        let from = match self.from.is_empty() || self.kind == Kind::Tmpfs {
            true => None,
            false => Some(around.source(&self.from, &target)?),
        };
        let source = join("/", &self.source);
        Ok(match self.kind {
            Kind::Bind => RunMount::Bind {
                target,
                from: from.unwrap_or(Source::Context),
                source,
                readonly: self.readonly.unwrap_or(true),
            },
            Kind::Cache => {
                let is_fresh = [self.mode, self.uid, self.gid].iter().any(Option::is_some)
                    && from.is_some()
                    && source == "/";
                let id = or(self.id, &clean(&self.target));
                RunMount::Cache {
                    target,
                    id: match around.cache_namespace() {
                        "" => id,
                        namespace => format!("{namespace}/{id}"),
                    },
                    from,
                    source: (!is_fresh).then_some(source),
                    sharing: self.sharing.unwrap_or(Sharing::Shared),
                    readonly: self.readonly.unwrap_or(false),
                    access: access(0o755),
                }
            }
            _ => RunMount::Tmpfs {
                target,
                size: self.size,
                readonly: self.readonly.unwrap_or(false),
            },
        })
    }
}

fn or(text: String, default: &str) -> String {
    match text.is_empty() {
        true => default.to_owned(),
        false => text,
    }
}
