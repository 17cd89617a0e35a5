//! The build contexts as steps see them: the main one, and those given by name that a plan uses.

use std::collections::BTreeMap;

use super::Error;
use crate::context::{self, Context, GitOptions, Means};
use crate::execute::{Owners, Tree};
use crate::plan::{NamedContext, NamedSource, Plan, Source, Step};

/// How messages call the build context.
const CONTEXT: &str = "build context";

/// Contexts that are open.
pub struct Contexts<'b> {
    main: &'b Context,
    /// By their position among the options.
    named: BTreeMap<usize, Named>,
}

struct Named {
    name: String,
    context: Context,
}

impl<'b> Contexts<'b> {
    /// Opens the named contexts that some step reads; those that nobody reads need not be there (CTX-5).
    ///
    /// # Errors
    /// [`Error::Context`].
    pub fn open(
        main: &'b Context,
        plan: &Plan,
        given: &[NamedContext],
        git: &GitOptions,
        means: Means<'_>,
    ) -> Result<Self, Error> {
        let mut contexts = Self {
            main,
            named: BTreeMap::new(),
        };
        let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
        for source in steps.flat_map(Step::sources) {
            let Source::Named(index) = source else {
                continue;
            };
            let NamedSource::Files(location) = &given[*index].source else {
                continue;
            };
            if contexts.named.contains_key(index) {
                continue;
            }
            let name = given[*index].name().to_owned();
            let opened = context::open_named(location, git, means);
            let context = opened.map_err(|source| Error::Context {
                name: name.clone(),
                source: Box::new(source),
            })?;
            contexts.named.insert(*index, Named { name, context });
        }
        Ok(contexts)
    }

    /// Returns the files of a source, if that is a context.
    pub fn tree(&self, source: &Source) -> Option<Tree<'_>> {
        let (name, context) = match source {
            Source::Context => (CONTEXT, self.main),
            Source::Named(index) => {
                let named = &self.named[index];
                (&*named.name, &named.context)
            }
            Source::Stage(_) | Source::Image(..) | Source::Scratch => return None,
        };
        Some(Tree {
            root: &context.root,
            ignore: Some(&context.ignore),
            owners: match context.keeps_owners {
                true => Owners::Kept,
                false => Owners::Root,
            },
            name,
        })
    }
}
