//! What servers do wrong, and what is made of it: scripted answers. `push_faults` has what is about uploads.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;

use super::testing::{ATTEMPTS, Received, Reply, Scripted, client, descriptor, net, noise};
use super::*;
use crate::image::{Descriptor, Digest, Family, ImageRef};
use crate::net::Net;

/// A server that lets everybody in and answers everything else by `script`.
pub(super) fn open(script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request, before| match request.path.as_str() {
        "/v2/" => Reply::new(200),
        _ => script(request, before),
    })
}

fn pull(net: &Net, server: &Scripted, blob: &Descriptor) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut reader = client(net, &[]).blob(&server.image("a"), blob);
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn put(net: &Net, server: &Scripted) -> Result<Digest, Error> {
    let body = Bytes::from_static(b"{}");
    net.block_on(client(net, &[]).push_manifest(
        &server.image("a:1"),
        body,
        &Family::Oci.manifest(),
    ))
}

fn digest_of(net: &Net, client: &Client, image: &ImageRef) -> Result<Option<Digest>, Error> {
    net.block_on(client.manifest_digest(image))
}

/// Answers a range request as a registry that knows ranges does.
fn ranged(request: &Received, blob: &[u8]) -> Reply {
    let range = request.header("range");
    let start = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'));
    match start.map(|start| start.parse::<usize>().unwrap()) {
        None => Reply::new(200).body(blob),
        Some(start) => Reply::new(206)
            .header(
                "Content-Range",
                format!("bytes {start}-{}/{}", blob.len() - 1, blob.len()),
            )
            .body(&blob[start..]),
    }
}

#[test]
fn passing_failures_are_retried_and_definite_ones_are_not() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // status  tries
        (408,      4),
        (425,      4),
        (429,      4),
        (499,      4),
        (500,      4),
        (502,      4),
        (503,      4),
        (504,      4),
        (522,      4),
        (0,        4), // hangs up
        (400,      1),
        (401,      1),
        (403,      1),
        (405,      1),
        (501,      1),
    ];
    let net = net();
    for (status, tries) in cases {
        let server = open(
            move |request, before| match (request.method.as_str(), before) {
                ("PUT", 0..3) if status == 0 => Reply::hang_up(),
                ("PUT", 0..3) => Reply::new(status),
                ("PUT", _) => Reply::new(201),
                _ => Reply::new(404),
            },
        );
        let result = put(&net, &server);
        assert_eq!(result.is_ok(), tries > 1, "{status}");
        let puts = server
            .lines()
            .iter()
            .filter(|line| line.starts_with("PUT"))
            .count();
        assert_eq!(puts, tries, "{status}");
    }
}

#[test]
fn attempts_end() {
    let (net, server) = (net(), open(|_, _| Reply::new(503)));
    let image = server.image("a:1");
    let error = digest_of(&net, &client(&net, &[]), &image).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 503);
    assert_eq!(server.lines().len(), ATTEMPTS as usize);
}

#[test]
fn a_wait_beyond_the_budget_is_told_at_once() {
    let net = net();
    let server = open(|_, _| {
        Reply::new(429)
            .header("Retry-After", "7200")
            .body(r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"rate limit"}]}"#)
    });
    let image = server.image("a:1");
    let platform = "linux/amd64".parse().unwrap();
    let error = net
        .block_on(client(&net, &[]).image(&image, &platform))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("429") && text.contains("TOOMANYREQUESTS: rate limit"),
        "{text}"
    );
    assert!(error.help().unwrap().contains("wait 7200 seconds"));
    assert_eq!(server.lines().len(), 1);
}

#[test]
fn a_short_wait_is_honoured() {
    let net = net();
    let server = open(|_, before| match before {
        0 => Reply::new(429).header("Retry-After", "1"),
        _ => Reply::new(404),
    });
    let started = std::time::Instant::now();
    assert_eq!(
        digest_of(&net, &client(&net, &[]), &server.image("a:1")).unwrap(),
        None
    );
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_broken_blob_is_resumed_where_it_broke() {
    let bytes = noise(1, 300_000);
    let blob = descriptor(&bytes);
    let net = net();
    let kept = bytes.clone();
    let server = open(move |request, _| match request.header("range") {
        "" => ranged(request, &kept).cut(100_000),
        "bytes=100000-" => ranged(request, &kept).cut(50_000),
        _ => ranged(request, &kept),
    });
    assert!(pull(&net, &server, &blob).unwrap() == bytes);
    let log = server.log();
    let ranges: Vec<_> = log.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, ["", "", "bytes=100000-", "bytes=150000-"]); // the first asks for the scheme
}

#[test]
fn a_byte_at_a_time_is_no_progress() {
    let bytes = noise(1, 1000);
    let (net, kept) = (net(), bytes.clone());
    let server = open(move |request, _| ranged(request, &kept).cut(1));
    pull(&net, &server, &descriptor(&bytes)).unwrap_err();
    assert_eq!(server.log().len(), 1 + ATTEMPTS as usize);
}

#[test]
fn a_server_without_ranges_serves_too() {
    let bytes = noise(2, 200_000);
    let (net, kept) = (net(), bytes.clone());
    let server = open(move |_, before| match before {
        0 => Reply::new(200).body(kept.clone()).cut(70_000),
        _ => Reply::new(200).body(kept.clone()),
    });
    assert!(pull(&net, &server, &descriptor(&bytes)).unwrap() == bytes);
}

#[test]
fn a_blob_that_is_not_what_it_should_be_never_ends_well() {
    let bytes = noise(3, 50_000);
    let wrong = |change: fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        bytes
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (wrong(|b| b[0] ^= 1),           "has the digest"),
        (wrong(|b| b[49_999] ^= 1),      "has the digest"),
        (wrong(|b| b.push(0)),           "instead of 50000"),
        (wrong(|b| b.truncate(49_999)),  "instead of 50000"),
        (wrong(Vec::clear),              "instead of 50000"),
    ];
    let net = net();
    for (served, want) in cases {
        let server = open(move |request, _| match request.header("range") {
            "" => Reply::new(200).body(served.clone()),
            _ => Reply::new(416),
        });
        let error = pull(&net, &server, &descriptor(&bytes)).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
    // a range that begins elsewhere would put the bytes in the wrong place
    let kept = bytes.clone();
    let server = open(move |request, _| match request.header("range") {
        "" => Reply::new(200).body(kept.clone()).cut(10_000),
        _ => Reply::new(206)
            .header("Content-Range", "bytes 20000-49999/50000")
            .body(&kept[20_000..]),
    });
    let error = pull(&net, &server, &descriptor(&bytes)).unwrap_err();
    assert!(error.contains("does not begin at byte 10000"), "{error}");
}

#[test]
fn a_blob_elsewhere_is_fetched_without_our_password() {
    let bytes = noise(4, 1000);
    let kept = bytes.clone();
    let storage = Scripted::start(move |_, _| Reply::new(200).body(kept.clone()));
    let target = format!("http://{}/bucket?X-Amz-Signature=secret", storage.address);
    let server = Scripted::start(move |request, _| match request.header("authorization") {
        "" => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        _ => Reply::new(307).header("Location", target.clone()),
    });
    let net = net();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, server.address);
    let client = client(&net, &[("DOCKER_AUTH_CONFIG", &config)]);
    let mut reader = client.blob(&server.image("a"), &descriptor(&bytes));
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    assert_eq!(got, bytes);
    assert_eq!(storage.log()[0].header("authorization"), "");
    assert_eq!(storage.log()[0].header("user-agent"), user_agent(None));
}

#[test]
fn a_challenge_from_elsewhere_gets_no_password() {
    let thief = Scripted::start(|request, _| {
        let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host"));
        Reply::new(401).header("WWW-Authenticate", realm)
    });
    let target = format!("http://{}/bucket", thief.address);
    let server = Scripted::start(move |request, _| match request.header("authorization") {
        "" => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        _ => Reply::new(307).header("Location", target.clone()),
    });
    let net = net();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, server.address);
    let client = client(&net, &[("DOCKER_AUTH_CONFIG", &config)]);
    let mut reader = client.blob(&server.image("a"), &descriptor(b"x"));
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
    assert_eq!(thief.lines(), ["GET /bucket"]);
    assert_eq!(thief.log()[0].header("authorization"), "");
}

#[test]
fn a_password_is_sent_only_when_asked_for_and_a_refusal_ends_it() {
    let server = Scripted::start(|request, _| match request.path.as_str() {
        "/v2/" => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        _ => Reply::new(401)
            .header("WWW-Authenticate", "Basic realm=\"x\"")
            .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#),
    });
    let net = net();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, server.address);
    let client = client(&net, &[("DOCKER_AUTH_CONFIG", &config)]);
    let error = digest_of(&net, &client, &server.image("a:1")).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 401);
    let text = error.to_string();
    assert!(
        text.contains("credentials: env:DOCKER_AUTH_CONFIG"),
        "{text}"
    );
    assert_eq!(
        server.lines().len(),
        1,
        "the same password is not tried twice"
    );
    assert_eq!(server.log()[0].header("authorization"), "");
}

#[test]
fn a_length_of_nothing_says_nothing() {
    let net = net();
    let server = open(|_, _| Reply::new(200));
    let (client, image) = (client(&net, &[]), server.image("a"));
    let blob = descriptor(&noise(12, 100_000));
    let found = net.block_on(client.has_whole_blob(&image, &blob));
    assert!(found.unwrap());
    assert!(!client.is_damaged(&image.registry, &blob.digest));
}

#[test]
fn documents_that_break_off_are_asked_for_again() {
    let net = net();
    let whole = r#"{"schemaVersion":1,"fsLayers":[]}"#;
    let server = open(move |_, before| match before {
        0 => Reply::new(200).body(&whole[..10]),
        1 => Reply::new(200),
        2 => Reply::new(200).body(whole).cut(5),
        _ => Reply::new(200).body(whole),
    });
    let platform = "linux/amd64".parse().unwrap();
    let error = net
        .block_on(client(&net, &[]).image(&server.image("a:1"), &platform))
        .unwrap_err();
    assert!(matches!(error, Error::NotAnImage { .. }), "{error}");
    assert_eq!(server.lines().len(), 4);
}

#[test]
fn a_web_page_is_no_manifest() {
    let net = net();
    let server = open(|_, _| Reply::new(200).body("\n<!doctype html><title>Log in</title>"));
    let platform = "linux/amd64".parse().unwrap();
    let error = net
        .block_on(client(&net, &[]).image(&server.image("a:1"), &platform))
        .unwrap_err();
    assert!(matches!(error, Error::WebPage { .. }), "{error}");
    assert_eq!(server.lines().len(), 1);
}

#[test]
fn a_registry_without_tls_that_fails_once_is_asked_again() {
    let net = net();
    let server = Scripted::start(|request, before| match (request.path.as_str(), before) {
        ("/v2/", 0) => Reply::hang_up(),
        ("/v2/", 1) => Reply::new(503),
        ("/v2/", _) => Reply::new(200),
        _ => Reply::new(404),
    });
    let found = digest_of(&net, &client(&net, &[]), &server.image("a:1"));
    assert_eq!(found.unwrap(), None);
}

#[test]
fn manifests_and_errors_are_read_up_to_a_limit() {
    let net = net();
    let endless = || Reply::new(200).body(vec![b' '; 9 << 20]);
    let server = open(move |_, _| endless());
    let platform = "linux/amd64".parse().unwrap();
    let error = net
        .block_on(client(&net, &[]).image(&server.image("a:1"), &platform))
        .unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    let server = open(|_, _| Reply::new(400).body(vec![b'x'; 1 << 20]));
    let error = net
        .block_on(client(&net, &[]).image(&server.image("a:1"), &platform))
        .unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 400);
}

#[test]
fn a_manifest_must_have_the_digest_it_was_asked_for_by() {
    let net = net();
    let server = open(|_, _| Reply::new(200).body(r#"{"schemaVersion":2,"layers":[]}"#));
    let image = server.image("a").with_digest(Digest::of(b"other"));
    let platform = "linux/amd64".parse().unwrap();
    let error = net
        .block_on(client(&net, &[]).image(&image, &platform))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::WrongDigest {
                what: "manifest",
                ..
            }
        ),
        "{error}"
    );
    let old = open(|_, _| Reply::new(200).body(r#"{"schemaVersion":1,"fsLayers":[]}"#));
    let error = net
        .block_on(client(&net, &[]).image(&old.image("a:1"), &platform))
        .unwrap_err();
    assert!(matches!(error, Error::NotAnImage { .. }), "{error}");
}
