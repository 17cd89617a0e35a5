//! How registries are reached: proxies, versions of HTTP, certificates, mirrors, tokens, and what is said to whom.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::{Image, Internet, Registry, Reply, Sandbox, Web, base, token, tool};

/// A context with one file that becomes one layer.
fn small(t: &Sandbox, from: &str) {
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!("FROM {from}\nCOPY f /f\n"));
}

/// An HTTP proxy; connects whatever host it is asked for to one address.
struct Proxy {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (target, record) = (target.clone(), Arc::clone(&record));
                std::thread::spawn(move || drop(serve(client.unwrap(), &target, &record)));
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the first lines of what was asked.
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, target: &str, record: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    record.lock().unwrap().push(line.clone());
    let mut server = TcpStream::connect(target)?;
    if line.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    } else {
        // from `GET http://host/path` to `GET /path`, on a connection of its own
        let (method, rest) = line.split_once(" http://").unwrap_or_default();
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let rest = text.split_once("\r\n").map_or("", |(_, rest)| rest);
        let head = format!("{method} {path}\r\nConnection: close\r\n{rest}");
        server.write_all(head.as_bytes())?;
    }
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ended = std::io::copy(&mut up, &mut down);
        let _gone = down.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

#[test]
fn a_proxy_leads_to_registries_unless_they_are_excepted() {
    let mut t = Sandbox::new();
    t.base();
    small(&t, "registry.test/base");
    let proxy = Proxy::to(t.registry.host());
    t.env("HTTP_PROXY", proxy.url());
    t.env("NO_PROXY", "excepted.test,10.0.0.0/8");
    let flags = [
        "--insecure",
        "--insecure-pull",
        "--destination=registry.test/app",
    ];
    t.build(flags).succeeded();
    assert_eq!(Image::pull(&t.registry, &t.tag("app")).layer_count(), 2);
    let seen = proxy.seen();
    assert!(
        seen.iter()
            .all(|line| line.contains(" http://registry.test/")),
        "{seen:?}"
    );
    t.build(["--insecure", "--destination=excepted.test/app"])
        .failed(1, "error checking push permissions");
    assert!(
        !proxy
            .seen()
            .iter()
            .any(|line| line.contains("excepted.test"))
    );
}

#[test]
fn a_proxy_only_passes_on_what_is_encrypted() {
    let mut t = Sandbox::with(Registry::tls());
    t.base();
    small(&t, "localhost.test:5000/base");
    let proxy = Proxy::to(t.registry.host());
    t.env("https_proxy", proxy.url());
    let config = t
        .registry
        .docker_config()
        .replace(&t.registry.host(), "localhost.test:5000");
    t.env("DOCKER_AUTH_CONFIG", config);
    t.build([
        "--skip-tls-verify-registry=localhost.test:5000",
        "--destination=localhost.test:5000/app",
    ])
    .succeeded();
    assert_eq!(Image::pull(&t.registry, &t.tag("app")).layer_count(), 2);
    let seen = proxy.seen();
    assert!(
        seen.iter()
            .all(|line| line.starts_with("CONNECT localhost.test:5000 ")),
        "{seen:?}"
    );
}

#[test]
fn http_2_is_spoken_unless_it_is_switched_off() {
    for (switch, protocol, other) in [
        ("false", "HTTP/2.0", "HTTP/1.1"),
        ("true", "HTTP/1.1", "HTTP/2.0"),
    ] {
        let mut t = Sandbox::with(Registry::tls());
        t.base();
        small(&t, &t.tag("base"));
        t.env("DOCKER_AUTH_CONFIG", t.registry.docker_config());
        t.env("FF_KANIKO_DISABLE_HTTP2", switch);
        let ca = format!(
            "--registry-certificate={}={}",
            t.registry.host(),
            t.registry.ca().display()
        );
        let layout = t.path("layout");
        t.build([
            format!("--destination={}", t.tag("app")),
            format!("--oci-layout-path={}", layout.display()),
            ca.clone(),
        ])
        .succeeded();
        t.executor(["push", layout.to_str().unwrap(), "-d", &t.tag("again"), &ca])
            .succeeded();
        let ours: Vec<String> = t
            .registry
            .access_log()
            .into_iter()
            .filter(|line| line.contains("kaniko/"))
            .collect();
        let with = |protocol: &str| ours.iter().filter(|line| line.contains(protocol)).count();
        assert!(with(protocol) >= 10 && with(other) == 0, "{ours:#?}");
        assert!(
            ours.iter()
                .any(|line| line.contains("/v2/again/manifests/"))
        );
    }
}

#[test]
fn a_registry_may_want_to_know_who_we_are() {
    let t = Sandbox::with(Registry::mutual_tls());
    small(&t, "scratch");
    let host = t.registry.host();
    let ca = format!(
        "--registry-certificate={host}={}",
        t.registry.ca().display()
    );
    let destination = format!("--destination={}", t.tag("app"));
    t.build([&destination, &ca])
        .failed(1, "error checking push permissions");
    let (certificate, key) = t.registry.client_certificate();
    let identity = format!(
        "--registry-client-cert={host}={},{}",
        certificate.display(),
        key.display()
    );
    t.build([&destination, &ca, &identity]).succeeded();
    assert_eq!(t.registry.tags("app"), ["latest"]);
    // another registry's certificate does not help
    let elsewhere = identity.replace(&host, "example.com");
    t.build([&destination, &ca, &elsewhere])
        .failed(1, "error checking push permissions");
}

#[test]
fn storage_elsewhere_sees_no_credentials() {
    let t = Sandbox::new();
    let base = t.base();
    let upstream = t.registry.host();
    let storage = {
        let upstream = upstream.clone();
        Web::new(move |request| fetch(&upstream, &request.target))
    };
    let elsewhere = storage.url("");
    let front = Web::new(move |request| {
        if !request.headers.contains_key("authorization") {
            return Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\"");
        }
        match request.target.contains("/blobs/") {
            true => Reply::new(307).header("Location", format!("{elsewhere}{}", request.target)),
            false => fetch(&upstream, &request.target),
        }
    });
    let host = front.url("").replace("http://", "");
    small(&t, &base.replace(&t.registry.host(), &host));
    fs_err::create_dir(t.path("home/.docker")).unwrap();
    let login = format!(r#"{{"auths":{{"{host}":{{"username":"u","password":"hidden"}}}}}}"#);
    fs_err::write(t.path("home/.docker/config.json"), login).unwrap();
    let finished = t.build(["--no-push", "--verbosity=trace"]).succeeded();
    assert!(!storage.seen().is_empty());
    for request in storage.seen() {
        assert_eq!(
            request.headers.get("authorization"),
            None,
            "{}",
            request.target
        );
        assert!(!format!("{request:?}").contains("hidden"));
    }
    assert!(!finished.stderr.contains("hidden") && !finished.stderr.contains("dTpoaWRkZW4"));
}

/// Passes a request on by GET.
fn fetch(upstream: &str, target: &str) -> Reply {
    let mut server = TcpStream::connect(upstream).unwrap();
    let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    write!(
        server,
        "GET {target} HTTP/1.0\r\nHost: {upstream}\r\nAccept: {accept}\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply {
        body: answer[end + 4..].to_vec(),
        ..Reply::new(status)
    };
    for line in head.lines() {
        if let Some((name @ ("Content-Type" | "Docker-Content-Digest"), value)) =
            line.split_once(": ")
        {
            reply = reply.header(name, value);
        }
    }
    reply
}

#[test]
fn what_comes_in_the_clear_does_not_say_where_a_password_goes() {
    let mut t = Sandbox::new();
    let internet = Internet::new(|host, _| match host {
        "registry.example" => Reply::new(307).header("Location", "http://plain.example/v2/"),
        "plain.example" => {
            let challenge = "Bearer realm=\"https://thief.example/token\"";
            Reply::new(401).header("WWW-Authenticate", challenge)
        }
        _ => Reply::ok("{\"token\":\"t\"}"),
    });
    for (name, value) in internet.variables() {
        t.env(name, value);
    }
    let login = r#"{"auths":{"registry.example":{"username":"me","password":"secret"}}}"#;
    t.env("DOCKER_AUTH_CONFIG", login);
    small(&t, "registry.example/a");
    t.build(["--no-push"]).failed(1, "401");
    let hosts = internet.hosts();
    assert!(hosts.contains(&"plain.example".to_owned()), "{hosts:?}");
    assert!(!hosts.contains(&"thief.example".to_owned()), "{hosts:?}");
}

#[test]
fn a_pull_through_mirror_stands_in_for_a_registry() {
    let origin = Registry::plain();
    base::push(&origin);
    let mirror = Registry::mirror_of(&origin);
    let t = Sandbox::new();
    small(&t, "registry.test/base");
    let map = format!("--registry-map=registry.test={}", mirror.host());
    let finished = t
        .build([
            format!("--destination={}", t.tag("app")),
            map,
            "--skip-default-registry-fallback".to_owned(),
        ])
        .succeeded();
    assert_eq!(Image::pull(&t.registry, &t.tag("app")).layer_count(), 2);
    let want = format!("from mapped registry {}", mirror.host());
    assert!(finished.stderr.contains(&want), "{finished}");
}

#[test]
fn a_token_for_a_mount_covers_both_repositories() {
    let t = Sandbox::with(Registry::token_auth());
    t.base();
    small(&t, &t.tag("base"));
    fs_err::create_dir(t.path("home/.docker")).unwrap();
    fs_err::write(
        t.path("home/.docker/config.json"),
        t.registry.docker_config(),
    )
    .unwrap();
    t.build([format!("--destination={}", t.tag("app"))])
        .succeeded();
    assert_eq!(Image::pull(&t.registry, &t.tag("app")).layer_count(), 2);
    let log = t.registry.access_log();
    let mount = log
        .iter()
        .find(|line| line.contains("POST") && line.contains("from=base") && line.contains("mount="))
        .unwrap_or_else(|| panic!("no mount: {log:#?}"));
    assert!(mount.contains(" 201 "), "{mount}");
    let asked = token::asked();
    let both = |query: &String| {
        query.contains("repository%3Aapp%3Apull%2Cpush")
            && query.contains("repository%3Abase%3Apull")
    };
    assert!(asked.iter().any(both), "{asked:#?}");
}

#[test]
fn registries_are_told_who_asks() {
    let mut t = Sandbox::new();
    t.base();
    small(&t, &t.tag("base"));
    t.env("UPSTREAM_CLIENT_TYPE", "ci-runner");
    t.build([format!("--destination={}", t.tag("app"))])
        .succeeded();
    let version = tool(env!("CARGO_BIN_EXE_executor"), ["version"]);
    let version = version.trim().rsplit('v').next().unwrap().to_owned();
    let want = format!("\"kaniko/{version},ci-runner\"");
    let log = t.registry.access_log();
    let ours = log.iter().filter(|line| line.contains("/v2/app/"));
    assert!(ours.clone().count() >= 3, "{log:#?}");
    for line in ours {
        assert!(line.contains(&want), "{line}");
    }
}
