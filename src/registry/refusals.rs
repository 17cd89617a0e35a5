//! What is made of a registry that says no: scripted answers. `faults` and `push_faults` have what may pass by itself.

use std::sync::Barrier;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::faults::open;
use super::testing::{ATTEMPTS, Reply, Scripted, descriptor, net, options, source};
use super::*;
use crate::image::Family;
use crate::net::Net;
use crate::net::retry::Retry;

/// Returns a client for which `extra` tries were asked for.
fn client(net: &Net, extra: u32, endpoints: Endpoints) -> Client {
    let retry = Retry {
        attempts: ATTEMPTS,
        first_delay: Duration::from_millis(1),
        extra,
        ..Retry::DEFAULT
    };
    let options = Options {
        retry,
        endpoints,
        ..options(&[])
    };
    Client::new(net, options).unwrap()
}

/// Returns how often a line was asked for.
fn count(server: &Scripted, line: &str) -> usize {
    server.lines().iter().filter(|asked| *asked == line).count()
}

/// Refuses each upload and each manifest twice.
fn reluctant() -> Scripted {
    open(|request, before| {
        let is_manifest = request.path.contains("/manifests/");
        match (request.method.as_str(), is_manifest) {
            ("HEAD", _) => Reply::new(404),
            ("POST", _) | ("PUT", true) if before < 2 => Reply::new(403),
            ("POST", _) => Reply::new(202).header("Location", "/up"),
            _ => Reply::new(201),
        }
    })
}

#[test]
fn pushing_insists_if_asked_to() {
    let net = net();
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // extra  tries  succeeds
        (0,       1,     false),
        (1,       2,     false),
        (2,       3,     true),
        (5,       3,     true),
    ];
    for (extra, tries, succeeds) in cases {
        let server = reluctant();
        let client = client(&net, extra, Endpoints::default());
        let image = server.image("m:1");
        let manifest = Bytes::from_static(b"{}");
        let kind = Family::Oci.manifest();
        let put = client.put_manifest(&image, manifest, &kind);
        assert_eq!(net.block_on(put).is_ok(), succeeds, "{extra}");
        assert_eq!(count(&server, "PUT /v2/m/manifests/1"), tries, "{extra}");
        let image = server.image("a:1");
        let (blob, bytes) = (descriptor(b"blob"), source(b"blob"));
        let push = client.push_blob(&image, &blob, &bytes);
        assert_eq!(net.block_on(push).is_ok(), succeeds, "{extra}");
        assert_eq!(
            count(&server, "POST /v2/a/blobs/uploads/"),
            tries,
            "{extra}"
        );
    }
}

#[test]
fn what_is_pushed_to_a_repository_has_its_tries_in_common() {
    let net = net();
    let server = open(|request, _| match request.method.as_str() {
        "HEAD" => Reply::new(404),
        _ => Reply::new(403),
    });
    let client = client(&net, 2, Endpoints::default());
    let of_a_sibling = client.sibling(client.0.options.clone()).unwrap();
    let (blob, bytes) = (descriptor(b"blob"), source(b"blob"));
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // client        repository  tries
        (&client,        "a:1",      3),
        (&client,        "a:2",      4), // one more
        (&of_a_sibling,  "a:1",      5),
        (&client,        "b:1",      3),
    ];
    for (client, name, tries) in cases {
        let image = server.image(name);
        let push = client.push_blob(&image, &blob, &bytes);
        assert!(net.block_on(push).is_err());
        let line = format!("POST /v2/{}/blobs/uploads/", image.repository);
        assert_eq!(count(&server, &line), tries, "{name}");
    }
    let kind = Family::Oci.manifest();
    let manifest = Bytes::from_static(b"{}");
    let image = server.image("a:1");
    let put = client.put_manifest(&image, manifest, &kind);
    assert!(net.block_on(put).is_err());
    assert_eq!(count(&server, "PUT /v2/a/manifests/1"), 1);
}

#[test]
fn what_is_refused_at_the_same_time_is_one_refusal() {
    const BLOBS: usize = 4;
    let net = net();
    let together = Barrier::new(BLOBS);
    let server = open(move |request, before| match request.method.as_str() {
        "HEAD" => Reply::new(404),
        "POST" if before < BLOBS => {
            together.wait();
            Reply::new(403)
        }
        "POST" => Reply::new(202).header("Location", "/up"),
        _ => Reply::new(201),
    });
    let client = client(&net, 1, Endpoints::default());
    let image = server.image("a:1");
    let pushes = (0..BLOBS).map(async |nth| {
        let bytes = nth.to_string();
        let (blob, bytes) = (descriptor(bytes.as_bytes()), source(bytes.as_bytes()));
        client.push_blob(&image, &blob, &bytes).await.is_ok()
    });
    let pushed = net.block_on(join_all(pushes));
    assert_eq!(pushed, [true; BLOBS]);
    assert_eq!(count(&server, "POST /v2/a/blobs/uploads/"), 2 * BLOBS);
}

#[test]
fn not_where_it_is_asked_again_anyway_and_not_for_what_stays_so() {
    let net = net();
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // status  once   tries
        (403,      false, 3),
        (403,      true,  1),
        (413,      false, 1),
        (405,      false, 1),
    ];
    for (status, once, tries) in cases {
        let server = open(move |request, _| match request.method.as_str() {
            "HEAD" => Reply::new(404),
            _ => Reply::new(status),
        });
        let client = client(&net, 2, Endpoints::default());
        let image = server.image("a:1");
        let (blob, bytes) = (descriptor(b"blob"), source(b"blob"));
        let pushed = match once {
            true => net.block_on(client.push_blob_once(&image, &blob, &bytes)),
            false => net.block_on(client.push_blob(&image, &blob, &bytes)),
        };
        assert!(pushed.is_err(), "{status} {once}");
        let asked = count(&server, "POST /v2/a/blobs/uploads/");
        assert_eq!(asked, tries, "{status} {once}");
    }
}

#[test]
fn a_tag_that_cannot_be_moved_stays_so() {
    let net = net();
    let server = open(|_, _| {
        Reply::new(400).body(
            r#"{"errors":[{"code":"TAG_INVALID","message":"'1' cannot be overwritten because the tag is immutable."}]}"#,
        )
    });
    let client = client(&net, 3, Endpoints::default());
    let manifest = Bytes::from_static(b"{}");
    let image = server.image("a:1");
    let kind = Family::Oci.manifest();
    let put = client.put_manifest(&image, manifest, &kind);
    assert!(net.block_on(put).unwrap_err().is_immutable_tag());
    assert_eq!(count(&server, "PUT /v2/a/manifests/1"), 1);
}

#[test]
fn pulling_insists_with_each_mirror_but_for_what_it_does_not_have() {
    let net = net();
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // mirror's answer       fallback  extra  tries there, and at the registry itself
        (403,      "",           true,     0,     [1, 1]),
        (403,      "",           true,     2,     [3, 3]),
        (404,      "",           true,     2,     [1, 3]),
        (400,      unknown,      true,     2,     [1, 3]),
        (404,      "",           false,    2,     [3, 0]), // nobody comes after it
    ];
    for (status, body, fallback, extra, tries) in cases {
        let mirror = open(move |_, _| Reply::new(status).body(body));
        let origin = open(|_, _| Reply::new(404));
        let mut endpoints = Endpoints::default();
        endpoints.skip_default_registry_fallback = !fallback;
        let map = format!("{}={}/m", origin.address, mirror.address);
        endpoints.add_map(&map).unwrap();
        let client = client(&net, extra, endpoints);
        let image = origin.image("a:1");
        let platform = "linux/amd64".parse().unwrap();
        let pull = client.image(&image, &platform);
        assert!(net.block_on(pull).is_err());
        let asked = [
            count(&mirror, "GET /v2/m/a/manifests/1"),
            count(&origin, "GET /v2/a/manifests/1"),
        ];
        assert_eq!(asked, tries, "{status} {body} {fallback} {extra}");
    }
}
