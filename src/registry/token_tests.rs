//! Token servers: what they are asked, how often, and what becomes of the answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::testing::{Received, Reply, Scripted, client, net};
use super::*;
use crate::image::ImageRef;
use crate::net::Net;

/// Tokens by number: each request to `/token` gets a new one, and only those that `accepts` says open the registry.
fn server(
    accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
    token: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
) -> Scripted {
    let issued = AtomicUsize::new(0);
    Scripted::start(move |request, _| {
        if request.path.starts_with("/token") {
            return token(request, issued.fetch_add(1, Ordering::SeqCst));
        }
        let bearer = request.header("authorization").strip_prefix("Bearer ");
        if bearer.is_some_and(&accepts) {
            return Reply::new(404);
        }
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"s\",scope=\"repository:a:pull\"",
            request.header("host")
        );
        Reply::new(401)
            .header("WWW-Authenticate", "Basic realm=\"old\"")
            .header("WWW-Authenticate", challenge)
    })
}

fn numbered(_: &Received, number: usize) -> Reply {
    Reply::new(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#))
}

fn with_auth(net: &Net, server: &Scripted, entry: &str) -> Client {
    let config = format!(r#"{{"auths":{{"{}":{entry}}}}}"#, server.address);
    client(net, &[("DOCKER_AUTH_CONFIG", &config)])
}

fn ask(net: &Net, client: &Client, image: &ImageRef) -> Result<(), String> {
    let found = net.block_on(client.manifest_digest(image));
    found.map(|_| ()).map_err(|error| error.to_string())
}

fn tokens(server: &Scripted) -> Vec<Received> {
    let log = server.log();
    log.into_iter()
        .filter(|request| request.path.starts_with("/token"))
        .collect()
}

#[test]
fn many_requests_share_one_token() {
    let net = net();
    let server = server(|token| token == "t0", numbered);
    let client = client(&net, &[]);
    let image = server.image("a:1");
    net.block_on(async {
        let requests = (0..16).map(|_| client.manifest_digest(&image));
        for result in futures_util::future::join_all(requests).await {
            assert_eq!(result.unwrap(), None);
        }
    });
    let asked = tokens(&server);
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].line(),
        "GET /token?service=s&scope=repository%3Aa%3Apull"
    );
    assert_eq!(asked[0].header("authorization"), "");
    assert_eq!(server.lines().len(), 17, "no request was refused first");
}

#[test]
fn a_token_that_is_refused_is_renewed_once() {
    let net = net();
    let revoked = server(|token| token != "t0", numbered);
    let client = client(&net, &[]);
    let image = revoked.image("a:1");
    ask(&net, &client, &image).unwrap();
    ask(&net, &client, &image).unwrap();
    assert_eq!(tokens(&revoked).len(), 2);

    let never = server(|_| false, numbered);
    let error = ask(&net, &client, &never.image("a:1")).unwrap_err();
    assert!(error.contains("401"), "{error}");
    assert_eq!(tokens(&never).len(), 2);
}

#[test]
fn a_password_goes_to_the_token_server_and_its_refusal_is_told() {
    let net = net();
    let server = server(
        |token| token == "good",
        |request, _| match request.header("authorization") {
            "Basic dTpw" => Reply::new(200).body(r#"{"token":"good"}"#),
            _ => Reply::new(401).body(r#"{"details":"incorrect username or password"}"#),
        },
    );
    ask(
        &net,
        &with_auth(&net, &server, r#"{"auth":"dTpw"}"#),
        &server.image("a:1"),
    )
    .unwrap();
    let wrong = with_auth(&net, &server, r#"{"auth":"dTp4"}"#);
    let error = ask(&net, &wrong, &server.image("a:1")).unwrap_err();
    for part in [
        "GET http://",
        "/token?service=s&scope=repository:a:pull",
        "401",
        "incorrect username",
        "credentials: env:DOCKER_AUTH_CONFIG",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn an_identity_token_is_exchanged_by_post_and_by_get_where_that_is_unknown() {
    let net = net();
    let entry = r#"{"identitytoken":"refresh me"}"#;
    let posts = server(|token| token == "t0", numbered);
    ask(&net, &with_auth(&net, &posts, entry), &posts.image("a:1")).unwrap();
    let asked = tokens(&posts);
    assert_eq!(asked[0].line(), "POST /token");
    let form = String::from_utf8(asked[0].body.clone()).unwrap();
    let want = "grant_type=refresh_token&refresh_token=refresh+me&client_id=kaniko&scope=repository%3Aa%3Apull&service=s";
    assert_eq!(form, want);

    let gets = server(
        |token| token == "t1",
        |request, number| match request.method.as_str() {
            "POST" => Reply::new(404),
            _ => numbered(request, number),
        },
    );
    ask(&net, &with_auth(&net, &gets, entry), &gets.image("a:1")).unwrap();
    assert_eq!(tokens(&gets).len(), 2);
}

#[test]
fn a_registry_token_is_used_as_it_is() {
    let net = net();
    let server = server(|token| token == "mine", numbered);
    let client = with_auth(&net, &server, r#"{"registrytoken":"mine"}"#);
    ask(&net, &client, &server.image("a:1")).unwrap();
    assert_eq!(tokens(&server).len(), 0);
}

#[test]
fn a_mount_asks_for_both_repositories() {
    let net = net();
    let server = server(|_| true, numbered);
    let client = client(&net, &[]);
    let mut source = super::testing::source(b"x");
    source.mount_from = Some(server.image("base"));
    // it ends badly: this registry knows nothing
    let blob = super::testing::descriptor(b"x");
    net.block_on(client.push_blob(&server.image("a"), &blob, &source))
        .unwrap_err();
    let asked: Vec<_> = tokens(&server)
        .iter()
        .map(|request| request.path.clone())
        .collect();
    let want = "/token?service=s&scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Abase%3Apull";
    assert!(asked.iter().any(|path| path == want), "{asked:?}");
}

#[test]
fn a_secret_never_follows_a_redirect_of_the_token_server() {
    let net = net();
    let thief = Scripted::start(|_, _| Reply::new(200).body(r#"{"token":"t"}"#));
    let target = Arc::new(Mutex::new(format!("http://{}/", thief.address)));
    let server = server(
        |_| true,
        move |_, _| Reply::new(307).header("Location", target.lock().unwrap().clone()),
    );
    let client = with_auth(&net, &server, r#"{"identitytoken":"secret"}"#);
    let error = ask(&net, &client, &server.image("a:1")).unwrap_err();
    assert!(error.contains("307"), "{error}");
    assert_eq!(thief.log().len(), 0);
}

#[test]
fn what_one_repository_wants_is_not_asked_for_another() {
    let net = net();
    // the first token for each repository is refused, with a word on what it should allow
    let server = Scripted::start(|request, before| {
        if request.path.starts_with("/token") {
            return Reply::new(200).body(format!(r#"{{"token":"{}"}}"#, request.path));
        }
        let host = request.header("host");
        let mut challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
        if request.path != "/v2/" {
            let repository = request.path.split('/').nth(2).unwrap();
            challenge += &format!(",scope=\"repository:{repository}:pull,extra\"");
        }
        match before {
            0 => Reply::new(401).header("WWW-Authenticate", challenge),
            _ => Reply::new(404),
        }
    });
    let client = client(&net, &[]);
    for name in ["a:1", "b:1"] {
        ask(&net, &client, &server.image(name)).unwrap();
    }
    let asked: Vec<_> = tokens(&server)
        .into_iter()
        .map(|asked| asked.path)
        .collect();
    let of = |name: &str| {
        let own = format!("/token?service=s&scope=repository%3A{name}%3Apull");
        let extra = format!("{own}&scope=repository%3A{name}%3Apull%2Cextra");
        [own, extra]
    };
    assert_eq!(asked, [of("a"), of("b")].concat());
}
