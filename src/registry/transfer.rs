//! One HTTP exchange: waiting for an answer, judging it, and reading a body of limited size.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response};
use url::Url;

use crate::net::pace::{Least, Pace};
use crate::net::redact::redacted;

use super::Error;
use super::answer::{Answer, Code, RequestLine};
use crate::net::retry::retry_after;

/// Nothing received for this long means that the connection is dead.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(120);
const LEAST: Least = Least::DEFAULT;
const ERROR_LIMIT: u64 = 64 << 10;

pub(super) fn line(registry: &str, repository: &str, method: &Method, url: &Url) -> RequestLine {
    RequestLine {
        registry: registry.to_owned(),
        repository: repository.to_owned(),
        method: method.clone(),
        url: redacted(url),
    }
}

/// Waits for the head of an answer.
pub(super) async fn answer(
    sending: impl Future<Output = reqwest::Result<Response>>,
    line: &RequestLine,
) -> Result<Response, Error> {
    match tokio::time::timeout(STALL_LIMIT, sending).await {
        Ok(result) => result.map_err(|source| transport(line, source)),
        Err(_) => Err(stalled(line)),
    }
}

/// Passes an answer of success on; makes an error with the registry's codes of any other.
pub(super) async fn check(
    response: Response,
    line: &RequestLine,
    credential: &str,
) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header = response.headers().get(RETRY_AFTER);
    let retry_after = header
        .and_then(|value| value.to_str().ok())
        .and_then(retry_after);
    // the body only explains: an error document that breaks off must not hide the status
    let body = read(response, line, ERROR_LIMIT).await.unwrap_or_default();
    Err(Error::Status(Box::new(Answer {
        request: line.clone(),
        status,
        codes: Code::parse(&body),
        credential: credential.to_owned(),
        retry_after,
    })))
}

/// Reads a whole body.
pub(super) async fn read(
    response: Response,
    line: &RequestLine,
    limit: u64,
) -> Result<Bytes, Error> {
    let mut pieces = Pieces::new(response, line);
    let mut body = BytesMut::new();
    while let Some(chunk) = pieces.next().await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Error::TooLong {
                request: Box::new(line.clone()),
                limit,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A body piece by piece.
pub(super) struct Pieces<'l> {
    response: Response,
    line: &'l RequestLine,
    pace: Pace,
}

impl<'l> Pieces<'l> {
    pub(super) fn new(response: Response, line: &'l RequestLine) -> Self {
        let pace = Pace::new(LEAST);
        Self {
            response,
            line,
            pace,
        }
    }

    /// Waits for the next piece; one that does not come, or comes too slowly, is an error.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let asked = Instant::now();
        let piece = match tokio::time::timeout(STALL_LIMIT, self.response.chunk()).await {
            Ok(result) => result.map_err(|source| transport(self.line, source))?,
            Err(_) => return Err(stalled(self.line)),
        };
        let Some(piece) = piece else {
            return Ok(None);
        };
        match self.pace.too_few(piece.len(), asked.elapsed()) {
            Some(received) => Err(Error::Slow {
                request: Box::new(self.line.clone()),
                received,
                within: LEAST.within,
            }),
            None => Ok(Some(piece)),
        }
    }
}

pub(super) fn transport(line: &RequestLine, source: reqwest::Error) -> Error {
    Error::Transport {
        request: Box::new(line.clone()),
        source: source.without_url(), // `line` holds it, redacted
    }
}

fn stalled(line: &RequestLine) -> Error {
    Error::Stalled {
        request: Box::new(line.clone()),
        limit: STALL_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reply, Scripted, net};
    use super::*;
    use crate::net::Profile;

    #[test]
    fn an_answer_that_came_late_but_whole_is_taken() {
        let server = Scripted::start(|_, _| Reply::new(200).body("late"));
        let url: Url = format!("http://{}/", server.address).parse().unwrap();
        let line = line(&server.address, "", &Method::GET, &url);
        let net = net();
        let client = net.http(&Profile::default()).unwrap();
        let body = net.block_on(async {
            let response = client.get(url).send().await.unwrap();
            let mut pieces = Pieces::new(response, &line);
            pieces.pace = Pace::new(Least {
                bytes: u64::MAX,
                within: Duration::ZERO, // any piece is too late
            });
            let first = pieces.next().await.unwrap();
            (first, pieces.next().await.unwrap())
        });
        assert_eq!(body, (Some(Bytes::from_static(b"late")), None));
    }
}
