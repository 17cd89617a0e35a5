//! Whether a push would be refused, found out before there is anything to push.

use reqwest::Method;

use crate::image::ImageRef;

use super::Error;
use super::client::Client;
use super::push::{location, upload_request};

/// Tries to get an answer; a registry that is overloaded now may be well when the build ends.
const ATTEMPTS: u32 = 6;

impl Client {
    /// Finds out whether a push to a repository would be refused, by opening an upload, which the first blob then uses.
    ///
    /// Only a definite answer counts.
    ///
    /// # Errors
    /// [`Error::Permission`] if the registry refuses or cannot be reached at all.
    pub async fn check_push_permission(&self, image: &ImageRef) -> Result<(), Error> {
        let request = upload_request(image);
        let retry = self.0.options.retry.at_most(ATTEMPTS);
        let mut is_there = false;
        let send = async || {
            let result = self.send_once(&request, None).await;
            is_there |= result.as_ref().err().is_some_and(|e| e.status().is_some());
            result
        };
        let error = match self.retrying(retry, send).await {
            Ok(response) => {
                if let Ok(target) = location(image, &Method::POST, &response) {
                    self.put_aside(image, target);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        if error.is_transient() && is_there {
            tracing::warn!(
                "push permission for {image} could not be checked: {}",
                error.chain()
            );
            return Ok(());
        }
        tracing::warn!(
            "make sure you entered the correct tag name, that you are authenticated correctly, and try again."
        );
        if self.0.options.credentials.has_inline() {
            tracing::warn!(
                "DOCKER_AUTH_CONFIG is set: its entries are used before those of the Docker config file"
            );
            tracing::warn!("unset DOCKER_AUTH_CONFIG if the credentials shall come from elsewhere");
        }
        Err(Error::Permission {
            reference: image.to_string(),
            source: Box::new(error),
        })
    }
}
