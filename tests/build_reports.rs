//! `--report` and `KANIKO_TELEMETRY_ENDPOINT`: what is told about a build, and what never is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Image, Reply, Sandbox, Web, requires, tool};

/// Returns a report as JSON.
fn report(t: &Sandbox) -> Value {
    serde_json::from_slice(&fs_err::read(t.path("build.json")).unwrap()).unwrap()
}

/// Returns `--report` with a path in the sandbox.
fn to(t: &Sandbox, name: &str) -> String {
    format!("--report={}", t.path(name).display())
}

/// Returns the state of each step, stage by stage.
fn states(report: &Value) -> String {
    let stages = report["stages"].as_array().unwrap().iter();
    let stage = |stage: &Value| {
        let steps = stage["steps"].as_array().unwrap().iter();
        let steps = steps.map(|step| step["state"].as_str().unwrap().to_owned());
        format!(
            "{}: {}",
            stage["name"].as_str().unwrap(),
            steps.collect::<Vec<_>>().join(" ")
        )
    };
    stages.map(stage).collect::<Vec<_>>().join("\n")
}

const TEXT: &str = "FROM BASE AS builder\nARG TOKEN\nCOPY a /a\nRUN --mount=type=secret,id=s cat /a > /out\n\
    FROM BASE\nCOPY --from=builder /out /out\nENV A=1\n";

#[test]
fn a_report_says_what_was_done() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("a", 0o644, "a\n");
    t.dockerfile(&TEXT.replace("BASE", &base));
    let tag = t.tag("app");
    let json = to(&t, "build.json");
    let args = ["-d", &tag, "--cache", "--cache-copy-layers", &json];
    t.build(args).succeeded();
    let first = report(&t);
    let image = Image::pull(&t.registry, &tag);
    assert_eq!(
        states(&first),
        "builder: recorded executed executed\nstage-1: executed recorded"
    );
    assert_eq!(first["version"], 1);
    assert_eq!(first["error"], Value::Null);
    assert_eq!(first["image"]["digest"], image.digest.to_string());
    assert_eq!(first["image"]["pushed_to"][0], tag);
    let layer = &image.manifest["layers"][1];
    let copied = &first["stages"][1]["steps"][0];
    assert_eq!(copied["layer"]["digest"], layer["digest"]);
    assert_eq!(copied["layer"]["size_bytes"], layer["size"]);
    assert_eq!(copied["cache"]["hit"], false);
    assert_eq!(copied["line"], 6);
    let base_size = image.manifest["layers"][0]["size"].as_u64().unwrap();
    assert_eq!(
        first["stages"][1]["base_layers"][0]["size_bytes"],
        base_size
    );
    assert!(
        first["bytes"]["pulled"].as_u64().unwrap() >= base_size,
        "{first}"
    );
    assert!(first["bytes"]["pushed"].as_u64().unwrap() > 0, "{first}");
    assert!(
        first["bytes"]["skipped"].as_u64().unwrap() >= base_size,
        "{first}"
    );
    let whole = first["elapsed_ms"].as_u64().unwrap();
    for stage in first["stages"].as_array().unwrap() {
        let mut end = 0;
        for step in stage["steps"].as_array().unwrap() {
            let begin = step["interval"]["begin_ms"].as_u64().unwrap();
            assert!(begin >= end, "{first}");
            end = begin + step["interval"]["elapsed_ms"].as_u64().unwrap();
            assert!(end <= whole, "{first}");
        }
    }
    let finished = t.build(args).succeeded();
    let second = report(&t);
    assert_eq!(
        states(&second),
        "builder: pending pending pending\nstage-1: cached recorded"
    );
    assert_eq!(second["bytes"]["pulled"], 0);
    assert!(
        finished
            .stderr
            .contains("[stage-1 1/2] COPY --from=builder /out /out: cached, "),
        "{finished}"
    );
    assert!(
        finished.stderr.contains("0 steps executed, 1 cached"),
        "{finished}"
    );
}

#[test]
fn a_report_says_why_a_build_failed() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!("FROM {base}\nENV A=1\nRUN exit 3\nRUN true\n"));
    let (json, html) = (to(&t, "build.json"), to(&t, "build.html"));
    t.build(["--no-push", &json, &html])
        .failed(3, "exit code: 3");
    let failed = report(&t);
    assert_eq!(states(&failed), "stage-0: recorded failed pending");
    assert!(failed["error"].as_str().unwrap().contains("exit code: 3"));
    assert_eq!(failed["image"], Value::Null);
    let page = fs_err::read_to_string(t.path("build.html")).unwrap();
    assert!(page.contains("exit code: 3"), "{page}");
    t.dockerfile(&format!("FROM {base}\nRUN sleep 3600\n"));
    t.build(["--no-push", &json, "--timeout=3s"])
        .failed(1, "stopped after the 3s");
    assert!(
        report(&t)["error"]
            .as_str()
            .unwrap()
            .contains("stopped after the 3s")
    );
}

#[test]
fn reports_that_cannot_be() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nENV A=1\n");
    t.build(["--no-push", "--report=build.txt"]).failed(
        1,
        "invalid argument \"build.txt\" for \"--report\" flag: it must end in .json or .html",
    );
    t.build(["--no-push", "--report=/no/such/directory/build.json"])
        .failed(1, "error writing report: ");
}

#[test]
fn a_browser_shows_the_page() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("a", 0o644, "a\n");
    t.dockerfile(&TEXT.replace("BASE", &base));
    t.build(["--no-push", &to(&t, "build.html")]).succeeded();
    let url = format!("file://{}", t.path("build.html").display());
    let profile = format!("--user-data-dir={}", t.path("profile").display());
    let browser = |what: &str| {
        tool(
            "chromium",
            [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-extensions",
                &profile,
                "--window-size=1000,1400",
                what,
                &url,
            ],
        )
    };
    let page = browser("--dump-dom");
    for part in [
        "Build <span class=\"succeeded\">",
        "COPY --from=builder /out /out",
        "base unpacked",
        "class=\"bar executed\"",
        "class=\"bar unpack\"",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let picture = t.path("page.png");
    browser(&format!("--screenshot={}", picture.display()));
    let picture = fs_err::read(picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG"), "the page was drawn");
}

/// What a collector got, as the names of spans by their ids, and the whole text.
fn collected(web: &Web) -> (BTreeMap<String, Value>, String) {
    let seen = web.seen();
    assert_eq!(seen.len(), 1, "one request");
    assert_eq!((&*seen[0].method, &*seen[0].target), ("POST", "/v1/traces"));
    assert_eq!(seen[0].headers["content-type"], "application/json");
    let text = String::from_utf8(seen[0].body.clone()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
    let spans = spans.as_array().unwrap().iter();
    let by_id = spans.map(|span| (span["spanId"].as_str().unwrap().to_owned(), span.clone()));
    (by_id.collect(), text)
}

#[test]
fn a_collector_gets_the_trace_and_no_secret() {
    requires!(root);
    let mut t = Sandbox::new();
    let web = Web::with("{}");
    let endpoint = web.url("").replace("http://", "http://me:endpoint-pass@");
    t.env("KANIKO_TELEMETRY_ENDPOINT", endpoint);
    t.env("SECRET_VALUE", "secret-of-the-build");
    t.env("GIT_TOKEN", "token-of-git");
    t.env(
        "DOCKER_AUTH_CONFIG",
        r#"{"auths":{"example.invalid":{"username":"u","password":"auth-pass"}}}"#,
    );
    let base = t.base();
    t.file("a", 0o644, "content-of-a-file\n");
    t.dockerfile(&TEXT.replace("BASE", &base));
    let tag = t.tag("app");
    let (json, html) = (to(&t, "build.json"), to(&t, "build.html"));
    t.build([
        "-d",
        &tag,
        "--secret=id=s,type=env,env=SECRET_VALUE",
        "--build-arg=TOKEN=value-of-the-arg",
        &json,
        &html,
    ])
    .succeeded();
    let (spans, trace) = collected(&web);
    let roots: Vec<&Value> = spans
        .values()
        .filter(|span| span["parentSpanId"] == "")
        .collect();
    assert_eq!(roots.len(), 1);
    assert_eq!(roots[0]["name"], "build");
    let number = |value: &Value| value.as_str().unwrap().parse::<u128>().unwrap();
    for span in spans.values().filter(|span| span["parentSpanId"] != "") {
        let parent = &spans[span["parentSpanId"].as_str().unwrap()];
        assert!(
            number(&span["startTimeUnixNano"]) >= number(&parent["startTimeUnixNano"]),
            "{trace}"
        );
        assert!(
            number(&span["endTimeUnixNano"]) <= number(&parent["endTimeUnixNano"]),
            "{trace}"
        );
    }
    let commands = spans.values().filter(|span| span["name"] == "Command");
    assert_eq!(commands.count(), 5);
    assert!(trace.contains("COPY --from=builder /out /out"));
    let files =
        ["build.json", "build.html"].map(|name| fs_err::read_to_string(t.path(name)).unwrap());
    for text in files.iter().chain([&trace]) {
        for secret in [
            "endpoint-pass",
            "secret-of-the-build",
            "token-of-git",
            "auth-pass",
            "value-of-the-arg",
            "content-of-a-file",
        ] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
    }
}

#[test]
fn a_trace_says_and_shows_what_the_environment_wants() {
    let mut t = Sandbox::new();
    let web = Web::with("{}");
    t.env("KANIKO_TELEMETRY_ENDPOINT", web.url(""));
    t.env(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "x-team=a%20b,authorization=Bearer sesame,none of it=x",
    );
    t.env(
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=other,deployment.environment=ci",
    );
    t.env("OTEL_SERVICE_NAME", "images");
    t.env("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10");
    t.dockerfile("FROM scratch\nENV NAME=a-long-value\n");
    let finished = t.build(["--no-push", "--verbosity=debug"]).succeeded();
    assert!(!finished.stderr.contains("sesame"), "{finished}");
    assert!(
        finished.stderr.contains("OTEL_EXPORTER_OTLP_HEADERS"),
        "{finished}"
    );
    let (_, trace) = collected(&web);
    let headers = &web.seen()[0].headers;
    assert_eq!(
        (&*headers["x-team"], &*headers["authorization"]),
        ("a b", "Bearer sesame")
    );
    let body: Value = serde_json::from_str(&trace).unwrap();
    let attributes = body["resourceSpans"][0]["resource"]["attributes"]
        .as_array()
        .unwrap();
    let attributes: Vec<String> = attributes
        .iter()
        .map(|pair| format!("{}={}", pair["key"], pair["value"]["stringValue"]).replace('"', ""))
        .collect();
    assert_eq!(
        attributes.join(" "),
        format!(
            "deployment.environment=ci service.name=images service.version={}",
            env!("CARGO_PKG_VERSION")
        )
    );
    assert!(trace.contains("\"ENV NAME=a\""), "{trace}");
}

#[test]
fn the_dockerfile_stays_out_of_the_trace_on_request() {
    let mut t = Sandbox::new();
    let web = Web::with("{}");
    t.env("KANIKO_TELEMETRY_ENDPOINT", web.url("/"));
    t.env("KANIKO_TELEMETRY_OMIT_DOCKERFILE", "true");
    t.dockerfile("FROM scratch AS stage-of-mine\nENV NAME-OF-MINE=1\nCOPY nosuch-of-mine /\n");
    t.build(["--no-push"]).failed(1, "nosuch-of-mine");
    let (spans, trace) = collected(&web);
    assert!(
        !trace.contains("of-mine") && !trace.contains("OF-MINE"),
        "{trace}"
    );
    let root = spans.values().find(|span| span["name"] == "build").unwrap();
    assert_eq!(root["status"]["code"], 2);
    t.build(["--no-push", "--dryrun"]).succeeded();
    assert_eq!(web.seen().len(), 1, "a dry run sends nothing");
}

#[test]
fn headers_for_a_collector_reach_nobody_else() {
    let mut t = Sandbox::new();
    let other = Web::with("{}");
    let elsewhere = other.url("/v1/traces");
    let web = Web::new(move |_| Reply::new(307).header("Location", elsewhere.clone()));
    t.env("KANIKO_TELEMETRY_ENDPOINT", web.url(""));
    t.env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=sesame");
    t.dockerfile("FROM scratch\nENV A=1\n");
    let finished = t.build(["--no-push"]).succeeded();
    assert!(finished.stderr.contains("answered 307"), "{finished}");
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn a_build_does_not_depend_on_the_collector() {
    let mut t = Sandbox::new();
    t.dockerfile("FROM scratch\nENV A=1\n");
    let web = Web::new(|_| Reply::new(503));
    t.env("KANIKO_TELEMETRY_ENDPOINT", web.url("/own/path?key=secret"));
    let finished = t.build(["--no-push"]).succeeded();
    assert!(
        finished
            .stderr
            .contains("cannot send the trace: POST http://127.0.0.1"),
        "{finished}"
    );
    assert!(!finished.stderr.contains("secret"), "{finished}");
    assert_eq!(web.seen()[0].target, "/own/path?key=secret");
    t.env("KANIKO_TELEMETRY_ENDPOINT", "http://127.0.0.1:1");
    let finished = t.build(["--no-push"]).succeeded();
    assert!(
        finished.stderr.contains("cannot send the trace"),
        "{finished}"
    );
    t.env("KANIKO_TELEMETRY_ENDPOINT", "collector:4318");
    let finished = t.build(["--no-push"]).succeeded();
    assert!(
        finished
            .stderr
            .contains("KANIKO_TELEMETRY_ENDPOINT is not heeded"),
        "{finished}"
    );
}
