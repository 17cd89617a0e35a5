//! `executor push`: an image that was put out earlier to registries.

use std::sync::Arc;

use crate::cli::{Push, What};
use crate::image::ImageRef;
use crate::interrupt::Interrupt;
use crate::log::Progress;
use crate::log::timeline::Timeline;
use crate::net::{self, Net};
use crate::output::digest_files::{self, DigestFiles};
use crate::output::{self, saved};
use crate::registry::{self, Client};
use crate::store::BlobStore;

use super::{Error, check_permission, index, kept, named, settings};

/// Pushes the image and writes the files about it.
///
/// An image that was kept because it could not be pushed is removed afterwards.
pub fn push(push: &Push, interrupt: &Interrupt, progress: &Progress) -> Result<(), Error> {
    let net = Net::new(net::Options {
        http1_only: push.http1_only,
    })
    .map_err(Error::Net)?;
    net.report_to(&Timeline::shown_by(progress.clone()));
    let scratch = tempfile::Builder::new()
        .prefix("executor-push-")
        .tempdir_in("/var/tmp")
        .or_else(|_| tempfile::tempdir())
        .map_err(Error::Scratch)?;
    let dir = scratch.path().to_owned();
    let _last_act = interrupt.last_act(move || drop(fs_err::remove_dir_all(dir)));
    let store = BlobStore::open(scratch.path()).map_err(|error| Error::Saved(error.into()))?;
    let credentials = settings::credentials(&push.registry, None);
    let client = Client::new(&net, push.registry.push(Arc::clone(&credentials)))
        .map_err(|error| Error::Registry(Box::new(error)))?;
    let product = match &push.what {
        What::Saved(path) => saved::open(path, &store).map_err(Error::Saved)?,
        What::Index(sources) => {
            let pull = registry::Options {
                endpoints: Default::default(),
                ..push.registry.pull(credentials)
            };
            let client = client
                .sibling(pull)
                .map_err(|error| Error::Registry(Box::new(error)))?;
            index::join(&client, sources, push.wait, &store).map_err(Error::Join)?
        }
    };
    let references: Vec<ImageRef> = push
        .destinations
        .iter()
        .map(|d| d.reference.clone())
        .collect();
    if !push.registry.skip_push_permission_check {
        check_permission(&net, &client, &references)?;
    }
    let files = DigestFiles {
        digest: push.digest_file.clone(),
        image_name: push.image_name_with_digest_file.clone(),
        image_name_tag: push.image_name_tag_with_digest_file.clone(),
    };
    digest_files::write(&files, product.digest(), &references, |url, body| {
        Ok(net.put(url, body)?)
    })
    .map_err(Error::Output)?;
    let how = output::push::Options {
        ignore_immutable_tag_errors: push.ignore_immutable_tag_errors,
    };
    let pushed = net.block_on(output::push::push(
        &client,
        &product,
        &named(&push.destinations),
        how,
        None,
    ));
    net.block_on(client.close());
    pushed.map_err(|cause| Error::Push { cause, kept: None })?;
    if let What::Saved(path) = &push.what {
        kept::forget(path);
    }
    Ok(())
}
