//! What servers do wrong when something is pushed to them: scripted answers.

use std::error::Error as _;
use std::sync::Arc;

use super::faults::{open, put};
use super::testing::{Reply, Scripted, client, descriptor, net, noise, options, source};
use super::*;

#[test]
fn a_location_may_be_written_in_many_ways() {
    let bytes = noise(5, 1000);
    let net = net();
    for form in [
        "/up/1?state=x%2Fy&z=",
        "http://HOST/up/1?state=x%2Fy&z=",
        "1?state=x%2Fy&z=",
    ] {
        let server = open(move |request, _| {
            let location = form.replace("HOST", request.header("host"));
            match request.method.as_str() {
                "HEAD" => Reply::new(404),
                "POST" => Reply::new(202)
                    .header("Location", location.clone())
                    .header("OCI-Chunk-Min-Length", "16777216"),
                // takes the bytes apart only
                "PUT" if !request.body.is_empty() => Reply::new(405),
                "PATCH" => Reply::new(202), // the upload stays where it is
                _ => Reply::new(201),
            }
        });
        let blob = descriptor(&bytes);
        let pushed =
            net.block_on(client(&net, &[]).push_blob(&server.image("a"), &blob, &source(&bytes)));
        assert_eq!(pushed.unwrap(), Pushed::Uploaded, "{form}");
        let base = if form.starts_with('1') {
            "/v2/a/blobs/uploads/1"
        } else {
            "/up/1"
        };
        let lines = server.lines();
        let digest = blob.digest.to_string().replace(':', "%3A");
        let put = format!("PUT {base}?state=x%2Fy&z=&digest={digest}");
        let patch = format!("PATCH {base}?state=x%2Fy&z=");
        let post = "POST /v2/a/blobs/uploads/";
        assert_eq!(lines, [post, &put, post, &patch, &put]);
        let bodies = server
            .log()
            .into_iter()
            .map(|request| request.body.len())
            .collect::<Vec<_>>();
        assert_eq!(bodies[1..], [0, 1000, 0, 1000, 0], "after the ping");
    }
}

#[test]
fn an_upload_that_fails_begins_anew_with_a_new_source() {
    let bytes = noise(6, 100_000);
    let net = net();
    for failure in [500, 404, 0] {
        let server = open(
            move |request, before| match (request.method.as_str(), before) {
                ("HEAD", _) => Reply::new(404),
                ("POST", _) => Reply::new(202).header("Location", "/up"),
                ("PUT", 0) if failure == 0 => Reply::hang_up(),
                ("PUT", 0) if request.path.starts_with("/up?") => Reply::new(failure),
                ("PATCH", _) => Reply::new(202).header("Location", "/up2"),
                _ => Reply::new(201),
            },
        );
        let blob = descriptor(&bytes);
        let pushed =
            net.block_on(client(&net, &[]).push_blob(&server.image("a"), &blob, &source(&bytes)));
        assert_eq!(pushed.unwrap(), Pushed::Uploaded, "{failure}");
        let log = server.log();
        let sent: Vec<_> = log
            .iter()
            .filter(|request| !request.body.is_empty())
            .collect();
        assert_eq!(sent.len(), 2, "{failure}");
        assert!(sent[1].body == bytes);
    }
}

#[test]
fn a_blob_that_arrived_is_not_sent_again() {
    let bytes = noise(10, 100_000);
    let net = net();
    let server = open(|request, before| match (request.method.as_str(), before) {
        ("HEAD", 0) => Reply::new(404),
        ("HEAD", _) => Reply::new(200),
        ("POST", _) => Reply::new(202).header("Location", "/up"),
        _ => Reply::hang_up(), // the answer is lost
    });
    let blob = descriptor(&bytes);
    let pushed =
        net.block_on(client(&net, &[]).push_blob(&server.image("a"), &blob, &source(&bytes)));
    assert_eq!(pushed.unwrap(), Pushed::Existed);
}

#[test]
fn an_upload_follows_a_redirect() {
    let bytes = noise(7, 10_000);
    let storage = Scripted::start(|_, _| Reply::new(201));
    let target = format!("http://{}/up", storage.address);
    let server = Scripted::start(move |request, _| match request.method.as_str() {
        _ if request.header("authorization").is_empty() => {
            Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\"")
        }
        "GET" => Reply::new(200),
        "POST" => Reply::new(202).header("Location", "/up"),
        _ => Reply::new(307).header("Location", target.clone()),
    });
    let (net, blob) = (net(), descriptor(&bytes));
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dTpw"}}}}}}"#, server.address);
    let client = client(&net, &[("DOCKER_AUTH_CONFIG", &config)]);
    let pushed = net.block_on(client.push_blob(&server.image("a"), &blob, &source(&bytes)));
    assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    assert!(storage.log()[0].body == bytes);
    assert_eq!(storage.log()[0].header("authorization"), "");
}

#[test]
fn a_source_that_fails_is_the_error() {
    let server = open(|request, _| match request.method.as_str() {
        "HEAD" => Reply::new(404),
        _ => Reply::new(202).header("Location", "/up"),
    });
    let net = net();
    let blob = descriptor(&noise(8, 1000));
    let push = |source: &Source| {
        net.block_on(client(&net, &[]).push_blob(&server.image("a"), &blob, source))
            .unwrap_err()
    };
    let error = push(&source(b"short"));
    assert_eq!(
        error.to_string(),
        format!("cannot read blob `{}` for its upload", blob.digest)
    );
    assert_eq!(
        error.source().unwrap().to_string(),
        "it ends after 5 of 1000 bytes"
    );
    let error = push(&Source {
        open: Arc::new(|| Err(std::io::Error::other("gone"))),
        mount_from: None,
    });
    assert_eq!(error.source().unwrap().to_string(), "gone");
}

#[test]
fn a_refused_mount_becomes_an_upload() {
    let bytes = noise(9, 1000);
    let net = net();
    for status in [202, 403, 404, 405] {
        let server = open(move |request, _| {
            let mount = request.path.contains("mount=");
            match request.method.as_str() {
                "HEAD" => Reply::new(404),
                "POST" if mount && status != 202 => Reply::new(status),
                "POST" => Reply::new(202).header("Location", "/up"),
                "PATCH" => Reply::new(202),
                _ => Reply::new(201),
            }
        });
        let mut from = source(&bytes);
        from.mount_from = Some(server.image("base/image:1"));
        let blob = descriptor(&bytes);
        let pushed = net.block_on(client(&net, &[]).push_blob(&server.image("a"), &blob, &from));
        assert_eq!(pushed.unwrap(), Pushed::Uploaded, "{status}");
        let lines = server.lines();
        assert!(lines[0].ends_with("&from=base%2Fimage"), "{}", lines[0]);
        let posts = lines.iter().filter(|line| line.starts_with("POST")).count();
        assert_eq!(
            posts,
            if status == 202 { 1 } else { 2 },
            "an upload that was opened is used"
        );
    }
}

#[test]
fn the_upload_opened_to_ask_for_permission_is_used_or_cancelled() {
    let bytes = noise(11, 100);
    let net = net();
    let server = open(|request, _| match request.method.as_str() {
        "POST" => Reply::new(202).header("Location", "/up"),
        _ => Reply::new(201),
    });
    let (image, blob) = (server.image("a:1"), descriptor(&bytes));
    let client = client(&net, &[]);
    net.block_on(client.check_push_permission(&image)).unwrap();
    net.block_on(client.push_blob(&image, &blob, &source(&bytes)))
        .unwrap();
    net.block_on(client.close());
    let lines = server.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    net.block_on(client.check_push_permission(&image)).unwrap();
    net.block_on(client.close());
    assert_eq!(server.lines()[3], "DELETE /up");
}

#[test]
fn only_a_definite_refusal_forbids_a_push() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (202, true),
        (201, true),
        (401, false),
        (403, false),
        (404, false),
        (405, false),
        (429, true),
        (500, true),
        (503, true),
    ];
    let net = net();
    for (status, allowed) in cases {
        let server = open(move |_, _| Reply::new(status).header("Location", "/up"));
        let result = net.block_on(client(&net, &[]).check_push_permission(&server.image("a:1")));
        assert_eq!(result.is_ok(), allowed, "{status}");
    }
    let gone = "127.0.0.1:1/a:1".parse().unwrap();
    let mut options = options(&[]);
    options.retry.attempts = 2;
    let client = Client::new(&net, options).unwrap();
    let error = net
        .block_on(client.check_push_permission(&gone))
        .unwrap_err();
    assert!(error.source().unwrap().to_string().contains("failed"));
}

#[test]
fn a_manifest_is_put_again_while_the_registry_does_not_see_a_blob() {
    let net = net();
    for (refusals, code, puts) in [
        (1, "MANIFEST_BLOB_UNKNOWN", 2),
        (1, "BLOB_UNKNOWN", 2),
        (9, "BLOB_UNKNOWN", 4),
        (9, "MANIFEST_INVALID", 1),
    ] {
        let server = open(move |request, before| match request.method.as_str() {
            "PUT" if before < refusals => {
                let body = format!(r#"{{"errors":[{{"code":"{code}","message":"not yet"}}]}}"#);
                Reply::new(404).body(body)
            }
            "PUT" => Reply::new(201),
            _ => Reply::new(404),
        });
        let result = put(&net, &server);
        assert_eq!(result.is_ok(), refusals < puts, "{refusals} {code}");
        let lines = server.lines();
        let sent = lines.iter().filter(|line| line.starts_with("PUT")).count();
        assert_eq!(sent, puts, "{refusals} {code}");
    }
}
