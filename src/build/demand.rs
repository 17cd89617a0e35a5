//! Which files of a base image are looked at, where no command runs that may look at any. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::outlook::Prospect;
use crate::image::Platform;
use crate::layer::LayerPath;
use crate::plan::{
    Action, Base, CopySource, CopyStep, ImageName, Plan, PlannedStage, Source, Step, Unpack,
};

/// What must be in a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    Everything,
    /// All directories and symlinks, and what is at and below these paths.
    Paths(BTreeSet<LayerPath>),
}

impl Demand {
    fn nothing() -> Self {
        Self::Paths(BTreeSet::new())
    }

    fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Paths(paths), Self::Paths(others)) => paths.extend(others),
            (Self::Paths(_), Self::Everything) => *self = Self::Everything,
            (Self::Everything, _) => {}
        }
    }

    fn add_path(&mut self, path: impl AsRef<[u8]>) {
        let path = LayerPath::clean(path);
        self.add(match path.is_root() {
            true => Self::Everything,
            false => Self::Paths([path].into()),
        });
    }
}

/// What is looked at in the roots that images are unpacked into.
pub struct Demands {
    stages: Vec<Demand>,
    images: BTreeMap<(ImageName, Platform), Demand>,
}

impl Demands {
    /// With `single`, everything that changes in a root is looked for in the end.
    pub fn new(plan: &Plan, prospects: &[Prospect], single: bool) -> Self {
        let walk = Walk { plan, prospects };
        let stages = (0..plan.stages.len()).map(|position| match single {
            true => Demand::Everything,
            false => walk.of_stage(position),
        });
        Self {
            stages: stages.collect(),
            images: walk.of_images(),
        }
    }

    /// All there is.
    pub fn everything(plan: &Plan) -> Self {
        Self {
            stages: vec![Demand::Everything; plan.stages.len()],
            images: BTreeMap::new(),
        }
    }

    /// What is looked at in the root that a stage begins with.
    pub fn of_stage(&self, position: usize) -> &Demand {
        &self.stages[position]
    }

    /// What is looked at in an image that is only copied from.
    pub fn of_image(&self, image: &(ImageName, Platform)) -> &Demand {
        self.images.get(image).unwrap_or(&Demand::Everything)
    }
}

struct Walk<'p> {
    plan: &'p Plan,
    prospects: &'p [Prospect],
}

impl Walk<'_> {
    /// Returns the steps that a stage's root goes through.
    fn steps(&self, position: usize) -> &[Step] {
        let prospect = &self.prospects[position];
        match prospect.has_root() {
            true => &self.plan.stages[position].steps[..prospect.work],
            false => &[],
        }
    }

    fn of_stage(&self, position: usize) -> Demand {
        let PlannedStage { consumers, .. } = &self.plan.stages[position];
        let mut demand = Demand::nothing();
        for step in self.steps(position) {
            demand.add(of_step(step));
        }
        for consumer in consumers {
            if !self.prospects[*consumer].has_root() {
                continue;
            }
            if self.plan.stages[*consumer].base == Base::Stage(position) {
                demand.add(self.of_stage(*consumer));
            }
            for step in self.steps(*consumer) {
                demand.add(of_reader(step, &Source::Stage(position)));
            }
        }
        demand
    }

    fn of_images(&self) -> BTreeMap<(ImageName, Platform), Demand> {
        let mut images = BTreeMap::new();
        for position in 0..self.plan.stages.len() {
            for step in self.steps(position) {
                for source in step.sources() {
                    if let Source::Image(image, platform) = source {
                        images
                            .entry((image.clone(), platform.clone()))
                            .or_insert_with(Demand::nothing)
                            .add(of_reader(step, source));
                    }
                }
            }
        }
        images
    }
}

/// Returns what a step looks at in its own root.
fn of_step(step: &Step) -> Demand {
    let mut demand = Demand::nothing();
    match &step.action {
        Action::Config => {}
        Action::Run(_) => return Demand::Everything,
        Action::Workdir(workdir) => {
            demand.add_path(&workdir.path);
            if !workdir.user.is_empty() {
                demand.add(accounts());
            }
        }
        Action::Copy(copy) => {
            if may_unpack(copy) {
                return Demand::Everything;
            }
            demand.add_path(copy.target());
            if copy.chown.is_some() {
                demand.add(accounts());
            }
        }
    }
    demand
}

/// Tells whether an archive may be among the sources, which can bring anything to anywhere.
fn may_unpack(step: &CopyStep) -> bool {
    match step.unpack {
        Unpack::Never => false,
        Unpack::Local => step
            .sources
            .iter()
            .any(|source| matches!(source, CopySource::Path(_))),
        Unpack::Always => true,
    }
}

/// Returns what a step looks at in `from`, the root of another stage or of an image.
fn of_reader(step: &Step, from: &Source) -> Demand {
    if !step.sources().contains(&from) {
        return Demand::nothing();
    }
    let Action::Copy(copy) = &step.action else {
        // a mount shows a command everything
        return Demand::Everything;
    };
    let mut demand = Demand::nothing();
    for source in &copy.sources {
        match source {
            // what matches may be links to anywhere
            CopySource::Path(path) if copy.parents || is_pattern(path) => {
                return Demand::Everything;
            }
            CopySource::Path(path) => demand.add_path(path),
            CopySource::Inline { .. } | CopySource::Url { .. } | CopySource::Git(_) => {}
        }
    }
    demand
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

/// Where names of users and groups are looked up.
fn accounts() -> Demand {
    Demand::Paths(["etc/passwd", "etc/group"].map(LayerPath::clean).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::build::outlook::outlook;
    use crate::plan::testing::plan_of;

    fn show(demand: &Demand) -> String {
        match demand {
            Demand::Everything => "everything".to_owned(),
            Demand::Paths(paths) => {
                let paths = paths.iter().map(ToString::to_string);
                paths.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn what_is_looked_at_in_the_root_of_the_first_stage() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("FROM b\nRUN x",                                           "everything"),
            ("FROM b\nCOPY x /a/b/",                                    "/a/b"),
            ("FROM b\nWORKDIR /w\nCOPY x y\nCOPY x z/",                "/w /w/y /w/z"),
            ("FROM b\nCOPY x /",                                        "everything"),
            ("FROM b\nCOPY --chown=me x /y",                            "/etc/group /etc/passwd /y"),
            ("FROM b\nUSER me\nWORKDIR /w",                             "/etc/group /etc/passwd /w"),
            ("FROM b\nADD x /y",                                        "everything"),
            ("FROM b\nADD https://host/x /y",                           "/y"),
            ("FROM b\nADD --unpack https://host/x /y",                  "everything"),
            ("FROM b\nCOPY <<E /y\nx\nE",                               "/y"),
            // as a source
            ("FROM b\nFROM scratch\nCOPY --from=0 /a /b /c/",           "/a /b"),
            ("FROM b\nCOPY x /x\nFROM scratch\nCOPY --from=0 /a b/ /c/", "/a /b /x"),
            ("FROM b\nFROM scratch\nCOPY --from=0 / /c/",               "everything"),
            ("FROM b\nFROM scratch\nCOPY --from=0 /a* /c/",             "everything"),
            ("FROM b\nFROM scratch\nCOPY --parents --from=0 /a /c/",    "everything"),
            ("FROM b AS b\nFROM c\nRUN --mount=from=b,target=/m x",      "everything"),
            // as a base
            ("FROM b AS b\nFROM b\nCOPY x /y\nFROM scratch\nCOPY --from=1 /a /b", "/a /y"),
            ("FROM b AS b\nFROM b\nRUN x\nFROM scratch\nCOPY --from=0 /a /c\nCOPY --from=1 /a /b", "everything"),
        ];
        for (text, want) in cases {
            let plan = plan_of(text);
            let prospects = outlook(&plan, &BTreeSet::new());
            let demands = Demands::new(&plan, &prospects, false);
            assert_eq!(show(demands.of_stage(0)), want, "{text}");
            let all = Demands::new(&plan, &prospects, true);
            assert_eq!(show(all.of_stage(0)), "everything");
        }
    }

    #[test]
    fn what_is_looked_at_in_an_image() {
        let cases = [
            (
                "FROM scratch\nCOPY --from=i /a /\nCOPY --from=i /b /",
                "/a /b",
            ),
            (
                "FROM scratch\nCOPY --from=i /a /\nCOPY --from=i /*.b /",
                "everything",
            ),
            (
                "FROM b\nCOPY --from=i /a /\nRUN --mount=from=i,target=/i x",
                "everything",
            ),
        ];
        for (text, want) in cases {
            let plan = plan_of(text);
            let prospects = outlook(&plan, &BTreeSet::new());
            let demands = Demands::new(&plan, &prospects, false);
            let images: Vec<String> = demands.images.values().map(show).collect();
            assert_eq!(images, [want], "{text}");
            let all = Demands::everything(&plan);
            for image in demands.images.keys() {
                assert_eq!(show(all.of_image(image)), "everything", "{text}");
            }
            assert_eq!(show(all.of_stage(0)), "everything", "{text}");
        }
    }
}
