//! `COPY` and `ADD`: their words expanded, their flags checked.
//!
//! # Spec
//! Language spec 3.5, 3.8, 3.10, 3.11; HIS-4 for the history text.

use super::chmod::Invalid;
use super::stage::Evaluation;
use super::{Action, Chmod, CopySource, CopyStep, GitSource, Problem, Source, Unpack};
use crate::dockerfile::expand::expand_heredoc;
use crate::dockerfile::instruction::{Add, Copy, Transfer};

/// Where a source word points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Local,
    Url,
    Git,
}

impl Evaluation<'_> {
    pub(super) fn copy_step(&mut self, copy: &Copy) -> Result<(String, Action), Problem> {
        let from = match copy.from.as_deref() {
            None | Some("") => Source::Context,
            Some(from) if from.contains('$') => return Err(Problem::FromVariable),
            Some(from) => {
                let origin = self.graph.copy_origin(from)?;
                let stage = self.graph.display_name(self.index);
                self.source(origin, |from| Problem::CopyFromLater { from, stage })?
            }
        };
        let (mut step, mode) = self.transfer(&copy.transfer, |source| match place(&source) {
            Place::Local => Ok(CopySource::Path(source)),
            Place::Url => Err(Problem::CopyUrl(source)),
            Place::Git => Err(Problem::CopyGit(source)),
        })?;
        step.from = from;
        step.parents = copy.parents;
        step.unpack = Unpack::Never;
        Ok((created_by("COPY", &step, mode), Action::Copy(step)))
    }

    pub(super) fn add_step(&mut self, add: &Add) -> Result<(String, Action), Problem> {
        let checksum = self.flag(add.checksum.as_ref())?;
        let several = add.transfer.sources.len() + add.transfer.heredocs.len() > 1;
        if checksum.is_some() && several {
            return Err(Problem::ChecksumOfSeveral);
        }
        let (mut step, mode) = self.transfer(&add.transfer, |source| match place(&source) {
            Place::Local if checksum.is_some() => Err(Problem::ChecksumOfLocal),
            Place::Local => Ok(CopySource::Path(source)),
            Place::Url => Ok(CopySource::Url {
                url: source,
                checksum: checksum.as_deref().map(sha256).transpose()?,
            }),
            Place::Git => {
                let git = GitSource::parse(&source, checksum.as_deref(), add.keep_git_dir);
                Ok(CopySource::Git(git?))
            }
        })?;
        if checksum.is_some() && matches!(step.sources[..], [CopySource::Inline { .. }]) {
            return Err(Problem::ChecksumOfLocal);
        }
        step.unpack = match add.unpack {
            None => Unpack::Local,
            Some(false) => Unpack::Never,
            Some(true) => Unpack::Always,
        };
        Ok((created_by("ADD", &step, mode), Action::Copy(step)))
    }

    /// Expands what `COPY` and `ADD` have in common; also returns `--chmod` as typed, for the history.
    fn transfer(
        &mut self,
        transfer: &Transfer,
        classify: impl Fn(String) -> Result<CopySource, Problem>,
    ) -> Result<(CopyStep, Option<String>), Problem> {
        let mut sources = Vec::new();
        for source in &transfer.sources {
            sources.push(classify(self.expand(source)?)?);
        }
        for heredoc in &transfer.heredocs {
            let content = match heredoc.expand {
                true => {
                    let body = String::from_utf8_lossy(&heredoc.body);
                    let lookup = |name: &str| self.state.scope.values.get(name).cloned();
                    let expanded = expand_heredoc(&body, &lookup)?;
                    self.check_undefined(&expanded.undefined);
                    expanded.text.into_bytes()
                }
                false => heredoc.body.clone(),
            };
            sources.push(CopySource::Inline {
                name: heredoc.name.clone(),
                content,
            });
        }
        let destination = self.expand(&transfer.destination)?;
        let chown = self.flag(transfer.chown.as_ref())?;
        let mode = self.flag(transfer.chmod.as_ref())?;
        let chmod = mode.as_ref().map(|text| match Chmod::parse(text) {
            Ok(change) => Ok(change),
            Err(Invalid::Octal) => Err(Problem::OctalMode(text.clone())),
            Err(Invalid::Symbolic) => Err(Problem::SymbolicMode(text.clone())),
        });
        let chmod = chmod.transpose()?;
        // With --chmod as well, --link is ignored (LINK-2).
        let link = transfer.link && chmod.is_none();
        if let Some(owner) = &chown
            && (link || self.state.root_is_empty)
            && owner.split(':').any(is_name)
        {
            return Err(Problem::UserIndex(owner.clone()));
        }
        let step = CopyStep {
            unpack: Unpack::Never,
            from: Source::Context,
            sources,
            destination,
            working_dir: self.working_dir.clone(),
            chown,
            chmod,
            link,
            parents: false,
            exclude: transfer.exclude.clone(),
        };
        Ok((step, mode))
    }

    /// Expands the value of a flag; an empty one counts as absent (CFROM-7).
    fn flag(&mut self, value: Option<&String>) -> Result<Option<String>, Problem> {
        let expanded = value.map(|value| self.expand(value)).transpose()?;
        Ok(expanded.filter(|value| !value.is_empty()))
    }
}

fn created_by(keyword: &str, step: &CopyStep, mode: Option<String>) -> String {
    let mut words = vec![keyword.to_owned()];
    words.extend(step.parents.then(|| "--parents".to_owned()));
    words.extend(step.chown.iter().map(|owner| format!("--chown={owner}")));
    words.extend(mode.map(|mode| format!("--chmod={mode}")));
    words.extend(step.sources.iter().map(|source| match source {
        CopySource::Path(path) => path.clone(),
        CopySource::Url { url, .. } | CopySource::Git(GitSource { url, .. }) => url.clone(),
        CopySource::Inline { name, .. } => format!("<<{name}"),
    }));
    words.push(step.destination.clone());
    words.push("# buildkit".to_owned());
    words.join(" ")
}

/// Tells whether one half of `--chown` must be looked up in the stage's files.
fn is_name(half: &str) -> bool {
    half != "root" && !half.bytes().all(|b| b.is_ascii_digit())
}

/// Checks the form of a download's checksum (URL-6).
fn sha256(checksum: &str) -> Result<String, Problem> {
    match checksum.split_once(':') {
        Some(("sha256", hex)) if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(checksum.to_owned())
        }
        Some(("sha256", _)) | None => Err(Problem::ChecksumFormat),
        Some(_) => Err(Problem::ChecksumAlgorithm),
    }
}

/// Tells whether `source` is a git repository, and neither a path nor a file of a web server.
pub(super) fn is_git(source: &str) -> bool {
    place(source) == Place::Git
}

/// Classifies a source (language spec 3.10, 3.11).
fn place(source: &str) -> Place {
    let is_web = source.starts_with("http://") || source.starts_with("https://");
    let address = source.split(['#', '?']).next().unwrap_or(source);
    if is_web && !address.ends_with(".git") {
        Place::Url
    } else if is_web
        || source.starts_with("git://")
        || source.starts_with("ssh://")
        || is_scp(source)
    {
        Place::Git
    } else {
        Place::Local
    }
}

/// Tells whether `source` is `user@host:path`.
fn is_scp(source: &str) -> bool {
    let is_word = |text: &str, more: &[u8]| {
        let known = |b: u8| b.is_ascii_alphanumeric() || more.contains(&b);
        !text.is_empty() && text.bytes().all(known)
    };
    source.split_once('@').is_some_and(|(user, rest)| {
        let host = rest.split_once(':').map(|(host, _)| host);
        is_word(user, b"-_") && host.is_some_and(|host| is_word(host, b"-."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a/b",                       Place::Local),
            ("http://h/a",                Place::Url),
            ("https://h/a.tar.gz?x#y",    Place::Url),
            ("HTTP://h/a",                Place::Local),
            ("https://h/a.git",           Place::Git),
            ("https://h/a.git#main:sub",  Place::Git),
            ("git://h/a",                 Place::Git),
            ("ssh://git@h/a",             Place::Git),
            ("git@h.example:a/b",         Place::Git),
            ("github.com/a/b",            Place::Local),
            ("a@b",                       Place::Local),
        ];
        for (source, want) in cases {
            assert_eq!(place(source), want, "{source}");
        }
    }
}
