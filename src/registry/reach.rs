//! Whether anything answers where a registry should be.

use std::time::Duration;

use super::Error;
use super::client::Client;

/// Waits before the further tries; for what a build can do without.
const WAITS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

impl Client {
    /// Finds out whether a registry is there, whatever it answers; gives up soon.
    ///
    /// # Errors
    /// Why no connection comes about. One that is not even refused is not tried again: it took long enough.
    pub async fn reach(&self, registry: &str) -> Result<(), Error> {
        let mut waits = WAITS.iter();
        loop {
            let error = match self.server(registry).await {
                Err(error) if error.is_unreachable() => error,
                _ => return Ok(()),
            };
            let wait = waits
                .next()
                .filter(|_| error.is_transient() && !error.is_silence());
            let Some(wait) = wait else {
                return Err(error);
            };
            tracing::debug!("{registry} is asked again: {}", error.chain());
            tokio::time::sleep(*wait).await;
        }
    }
}
