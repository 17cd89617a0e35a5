//! The build contexts as steps see them: the main one, and those given by name that a plan uses.

use std::collections::BTreeMap;

use super::{Error, Options, pins};
use crate::context::{self, Context, Means, repository};
use crate::execute::{self, Owners, Tree};
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

/// Opens a context if its source has files; images and stages are found elsewhere.
///
/// # Errors
/// [`Error::Context`].
pub fn open(
    given: &NamedContext,
    options: &Options,
    means: Means<'_>,
) -> Result<Option<Context>, Error> {
    let opened = match &given.source {
        NamedSource::Files(location) => context::open_named(location, &options.git, means),
        NamedSource::Repository(source) => {
            let request = repository::Request {
                address: &source.repository,
                wanted: execute::wanted(source),
                commit: source.commit.as_deref(),
                sub_directory: &source.sub_directory,
                keep_git_dir: source.keep_git_dir,
                submodules: source.submodules,
                commit_time: source.commit_time,
                authorization: execute::authorization(
                    source,
                    pins::means(options, means.net, &options.git),
                ),
            };
            repository::open(&request, &options.git, means)
        }
        NamedSource::Image(_) | NamedSource::Scratch | NamedSource::Stage(_) => return Ok(None),
    };
    let failed = |source| Error::Context {
        name: given.name().to_owned(),
        source: Box::new(source),
    };
    opened.map(Some).map_err(failed)
}

impl<'b> Contexts<'b> {
    /// Opens the named contexts that some step reads; those that nobody reads need not be there (CTX-5).
    ///
    /// # Errors
    /// [`Error::Context`].
    pub fn open(
        main: &'b Context,
        plan: &Plan,
        options: &Options,
        means: Means<'_>,
    ) -> Result<Self, Error> {
        let mut contexts = Self {
            main,
            named: BTreeMap::new(),
        };
        let given = &options.plan.contexts;
        let steps = plan.stages.iter().flat_map(|stage| &stage.steps);
        for source in steps.flat_map(Step::sources) {
            let Source::Named(index) = source else {
                continue;
            };
            if contexts.named.contains_key(index) {
                continue;
            }
            let Some(context) = open(&given[*index], options, means)? else {
                continue;
            };
            let name = given[*index].name().to_owned();
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
