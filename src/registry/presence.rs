//! Whether a repository has a blob.

use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, Response, StatusCode};

use crate::image::{Descriptor, ImageRef};

use super::Error;
use super::auth::Scope;
use super::client::{Client, Request, Target};

impl Client {
    /// Tells whether a repository has a blob in full length, as far as its registry says.
    ///
    /// A registry that answers anything but 404 to the question is believed to have it: reading will show.
    pub async fn has_whole_blob(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
    ) -> Result<bool, Error> {
        let path = format!("/v2/{}/blobs/{}", image.repository, descriptor.digest);
        let scope = Scope::pull(&image.repository);
        let request = Request::new(&image.registry, scope, Method::HEAD, Target::Path(path));
        match self.send_once(&request, None).await {
            Ok(response) => Ok(self.is_whole(image, descriptor, &response)),
            Err(error) => match error.status() {
                Some(StatusCode::NOT_FOUND) => Ok(false),
                Some(_) => Ok(true),
                None => Err(error),
            },
        }
    }

    /// Tells whether a repository has a blob, as far as its registry says; one of another size is no such blob.
    ///
    /// Who may push but not read is told 403 here; that counts as no, since the upload will show.
    pub(super) async fn blob_exists(
        &self,
        image: &ImageRef,
        descriptor: &Descriptor,
    ) -> Result<bool, Error> {
        let digest = &descriptor.digest;
        let path = Target::Path(format!("/v2/{}/blobs/{digest}", image.repository));
        let scope = Scope::push(&image.repository);
        let request = Request::new(&image.registry, scope, Method::HEAD, path);
        match self.send(&request).await {
            Ok(response) => Ok(self.is_whole(image, descriptor, &response)),
            Err(error) => match error.status() {
                Some(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Tells whether a registry that says to have a blob has all of it, as far as it says, and remembers it if not.
    fn is_whole(&self, image: &ImageRef, descriptor: &Descriptor, response: &Response) -> bool {
        let size = response.headers().get(CONTENT_LENGTH);
        let size: Option<u64> = size.and_then(|size| size.to_str().ok()?.parse().ok());
        // 0 is what some say who do not know
        let is_whole = size.is_none_or(|size| size == 0 || size == descriptor.size);
        if !is_whole {
            self.note_damage(&image.registry, &descriptor.digest);
        }
        is_whole
    }
}
