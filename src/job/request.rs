//! What was asked for, as the image's provenance tells it.

use crate::attest::{Material, Request};
use crate::cli::options::Options;
use crate::context::{self, Context, DockerfileText};
use crate::plan::NamedSource;

/// Returns what the options ask for.
pub fn request(options: &Options, context: &Context, dockerfile: &DockerfileText) -> Request {
    let build = &options.build;
    let mut locals = Vec::new();
    // where nothing can be told the context is not from elsewhere
    let is_local = context::is_local(&options.context).unwrap_or(true);
    if is_local {
        locals.extend(["context".to_owned(), "dockerfile".to_owned()]);
    }
    let mut contexts = std::collections::BTreeMap::new();
    for given in &build.contexts {
        let location = match &given.source {
            NamedSource::Files(text) => {
                locals.push(given.name().to_owned());
                text.clone()
            }
            NamedSource::Repository(git) => git.url.clone(),
            NamedSource::Image(image) => image.to_string(),
            NamedSource::Scratch => "scratch".to_owned(),
            NamedSource::Stage(stage) => format!("target:{stage}"),
        };
        contexts.insert(given.name().to_owned(), location);
    }
    let name = dockerfile.path.file_name().unwrap_or_default();
    let location = match (&*options.context.location, &*options.context.bucket) {
        ("", bucket) => bucket.to_owned(),
        (location, _) => location.to_owned(),
    };
    Request {
        context: (!is_local).then(|| Material {
            uri: location,
            digest: context.commit.clone().map(|commit| ("sha1", commit)),
        }),
        locals,
        dockerfile: (name.to_string_lossy().into_owned(), dockerfile.text.clone()),
        target: build.targets.first().cloned(),
        build_args: build.args.clone(),
        labels: build.labels.iter().cloned().collect(),
        contexts,
    }
}
