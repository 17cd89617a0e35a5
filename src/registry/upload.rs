//! The bytes of an upload: from a blocking reader into a request, watched for progress.

use std::future::Future;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::Body;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::image::Descriptor;
use crate::log::transfer::Transfer;
use crate::net::Net;

use super::Error;
use super::push::Source;
use super::transfer::STALL_LIMIT;

/// How long a registry may think after the last byte: it may copy the whole blob then.
const COMMIT_LIMIT: Duration = Duration::from_secs(900);
const PIECE: usize = 128 << 10;
const PIECES: usize = 4;
const TICK: Duration = Duration::from_secs(1);

/// What becomes of the bytes on their way.
#[derive(Default)]
struct State {
    sent: AtomicU64,
    complete: AtomicBool,
    failed: Mutex<Option<io::Error>>,
}

/// One run of a blob's bytes through a request.
pub(super) struct Upload(Arc<State>);

impl Upload {
    /// Opens the source on a blocking thread and returns the body that it feeds.
    pub(super) fn start(net: &Net, source: &Source, descriptor: &Descriptor) -> (Self, Body) {
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
        let (open, size) = (Arc::clone(&source.open), descriptor.size);
        let fed = Arc::clone(&state);
        let transfer = net.timeline().push(descriptor);
        net.spawn_blocking(move || {
            if let Err(error) = feed(&*open, size, &fed, &sender, &transfer) {
                let broken = io::Error::from(error.kind());
                *fed.failed.lock().expect("nothing panics while it is held") = Some(error);
                // the request must break off: an end here would look like the blob's
                let _ = sender.blocking_send(Err(broken));
            }
        });
        let pieces = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        (Self(state), Body::wrap_stream(pieces))
    }

    /// Waits for the answer to the request that carries the body; no progress for too long is an error.
    ///
    /// If the source failed, that is the error, not what it made of the connection.
    pub(super) async fn watch<T>(
        &self,
        descriptor: &Descriptor,
        sending: impl Future<Output = Result<T, Error>>,
        stalled: impl FnOnce(Duration) -> Error,
    ) -> Result<T, Error> {
        let result = tokio::select! {
            result = sending => result,
            limit = self.stall() => Err(stalled(limit)),
        };
        let failed = self
            .0
            .failed
            .lock()
            .expect("nothing panics while it is held")
            .take();
        match (result, failed) {
            (Err(_), Some(source)) => Err(Error::Source {
                digest: descriptor.digest.clone(),
                source,
            }),
            (result, _) => result,
        }
    }

    /// Returns once nothing has moved for too long.
    async fn stall(&self) -> Duration {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            tokio::time::sleep(TICK).await;
            let sent = self.0.sent.load(Ordering::Relaxed);
            if sent != seen {
                (seen, since) = (sent, Instant::now());
            }
            let complete = self.0.complete.load(Ordering::Relaxed);
            let limit = if complete { COMMIT_LIMIT } else { STALL_LIMIT };
            if since.elapsed() > limit {
                return limit;
            }
        }
    }
}

fn feed(
    open: &dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    size: u64,
    state: &State,
    sender: &mpsc::Sender<io::Result<Bytes>>,
    transfer: &Transfer,
) -> io::Result<()> {
    let mut reader = open()?;
    let mut sent = 0;
    loop {
        let mut piece = vec![0; PIECE];
        let count = match reader.read(&mut piece) {
            Ok(0) if sent == size => break,
            Ok(0) => {
                let text = format!("it ends after {sent} of {size} bytes");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sent += count as u64;
        if sent > size {
            let text = format!("it has more than {size} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        piece.truncate(count);
        if sender.blocking_send(Ok(Bytes::from(piece))).is_err() {
            return Ok(()); // the request has ended, which says why
        }
        transfer.add(count as u64);
        state.sent.store(sent, Ordering::Relaxed);
    }
    state.complete.store(true, Ordering::Relaxed);
    Ok(())
}
