//! A blob as a blocking reader, fed from the runtime and verified on the way.

use std::collections::VecDeque;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use crate::image::{Descriptor, Digester, ImageRef};

use crate::log::transfer::Transfer;

use super::answer::RequestLine;
use super::auth::Scope;
use super::client::{Client, Request, Target};
use super::pull::MIRROR_ATTEMPTS;
use super::{Error, transfer};
use crate::net::pace::PROGRESS;
use crate::net::retry::Backoff;
use crate::store::SharedStore;
use crate::store::shared::Keeping;

/// The bytes of one blob, as an ordinary reader for a thread outside the runtime.
///
/// The end of the stream is reported only after size and digest were found right; until then nothing read is verified. A
/// connection that breaks is resumed where it broke. Dropping the reader ends the transfer.
pub struct Blob(State);

enum State {
    /// Nothing was read yet: it may be in the shared store.
    Waiting(Box<Wanted>),
    /// It is, and what is read was found right.
    Stored(Box<dyn Read + Send>),
    Flowing(Flow),
    /// Everything was read and verified.
    Ended,
    Failed,
}

/// Which blob, and where from.
struct Wanted {
    client: Client,
    store: Option<SharedStore>,
    image: ImageRef,
    descriptor: Descriptor,
}

/// A blob on its way.
struct Flow {
    pieces: mpsc::Receiver<Result<Bytes, Error>>,
    piece: Bytes,
    /// The copy for the shared store.
    keeping: Option<Keeping>,
}

/// Pieces that wait for the reader; a piece has up to 400 KiB where the network is fast.
const PIECES: usize = 4;

impl Client {
    /// Starts to pull a blob of a repository; `image` is what [`RemoteImage::source`](super::RemoteImage) says, if it
    /// came from an image. Nothing waits here: errors come from the reader.
    pub fn blob(&self, image: &ImageRef, descriptor: &Descriptor) -> Blob {
        self.blob_through(self.0.options.store.as_ref(), image, descriptor)
    }

    /// Pulls a blob through another shared store than the client's own.
    pub fn blob_through(
        &self,
        store: Option<&SharedStore>,
        image: &ImageRef,
        descriptor: &Descriptor,
    ) -> Blob {
        let wanted = Wanted {
            client: self.clone(),
            store: store.cloned(),
            image: image.clone(),
            descriptor: descriptor.clone(),
        };
        Blob(match store {
            Some(_) => State::Waiting(Box::new(wanted)),
            None => State::Flowing(wanted.flow()),
        })
    }
}

impl Wanted {
    fn open(self) -> State {
        let store = self.store.as_ref();
        match store.and_then(|store| store.open_blob(&self.descriptor)) {
            Some(blob) => State::Stored(blob),
            None => State::Flowing(self.flow()),
        }
    }

    fn flow(self) -> Flow {
        let (sender, pieces) = mpsc::channel(PIECES);
        let store = self.store.as_ref();
        let keeping = store.and_then(|store| store.keep(&self.descriptor));
        let net = self.client.net().clone();
        let transfer = net.timeline().pull(&self.descriptor);
        let pump = Pump {
            transfer,
            others: self.client.0.images.others(&self.image).into(),
            client: self.client,
            image: self.image,
            descriptor: self.descriptor,
            sender,
            received: 0,
            digester: Digester::new(),
        };
        net.spawn(pump.run());
        Flow {
            pieces,
            piece: Bytes::new(),
            keeping,
        }
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if matches!(self.0, State::Waiting(_))
            && let State::Waiting(wanted) = std::mem::replace(&mut self.0, State::Failed)
        {
            self.0 = wanted.open();
        }
        let read = match &mut self.0 {
            State::Stored(blob) => return blob.read(buffer),
            State::Flowing(flow) => flow.read(buffer),
            State::Ended => return Ok(0),
            State::Waiting(_) | State::Failed => Err(broken()),
        };
        match &read {
            Ok(0) => {
                let ended = std::mem::replace(&mut self.0, State::Ended);
                if let State::Flowing(Flow {
                    keeping: Some(keeping),
                    ..
                }) = ended
                {
                    keeping.commit();
                }
            }
            Ok(_) => {}
            Err(_) => self.0 = State::Failed,
        }
        read
    }
}

impl Flow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            // the pump says when all is well: one that just vanished must not look like an end
            let piece = self.pieces.blocking_recv().ok_or_else(broken)?;
            self.piece = piece.map_err(io::Error::other)?;
            if let Some(keeping) = &mut self.keeping
                && !keeping.write(&self.piece)
            {
                self.keeping = None;
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn broken() -> io::Error {
    io::Error::other("the blob could not be read to its end")
}

struct Pump {
    client: Client,
    image: ImageRef,
    /// Further places that should have the blob.
    others: VecDeque<ImageRef>,
    descriptor: Descriptor,
    sender: mpsc::Sender<Result<Bytes, Error>>,
    received: u64,
    digester: Digester,
    transfer: Transfer,
}

/// Why a transfer stopped before its end.
enum Stop {
    /// The reader is gone.
    Abandoned,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Pump {
    async fn run(mut self) {
        match self.transfer().await {
            Ok(()) => drop(self.sender.send(Ok(Bytes::new())).await),
            Err(Stop::Failed(error)) => {
                if error.is_damage() {
                    let digest = &self.descriptor.digest;
                    self.client.note_damage(&self.image.registry, digest);
                }
                drop(self.sender.send(Err(error)).await);
            }
            Err(Stop::Abandoned) => {}
        }
    }

    /// Asks for the blob, and again for the rest of it, until all of it was passed on.
    async fn transfer(&mut self) -> Result<(), Stop> {
        let mut backoff = self.backoff();
        let mut before = 0;
        loop {
            match self.attempt().await {
                Err(Stop::Failed(error))
                    if error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) =>
                {
                    return Err(self.wrong_size().into()); // there is no more than what came
                }
                Err(Stop::Failed(error)) if error.is_transient() => {
                    if self.received - before >= PROGRESS {
                        before = self.received;
                        backoff.reset();
                    }
                    let Some(delay) = backoff.next(error.retry_after()) else {
                        self.go_elsewhere(error)?;
                        backoff = self.backoff();
                        continue;
                    };
                    tracing::warn!(
                        digest = %self.descriptor.digest,
                        received_bytes = self.received,
                        "Retrying operation after {delay:.1?} due to {}",
                        error.chain()
                    );
                    tokio::time::sleep(delay).await;
                }
                Err(Stop::Failed(error)) if !error.is_damage() => {
                    self.go_elsewhere(error)?;
                    backoff = self.backoff();
                }
                Err(stop) => return Err(stop),
                Ok(()) => break,
            }
        }
        let got = self.digester.clone().finish();
        if got != self.descriptor.digest {
            return Err(Stop::Failed(Error::WrongDigest {
                what: "blob",
                repository: self.image.name(),
                expected: self.descriptor.digest.clone(),
                got,
            }));
        }
        Ok(())
    }

    fn backoff(&self) -> Backoff {
        let retry = self.client.0.options.retry;
        Backoff::new(match self.others.is_empty() {
            true => retry,
            false => retry.at_most(MIRROR_ATTEMPTS),
        })
    }

    /// Turns to the next place that should have the blob; what came so far counts, since the digest decides in the end.
    ///
    /// # Errors
    /// The error with which this place failed, if there is no other.
    fn go_elsewhere(&mut self, error: Error) -> Result<(), Error> {
        let Some(next) = self.others.pop_front() else {
            return Err(error);
        };
        tracing::warn!(
            "Failed to retrieve blob {} from registry {}: {}. Will try with registry {}.",
            self.descriptor.digest,
            self.image.registry,
            error.chain(),
            next.registry
        );
        self.image = next;
        Ok(())
    }

    async fn attempt(&mut self) -> Result<(), Stop> {
        if self.received == self.descriptor.size && self.received > 0 {
            return Ok(()); // it broke off behind the last byte
        }
        let (response, line) = self.request().await?;
        let mut skip = self.skip(&response, &line)?;
        let mut pieces = transfer::Pieces::new(response, &line);
        while let Some(mut piece) = pieces.next().await? {
            let skipped = skip.min(piece.len() as u64);
            piece.advance(usize::try_from(skipped).expect("a part of the piece"));
            skip -= skipped;
            if piece.is_empty() {
                continue; // an empty piece means the end to the reader
            }
            self.received += piece.len() as u64;
            self.transfer.add(piece.len() as u64);
            if self.received > self.descriptor.size {
                return Err(self.wrong_size().into());
            }
            self.digester.update(&piece);
            if self.sender.send(Ok(piece)).await.is_err() {
                return Err(Stop::Abandoned);
            }
        }
        if self.received < self.descriptor.size {
            return Err(self.wrong_size().into());
        }
        Ok(())
    }

    async fn request(&self) -> Result<(Response, RequestLine), Error> {
        let digest = &self.descriptor.digest;
        let path = format!("/v2/{}/blobs/{digest}", self.image.repository);
        match self.get(Target::Path(path)).await {
            Err(error) if self.descriptor.media_type.is_foreign() && !error.is_transient() => {
                for url in self
                    .descriptor
                    .urls
                    .iter()
                    .filter_map(|url| url.parse().ok())
                {
                    if let Ok(found) = self.get(Target::Url(url)).await {
                        return Ok(found);
                    }
                }
                Err(error)
            }
            result => result,
        }
    }

    async fn get(&self, target: Target) -> Result<(Response, RequestLine), Error> {
        let scope = Scope::pull(&self.image.repository);
        let mut request = Request::new(&self.image.registry, scope, Method::GET, target)
            .header(ACCEPT_ENCODING, "identity");
        if self.received > 0 {
            request = request.header(RANGE, &format!("bytes={}-", self.received));
        }
        let response = self.client.send_once(&request, None).await?;
        let line = transfer::line(
            &self.image.registry,
            &self.image.repository,
            &Method::GET,
            response.url(),
        );
        Ok((response, line))
    }

    /// Returns how many bytes of an answer were received before, because the registry does not know ranges.
    fn skip(&self, response: &Response, line: &RequestLine) -> Result<u64, Error> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(self.received);
        }
        let range = response.headers().get(CONTENT_RANGE);
        let start = range
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().strip_prefix("bytes "))
            .and_then(|text| text.split_once('-'))
            .and_then(|(start, _)| start.parse::<u64>().ok());
        match start {
            Some(start) if start <= self.received => Ok(self.received - start),
            _ => Err(Error::Protocol {
                request: Box::new(line.clone()),
                reason: format!("the answer does not begin at byte {}", self.received),
            }),
        }
    }

    fn wrong_size(&self) -> Error {
        Error::WrongSize {
            repository: self.image.name(),
            digest: self.descriptor.digest.clone(),
            expected: self.descriptor.size,
            got: self.received,
        }
    }
}
