//! `--build-context`: names that stand for something else than the stage or the image called so.
//!
//! # Spec
//! Language spec CTX-1 to CTX-5.

use std::str::FromStr;

use super::image_name::LayoutName;
use super::{GitSource, ImageName, Platform, git, transfer};
use crate::image::{self, ImageRef};

/// What a name stands for in `FROM`, in `--from` and in `from=`, and as the name of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedContext {
    /// In the form in which names are compared.
    name: String,
    /// It counts for this platform only, and before one that counts for all.
    platform: Option<Platform>,
    pub source: NamedSource,
}

/// Where what a name stands for is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedSource {
    /// Files: a directory or an archive, as typed.
    Files(String),
    Repository(GitSource),
    Image(ImageName),
    Scratch,
    /// A stage of the same Dockerfile, by name.
    Stage(String),
}

/// Why a text names no context.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamedContextError {
    #[error("invalid context value: {0}, expected key=value")]
    Form(String),
    #[error("the name `{0}` cannot be given to a context")]
    Reserved(String),
    #[error("invalid platform of the context `{name}`")]
    Platform { name: String, source: image::Error },
    #[error("invalid image of the context `{name}`")]
    Image { name: String, source: image::Error },
    #[error("invalid repository of the context `{name}`")]
    Repository { name: String, source: git::Error },
}

impl NamedContextError {
    /// Returns what the user can do about it, if anything.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Repository { source, .. } => Some(source.help()),
            _ => None,
        }
    }
}

impl NamedContext {
    /// Returns the name in the form in which names are compared.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for NamedContext {
    type Err = NamedContextError;

    /// Reads `NAME[::PLATFORM]=SOURCE`.
    fn from_str(text: &str) -> Result<Self, NamedContextError> {
        let form = || NamedContextError::Form(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(form)?;
        let (typed, platform) = match key.split_once("::") {
            Some((name, platform)) => (name, Some(platform)),
            None => (key, None),
        };
        if typed.is_empty() || value.is_empty() {
            return Err(form());
        }
        let name = familiar(typed);
        if matches!(&*name, "scratch" | "context") {
            return Err(NamedContextError::Reserved(name));
        }
        let platform = platform.map(str::parse).transpose();
        let platform = platform.map_err(|source| NamedContextError::Platform {
            name: name.clone(),
            source,
        })?;
        let source = match value.split_once(':') {
            Some(("docker-image", image)) => match image.trim_start_matches("//") {
                "scratch" => NamedSource::Scratch,
                image => {
                    let image = image.parse::<ImageRef>();
                    let image = image.map_err(|source| NamedContextError::Image {
                        name: name.clone(),
                        source,
                    })?;
                    NamedSource::Image(image.into())
                }
            },
            Some(("oci-layout", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                NamedSource::Image(ImageName::Layout(LayoutName::parse(path)))
            }
            Some(("target", stage)) => NamedSource::Stage(stage.to_owned()),
            _ if transfer::is_git(value) => {
                let source = GitSource::parse(value, None, None);
                NamedSource::Repository(source.map_err(|source| {
                    let name = name.clone();
                    NamedContextError::Repository { name, source }
                })?)
            }
            _ => NamedSource::Files(value.to_owned()),
        };
        Ok(Self {
            name,
            platform,
            source,
        })
    }
}

/// Finds what `name` stands for on a platform; of several given with one name the last.
pub(super) fn find(contexts: &[NamedContext], name: &str, platform: &Platform) -> Option<usize> {
    let name = familiar(name);
    let last = |wanted: Option<&Platform>| {
        contexts
            .iter()
            .rposition(|context| context.name == name && context.platform.as_ref() == wanted)
    };
    last(Some(platform)).or_else(|| last(None))
}

/// Returns a name in the form in which names are compared: what Docker Hub's names have in common, and `:latest`, left out.
fn familiar(name: &str) -> String {
    let lower = name.to_lowercase();
    let Ok(image) = lower.parse::<ImageRef>() else {
        return lower;
    };
    let mut text = match image.registry == crate::image::reference::DOCKER_HUB {
        true => match image.repository.strip_prefix("library/") {
            Some(short) => short.to_owned(),
            None => image.repository.clone(),
        },
        false => image.name(),
    };
    match (&image.digest, &image.tag) {
        (Some(digest), _) => text += &format!("@{digest}"),
        (None, Some(tag)) if tag != "latest" => text += &format!(":{tag}"),
        (None, _) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_context_is() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("app=../app",                           "app: files ../app"),
            ("Docker.io/library/Alpine:latest=x",    "alpine: files x"),
            ("docker.io/a/b:1=x",                    "a/b:1: files x"),
            ("host:5/a=x=y",                         "host:5/a: files x=y"),
            ("a=docker-image://busybox",             "a: image index.docker.io/library/busybox:latest"),
            ("a=docker-image://scratch",             "a: scratch"),
            ("a=docker-image://Up",                  "invalid image of the context `a`"),
            ("a=oci-layout://l:v1",                  "a: image oci-layout://l:v1"),
            ("a=target:other",                       "a: stage other"),
            ("a=https://h/x.tar.gz",                 "a: files https://h/x.tar.gz"),
            ("a=git@h:x/y.git#main",                 "a: repository git@h:x/y.git"),
            ("a=https://h/x.git?branch=b",           "a: repository https://h/x.git"),
            ("a=https://h/x.git?brunch=b",           "invalid repository of the context `a`"),
            ("a::linux/arm64=x",                     "a for linux/arm64: files x"),
            ("a::x/y/z/u=x",                         "invalid platform of the context `a`"),
            ("scratch=x",                            "the name `scratch` cannot be given to a context"),
            ("a",                                    "invalid context value: a, expected key=value"),
            ("=a",                                   "invalid context value: =a, expected key=value"),
            ("a=",                                   "invalid context value: a=, expected key=value"),
        ];
        for (text, want) in cases {
            let got = match text.parse::<NamedContext>() {
                Err(error) => error.to_string(),
                Ok(context) => {
                    let platform = context.platform.map(|platform| format!(" for {platform}"));
                    let source = match context.source {
                        NamedSource::Files(text) => format!("files {text}"),
                        NamedSource::Repository(git) => format!("repository {}", git.repository),
                        NamedSource::Image(image) => format!("image {image}"),
                        NamedSource::Scratch => "scratch".to_owned(),
                        NamedSource::Stage(stage) => format!("stage {stage}"),
                    };
                    format!("{}{}: {source}", context.name, platform.unwrap_or_default())
                }
            };
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn names_are_found_by_platform() {
        let given = [
            "a=1",
            "a::linux/arm64=2",
            "docker.io/library/b:latest=3",
            "a=4",
        ];
        let contexts = given.map(|text| text.parse::<NamedContext>().unwrap());
        let amd64 = "linux/amd64".parse().unwrap();
        let arm64 = "linux/arm64".parse().unwrap();
        assert_eq!(find(&contexts, "A:latest", &amd64), Some(3));
        assert_eq!(find(&contexts, "a", &arm64), Some(1));
        assert_eq!(find(&contexts, "b", &arm64), Some(2));
        assert_eq!(find(&contexts, "a:1", &amd64), None);
    }
}
