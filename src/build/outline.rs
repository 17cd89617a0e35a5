//! The plan as text: what will be done, and why. In kaniko's keywords, as far as it has one for the thing.

use std::fmt::{self, Display};

use super::outlook::{At, Prospect};
use super::{Prepared, bases};
use crate::image::ImageRef;
use crate::plan::{Action, Base, CopySource, ImageName, PlannedStage, RunMount, Source};

/// Where the image of a plan goes.
#[derive(Debug, Clone, Copy)]
pub struct Destinations<'a> {
    pub images: &'a [ImageRef],
    /// Not with `--no-push`.
    pub push: bool,
}

impl Prepared<'_> {
    /// Returns the plan, stage by stage; an empty line ends each.
    ///
    /// # Spec
    /// Compat spec 10.4.
    pub fn outline(&self, destinations: Destinations<'_>) -> String {
        Outline {
            prepared: self,
            prospects: self.lookahead.prospects(&self.plan),
            destinations,
        }
        .to_string()
    }
}

struct Outline<'p> {
    prepared: &'p Prepared<'p>,
    prospects: Vec<Prospect>,
    destinations: Destinations<'p>,
}

impl Display for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.prepared.plan;
        let mut images: Vec<&ImageName> = Vec::new();
        for at in self.prepared.executed(&self.prospects) {
            for source in plan.stages[at.0].steps[at.1].sources() {
                if let Source::Image(image, _) = source
                    && !images.contains(&image)
                {
                    writeln!(f, "STREAM {image} images/{}", images.len())?;
                    images.push(image);
                }
            }
        }
        for (position, stage) in plan.stages.iter().enumerate() {
            self.stage(f, position, stage)?;
            if position == plan.target {
                self.push(f)?;
            }
            self.end(f, position)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Outline<'_> {
    fn stage(
        &self,
        f: &mut fmt::Formatter<'_>,
        position: usize,
        stage: &PlannedStage,
    ) -> fmt::Result {
        let prospect = &self.prospects[position];
        write!(f, "FROM {}", self.prepared.base_name(stage))?;
        match &stage.name {
            Some(name) => writeln!(f, " AS {name}")?,
            None => writeln!(f)?,
        }
        if !prospect.is_needed() {
            writeln!(f, "  SKIP: the layers of all that reads it are cached")?;
        } else {
            match (&stage.base, prospect.has_root()) {
                (Base::Scratch, _) => {}
                (_, true) => writeln!(f, "  UNPACK {}: {}", root(position), self.reason(position))?,
                (_, false) => writeln!(
                    f,
                    "  STREAM {}: no step needs its files",
                    self.prepared.base_name(stage)
                )?,
            }
        }
        for (index, step) in stage.steps.iter().enumerate() {
            writeln!(f, "{}", step.text)?;
            if step.action != Action::Config && prospect.is_needed() {
                self.step(f, (position, index))?;
            }
        }
        Ok(())
    }

    /// Writes what will be done for a step with a layer.
    fn step(&self, f: &mut fmt::Formatter<'_>, at: At) -> fmt::Result {
        let lookahead = &self.prepared.lookahead;
        let is_at_work = at.1 < self.prospects[at.0].work;
        let entry = lookahead.entry_name(at).unwrap_or_default();
        match lookahead.verdict(at) {
            Some(cache) if cache.hit => {
                writeln!(f, "  CACHE HIT: {entry}")?;
                return match is_at_work {
                    true => writeln!(f, "  UNPACK: a later step needs its files"),
                    false => writeln!(f, "  SKIP: its layer is cached"),
                };
            }
            Some(cache) => {
                let reason = cache.reason.unwrap_or_default();
                writeln!(f, "  CACHE MISS: {entry}: {reason}")?;
                writeln!(f, "  EXECUTE: its layer is not cached")?;
            }
            None if lookahead.is_merged(at) => {
                return writeln!(f, "  SKIP: it is part of a layer that is cached");
            }
            None if lookahead.has_cache() => {
                writeln!(
                    f,
                    "  EXECUTE: layers of such steps are not looked for in the cache"
                )?;
            }
            None => writeln!(f, "  EXECUTE: there is no layer cache")?,
        }
        match lookahead.wants(at) {
            true => writeln!(f, "  UPLOAD {entry}"),
            false => Ok(()),
        }
    }

    /// Says why the root of a stage is needed.
    fn reason(&self, position: usize) -> String {
        let executed = self.prepared.executed(&self.prospects);
        let first = executed.iter().find(|at| at.0 == position);
        match first {
            Some(at) => {
                let text = &self.prepared.plan.stages[at.0].steps[at.1].text;
                format!("{} requires it", first_line(text))
            }
            None => "later stages require it".to_owned(),
        }
    }

    fn push(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Destinations { images, push } = self.destinations;
        if !push {
            return Ok(());
        }
        let names: Vec<String> = images.iter().map(ImageRef::to_string).collect();
        writeln!(f, "PUSH [{}]", names.join(" "))?;
        let plan = &self.prepared.plan;
        let mut chain: Vec<usize> = bases::chain(plan).collect();
        chain.reverse();
        let bottom = &plan.stages[chain[0]];
        if let Base::Image(image, platform) = &bottom.base {
            let base = &self.prepared.bases[&(image.clone(), platform.clone())];
            let is_near = images.iter().any(|image| {
                base.repository()
                    .is_some_and(|base| base.registry == image.registry)
            });
            let how = if is_near { "MOUNT" } else { "UPLOAD" };
            let from = match base.repository() {
                Some(repository) => repository.name(),
                None => image.to_string(),
            };
            for layer in base.layers() {
                let digest = &layer.descriptor.digest;
                writeln!(f, "  {how} {digest} FROM {from}")?;
            }
        }
        for position in chain {
            let stage = &plan.stages[position];
            for (index, step) in stage.steps.iter().enumerate() {
                if step.action == Action::Config {
                    continue;
                }
                let first_line = first_line(&step.text);
                match self.prepared.lookahead.hit((position, index)) {
                    Some(hit) => {
                        writeln!(
                            f,
                            "  UPLOAD {} OF {first_line}",
                            hit.layer.descriptor.digest
                        )?;
                    }
                    None => writeln!(f, "  UPLOAD layer OF {first_line}")?,
                }
            }
        }
        Ok(())
    }

    /// Writes what is kept of a stage's root.
    fn end(&self, f: &mut fmt::Formatter<'_>, position: usize) -> fmt::Result {
        if !self.prospects[position].has_root() {
            return Ok(());
        }
        let plan = &self.prepared.plan;
        let continued = plan.stages.iter().zip(&self.prospects).any(|(stage, p)| {
            p.has_root() && matches!(stage.base, Base::Stage(base) if base == position)
        });
        let mut files: Vec<&str> = Vec::new();
        for at in self.prepared.executed(&self.prospects) {
            match &plan.stages[at.0].steps[at.1].action {
                Action::Copy(copy) if copy.from == Source::Stage(position) => {
                    files.extend(copy.sources.iter().filter_map(|source| match source {
                        CopySource::Path(path) => Some(path.as_str()),
                        _ => None,
                    }));
                }
                Action::Run(run) => {
                    let mounts = run.mounts.iter();
                    let mounts = mounts
                        .filter(|mount| mount.source() == Some(&Source::Stage(position)))
                        .filter_map(|mount| match mount {
                            RunMount::Bind { source, .. } => Some(source.as_str()),
                            RunMount::Cache { source, .. } => source.as_deref(),
                            _ => None,
                        });
                    files.extend(mounts);
                }
                _ => {}
            }
        }
        if continued {
            writeln!(f, "SAVE STAGE {}", root(position))?;
        }
        if !files.is_empty() {
            writeln!(f, "SAVE FILES [{}] {}", files.join(" "), root(position))?;
        }
        if !continued && files.is_empty() {
            writeln!(f, "CLEAN")?;
        }
        Ok(())
    }
}

/// Returns the place of a stage's root below the work directory.
fn root(position: usize) -> String {
    format!("stages/{position}/rootfs")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
