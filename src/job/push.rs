//! `executor push`: an image that was put out earlier to registries.

use crate::cli::Push;
use crate::image::ImageRef;
use crate::interrupt::Interrupt;
use crate::log::Progress;
use crate::log::timeline::Timeline;
use crate::net::{self, Net};
use crate::output::digest_files::{self, DigestFiles};
use crate::output::{self, saved};
use crate::registry::Client;
use crate::store::BlobStore;

use super::{Error, check_permission, kept, named, settings};

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
    let product = saved::open(&push.path, &store).map_err(Error::Saved)?;
    let credentials = settings::credentials(&push.registry);
    let client = Client::new(&net, push.registry.push(credentials))
        .map_err(|error| Error::Registry(Box::new(error)))?;
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
    kept::forget(&push.path);
    Ok(())
}
