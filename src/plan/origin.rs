//! Where files come from, and the names by which a Dockerfile says so.
//!
//! # Spec
//! Language spec FROM-3 to FROM-12, CFROM-1 to CFROM-3, CTX-2.

use super::graph::Graph;
use super::{ImageName, NamedSource, Problem, named};
use crate::dockerfile::Stage;
use crate::image::{ImageRef, Platform};

/// Where files come from, stages counted as they stand in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each stage")]
pub(super) enum Origin {
    Scratch,
    /// The files of a context, by its position.
    Named(usize),
    Image(ImageName, Platform),
    Stage(usize),
}

impl Origin {
    /// Returns what an image would be called, or the reason why that is no name.
    pub fn image(name: &str, platform: Platform) -> Result<Self, Problem> {
        let reference = name.parse::<ImageRef>();
        let reference = reference.map_err(|_| Problem::Reference {
            name: name.to_owned(),
            typed: name.to_owned(),
            detail: match name.to_lowercase().parse::<ImageRef>() {
                Ok(lower) if name.to_lowercase() != name => upper_case_detail(name, &lower),
                _ => String::new(),
            },
        })?;
        Ok(Self::Image(reference.into(), platform))
    }
}

impl Graph<'_> {
    /// Returns what an image would be called, for the target platform.
    pub fn image(&self, name: &str) -> Result<Origin, Problem> {
        Origin::image(name, self.target_platform.clone())
    }

    /// Resolves `COPY --from`.
    pub fn copy_origin(&self, from: &str) -> Result<Origin, Problem> {
        if let Ok(number) = from.parse::<i64>() {
            return match usize::try_from(number) {
                Ok(index) if index < self.dockerfile.stages.len() => Ok(Origin::Stage(index)),
                _ => Err(Problem::StageIndex(from.to_owned())),
            };
        }
        self.mount_origin(from)
    }

    /// Resolves `from` of a mount, which knows no numbers (MNT-5).
    pub fn mount_origin(&self, from: &str) -> Result<Origin, Problem> {
        match self.names.get(from.to_lowercase().as_str()) {
            Some(index) => Ok(Origin::Stage(*index)),
            None if from == "scratch" => Ok(Origin::Scratch),
            None => match self.named(from, None)? {
                Some(origin) => Ok(origin),
                None => self.image(from),
            },
        }
    }

    /// Resolves a name that a context was given; for the target platform if no other is asked for.
    pub fn named(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Option<Origin>, Problem> {
        let platform = platform.unwrap_or(self.target_platform);
        let Some(index) = named::find(self.contexts, name, platform) else {
            return Ok(None);
        };
        Ok(Some(match &self.contexts[index].source {
            NamedSource::Files(_) | NamedSource::Repository(_) => Origin::Named(index),
            NamedSource::Scratch => Origin::Scratch,
            NamedSource::Image(image) => Origin::Image(image.clone(), platform.clone()),
            NamedSource::Stage(stage) => {
                let found = self.names.get(stage.to_lowercase().as_str());
                let missing = || Problem::NoContextStage {
                    stage: stage.clone(),
                    context: self.contexts[index].name().to_owned(),
                };
                Origin::Stage(*found.ok_or_else(missing)?)
            }
        }))
    }

    /// Returns `origin` as the base of `stage`, unless it is a stage that comes later.
    pub fn after(&self, origin: Origin, stage: &Stage) -> Result<Origin, Problem> {
        match origin {
            Origin::Stage(base) if base > stage.index => Err(Problem::FromLater {
                from: self.display_name(base),
                stage: self.display_name(stage.index),
            }),
            origin => Ok(origin),
        }
    }

    /// Resolves the name in a stage's `FROM`, and its platform.
    pub fn base(&self, stage: &Stage) -> Result<Origin, Problem> {
        let from = &stage.from.value;
        let escape = self.dockerfile.escape;
        let name = self.globals.expand(&from.image, escape)?.text;
        let platform = match from.platform.as_deref() {
            None | Some("") => None,
            Some(expression) => {
                let text = self.globals.expand(expression, escape)?.text;
                if text.is_empty() {
                    return Err(Problem::BlankPlatform(expression.to_owned()));
                }
                let platform = text.parse();
                Some(platform.map_err(|source| Problem::Platform { text, source })?)
            }
        };
        if name.is_empty() {
            return Err(Problem::BlankBase(from.image.clone()));
        }
        let earlier = self.dockerfile.stages[..stage.index].iter().rev();
        let named = earlier.clone().find(|s| s.name.as_ref() == Some(&name));
        match named {
            Some(base) => Ok(Origin::Stage(base.index)),
            None if name == "scratch" => Ok(Origin::Scratch),
            None => match self.named(&name, platform.as_ref())? {
                Some(origin) => self.after(origin, stage),
                None => {
                    let platform = platform.unwrap_or_else(|| self.target_platform.clone());
                    Origin::image(&name, platform).map_err(|problem| match problem {
                        Problem::Reference { name, detail, .. } => {
                            let typed = from.image.clone();
                            Problem::Reference {
                                name,
                                typed,
                                detail,
                            }
                        }
                        other => other,
                    })
                }
            },
        }
    }
}

/// Says that a name is only wrong in its case, with the repository as completed but as typed.
fn upper_case_detail(name: &str, lower: &ImageRef) -> String {
    let path = lower.repository.strip_prefix("library/");
    let start = path.and_then(|path| name.to_lowercase().find(path));
    let typed = match (path, start) {
        (Some(path), Some(start)) => name.get(start..start + path.len()),
        _ => None,
    };
    let repository = typed.map_or_else(|| name.to_owned(), |typed| format!("library/{typed}"));
    format!(": repository name ({repository}) must be lowercase")
}
