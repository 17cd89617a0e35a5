//! Downloads: what a URL holds, as an ordinary reader for a thread outside the runtime.

use std::io::{self, BufReader, Read};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use super::get::{Get, Sign};
use super::pace::{PROGRESS, Pace};
use super::redact::redacted;
use super::retry::{Backoff, is_transient, retry_after};
use super::{Error, Net};
use crate::log::transfer::Transfer;

/// Nothing received for this long means that the connection is dead.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Pieces that wait for the reader; a piece has up to 400 KiB where the network is fast.
const PIECES: usize = 4;

/// An answer whose body is still to be read, whatever its status.
///
/// A connection that breaks is resumed where it broke, if the server still has the same content. The end of the stream is
/// reported only after the whole body came. Dropping the reader ends the transfer.
#[derive(Debug)]
pub struct Download {
    /// Where the answer came from, at the end of all redirects.
    pub url: Url,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Of the body as it is sent.
    pub size: Option<u64>,
    counted_by: Option<Transfer>,
    pieces: mpsc::Receiver<Result<Bytes, Error>>,
    piece: Bytes,
    ended: bool,
}

impl Net {
    /// Sends a GET, again if there is no answer or one that says to come back, and returns the answer.
    ///
    /// # Errors
    /// [`Error::Get`] or [`Error::Stalled`] if there is no answer at all; a status of 400 or more is none.
    pub fn get(&self, get: &Get) -> Result<Download, Error> {
        let client = self.http(&get.profile)?;
        let asking = Asking {
            client,
            get: get.clone(),
            backoff: Backoff::new(get.retry),
        };
        self.block_on(asking.start(self))
    }
}

struct Asking {
    client: Client,
    get: Get,
    backoff: Backoff,
}

impl Asking {
    async fn start(mut self, net: &Net) -> Result<Download, Error> {
        let response = self.persist(0, None).await?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let download = Download {
            url: response.url().clone(),
            status: response.status(),
            headers: response.headers().clone(),
            size: response.content_length(),
            counted_by: None,
            pieces,
            piece: Bytes::new(),
            ended: false,
        };
        let pump = Pump {
            total: download.size,
            validator: validator(response.headers()),
            pace: Pace::new(self.get.least),
            asking: self,
            received: 0,
            sender,
        };
        net.spawn(pump.run(response));
        Ok(download)
    }

    /// Asks until there is an answer worth having.
    async fn persist(
        &mut self,
        from: u64,
        validator: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        loop {
            let (error, wish) = match self.ask(from, validator).await {
                Ok(response) if is_transient(response.status()) => {
                    let wish = response.headers().get(RETRY_AFTER);
                    let wish = wish.and_then(|value| retry_after(value.to_str().ok()?));
                    (Ok(response), wish)
                }
                Ok(response) => return Ok(response),
                Err(error) if error.is_transient() => (Err(error), None),
                Err(error) => return Err(error),
            };
            let Some(delay) = self.backoff.next(wish) else {
                return error;
            };
            let reason = match error {
                Ok(response) => response.status().to_string(),
                Err(error) => error.in_short(),
            };
            tracing::warn!("Retrying operation after {delay:.1?} due to {reason}");
            tokio::time::sleep(delay).await;
        }
    }

    async fn ask(&self, from: u64, validator: Option<&HeaderValue>) -> Result<Response, Error> {
        let get = &self.get;
        let mut request = match &get.body {
            Some(body) => self.client.post(get.url.clone()).body(body.clone()),
            None => self.client.get(get.url.clone()),
        };
        for (name, value) in &get.headers {
            request = request.header(name, value.reveal());
        }
        request = request.header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(validator) = validator.filter(|_| from > 0) {
            request = request.header(IF_RANGE, validator);
        }
        let mut request = request.build().map_err(|source| self.broken(source))?;
        if let Some(Sign(sign)) = &get.sign {
            request = sign(request).await.map_err(|source| Error::Sign {
                url: self.shown(),
                source,
            })?;
        }
        match tokio::time::timeout(STALL_LIMIT, self.client.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(source)) => Err(self.broken(source)),
            Err(_) => Err(self.stalled()),
        }
    }

    fn shown(&self) -> String {
        redacted(&self.get.url)
    }

    fn broken(&self, source: reqwest::Error) -> Error {
        Error::Get {
            url: self.shown(),
            source: source.without_url(), // its own text shows it whole
        }
    }

    fn slow(&self, received: u64) -> Error {
        Error::Slow {
            url: self.shown(),
            received,
            within: self.get.least.within,
        }
    }

    fn stalled(&self) -> Error {
        Error::Stalled {
            url: self.shown(),
            limit: STALL_LIMIT,
        }
    }
}

/// Returns what tells that a resource is still the same, for `If-Range`.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG);
    let strong = tag.filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

struct Pump {
    asking: Asking,
    total: Option<u64>,
    validator: Option<HeaderValue>,
    received: u64,
    pace: Pace,
    sender: mpsc::Sender<Result<Bytes, Error>>,
}

/// Why a transfer stopped before its end.
enum Stop {
    /// The reader is gone.
    Abandoned,
    Failed(Error),
}

impl Pump {
    async fn run(mut self, response: Response) {
        match self.transfer(response).await {
            Ok(()) => drop(self.sender.send(Ok(Bytes::new())).await),
            Err(Stop::Failed(error)) => drop(self.sender.send(Err(error)).await),
            Err(Stop::Abandoned) => {}
        }
    }

    async fn transfer(&mut self, mut response: Response) -> Result<(), Stop> {
        let mut skip = 0;
        let mut before = 0;
        loop {
            let error = match self.pass_on(&mut response, &mut skip).await {
                Err(Stop::Failed(error)) => error,
                result => return result,
            };
            if self.total == Some(self.received) {
                return Ok(()); // it broke off behind the last byte
            }
            if self.asking.get.body.is_some() {
                return Err(Stop::Failed(error));
            }
            if self.received - before >= PROGRESS {
                before = self.received;
                self.asking.backoff.reset();
            }
            let Some(delay) = self.asking.backoff.next(None) else {
                return Err(Stop::Failed(error));
            };
            tracing::warn!(
                received_bytes = self.received,
                "Retrying operation after {delay:.1?} due to {}",
                error.in_short()
            );
            tokio::time::sleep(delay).await;
            let validator = self.validator.clone();
            let resumed = self
                .asking
                .persist(self.received, validator.as_ref())
                .await
                .map_err(Stop::Failed)?;
            skip = self.skip(&resumed).map_err(Stop::Failed)?;
            response = resumed;
        }
    }

    async fn pass_on(&mut self, response: &mut Response, skip: &mut u64) -> Result<(), Stop> {
        loop {
            let asked = Instant::now();
            let piece = match tokio::time::timeout(STALL_LIMIT, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(source)) => return Err(Stop::Failed(self.asking.broken(source))),
                Err(_) => return Err(Stop::Failed(self.asking.stalled())),
            };
            let mut piece = piece;
            let too_few = self.pace.too_few(piece.len(), asked.elapsed());
            let skipped = (*skip).min(piece.len() as u64);
            piece.advance(usize::try_from(skipped).expect("a part of the piece"));
            *skip -= skipped;
            if piece.is_empty() {
                continue; // an empty piece means the end to the reader
            }
            if let Some(few) = too_few
                && self.asking.get.body.is_none()
            {
                return Err(Stop::Failed(self.asking.slow(few)));
            }
            self.received += piece.len() as u64;
            if self.sender.send(Ok(piece)).await.is_err() {
                return Err(Stop::Abandoned);
            }
        }
    }

    /// Returns how many bytes of an answer came before.
    ///
    /// # Errors
    /// [`Error::Changed`] if it is not, or may not be, the rest of the same content.
    fn skip(&self, response: &Response) -> Result<u64, Error> {
        let start = match response.status() {
            StatusCode::OK => Some(0),
            StatusCode::PARTIAL_CONTENT => range_start(response.headers()),
            _ => None,
        };
        let same = match (&self.validator, validator(response.headers())) {
            (Some(before), Some(now)) => *before == now,
            // Some servers leave it out of a partial answer, which they only give if it is the same.
            (Some(_), None) => response.status() == StatusCode::PARTIAL_CONTENT,
            (None, _) => self.total.is_some() && self.total == total(response),
        };
        match start {
            Some(start) if same && start <= self.received => Ok(self.received - start),
            _ => Err(Error::Changed {
                url: self.asking.shown(),
                received: self.received,
            }),
        }
    }
}

fn content_range(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.trim().strip_prefix("bytes ")
}

fn range_start(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.split_once('-')?.0.parse().ok()
}

/// Returns the size of the whole, also of what a partial answer is a part of.
fn total(response: &Response) -> Option<u64> {
    match content_range(response.headers()) {
        Some(range) => range.split_once('/')?.1.parse().ok(),
        None => response.content_length(),
    }
}

impl Download {
    /// Returns the content without the encoding it was sent in.
    pub fn decoded(self) -> Box<dyn Read + Send> {
        let encoding = self.headers.get(CONTENT_ENCODING);
        match encoding.map(HeaderValue::as_bytes) {
            Some(b"gzip" | b"x-gzip") => Box::new(MultiGzDecoder::new(BufReader::new(self))),
            _ => Box::new(self),
        }
    }

    /// Tells `transfer` of the bytes that are read.
    pub fn counted_by(self, transfer: Transfer) -> Self {
        Self {
            counted_by: Some(transfer),
            ..self
        }
    }

    /// Returns when the content last changed, as the server says, in seconds since the epoch.
    pub fn last_modified(&self) -> Option<i64> {
        let text = self.headers.get(LAST_MODIFIED)?.to_str().ok()?;
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.piece.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.pieces.blocking_recv() {
                // the pump says when all is well: one that just vanished must not look like an end
                Some(Ok(piece)) if piece.is_empty() => self.ended = true,
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::Error::other("the download was not read to its end")),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        if let Some(transfer) = &self.counted_by {
            transfer.add(count as u64);
        }
        Ok(count)
    }
}
