//! Layers get to the registry while later steps are still at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::faulty::Faulty;
use crate::support::{Image, Reply, Sandbox, Web};

/// A registry that tells what it was asked.
fn watched(t: &Sandbox) -> Arc<Faulty> {
    Arc::new(Faulty::new(&t.registry, 0, 0))
}

/// Returns the requests that end an upload into a repository.
fn uploads(registry: &Faulty, repository: &str) -> Vec<String> {
    let prefix = format!("PUT /v2/{repository}/blobs/uploads/");
    let requests = registry.requests().into_iter();
    requests.filter(|line| line.starts_with(&prefix)).collect()
}

/// A file in the web that is not answered before something has been uploaded to the repository `app`.
fn patient(registry: &Arc<Faulty>, status: u16) -> Web {
    let registry = Arc::clone(registry);
    Web::new(move |_| {
        let deadline = Instant::now() + Duration::from_secs(600);
        while uploads(&registry, "app").is_empty() {
            if Instant::now() > deadline {
                return Reply::new(404); // nothing came: the build fails
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        match status {
            200 => Reply::ok("late"),
            status => Reply::new(status),
        }
    })
}

/// A sandbox whose builds take all shortcuts, whatever the tests are told.
fn eager() -> Sandbox {
    let mut t = Sandbox::new();
    t.env("EXECUTOR_SHORTCUTS", "true");
    t
}

#[test]
fn without_shortcuts_nothing_is_uploaded_before_all_is_made() {
    let mut t = Sandbox::new();
    t.env("EXECUTOR_SHORTCUTS", "false");
    let registry = watched(&t);
    let early = Arc::new(AtomicUsize::new(usize::MAX));
    let (watching, counted) = (Arc::clone(&registry), Arc::clone(&early));
    let web = Web::new(move |_| {
        // as long as an upload would take
        std::thread::sleep(Duration::from_millis(500));
        counted.store(uploads(&watching, "app").len(), Ordering::Relaxed);
        Reply::ok("late")
    });
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM scratch\nCOPY f /f\nADD {} /late\n",
        web.url("/late")
    ));
    t.build([format!("--destination={}/app", registry.host())])
        .succeeded();
    assert_eq!(early.load(Ordering::Relaxed), 0);
    assert_eq!(uploads(&registry, "app").len(), 3);
}

#[test]
fn a_layer_is_uploaded_before_the_next_step_ends() {
    let t = eager();
    let registry = watched(&t);
    let web = patient(&registry, 200);
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM scratch\nCOPY f /f\nADD {} /late\n",
        web.url("/late")
    ));
    t.build([format!("--destination={}/app", registry.host())])
        .succeeded();
    let image = Image::pull(&t.registry, &t.tag("app"));
    assert_eq!(image.layer(1).split(' ').next_back(), Some("late\n"));
    assert_eq!(
        uploads(&registry, "app").len(),
        3,
        "two layers and a config, each once"
    );
}

#[test]
fn a_build_that_fails_later_leaves_no_tag() {
    let t = eager();
    let registry = watched(&t);
    let web = patient(&registry, 403);
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM scratch\nCOPY f /f\nADD {} /late\n",
        web.url("/late")
    ));
    t.build([format!("--destination={}/app", registry.host())])
        .failed(1, "403");
    assert_eq!(uploads(&registry, "app").len(), 1);
    assert_eq!(t.registry.tags("app"), [""; 0]);
    assert_eq!(t.kaniko_dir(), "");
}

#[test]
fn repositories_of_one_registry_get_a_layer_once() {
    let t = eager();
    let registry = watched(&t);
    t.base();
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!("FROM {}/base\nCOPY f /f\n", registry.host()));
    let destination = |name: &str| format!("--destination={}/{name}", registry.host());
    t.build([
        destination("app:1"),
        destination("other:1"),
        destination("other:2"),
    ])
    .succeeded();
    for tag in ["app:1", "other:1", "other:2"] {
        assert_eq!(Image::pull(&t.registry, &t.tag(tag)).layer_count(), 2);
    }
    assert_eq!(uploads(&registry, "app").len(), 2, "a layer and a config");
    assert_eq!(uploads(&registry, "other").len(), 0, "all is mounted");
}

#[test]
fn what_the_cache_gets_is_mounted_from_there() {
    let t = eager();
    let registry = watched(&t);
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let host = registry.host();
    t.build([
        format!("--destination={host}/app"),
        "--cache=true".to_owned(),
        "--cache-copy-layers".to_owned(),
        format!("--cache-repo={host}/cache"),
    ])
    .succeeded();
    assert_eq!(uploads(&registry, "cache").len(), 2, "a layer and a config");
    assert_eq!(uploads(&registry, "app").len(), 1, "a config");
    assert_eq!(Image::pull(&t.registry, &t.tag("app")).layer_count(), 1);
}

#[test]
fn nothing_is_uploaded_that_is_not_pushed() {
    let t = eager();
    let registry = watched(&t);
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    t.build([
        "--no-push".to_owned(),
        format!("--destination={}/app", registry.host()),
    ])
    .succeeded();
    assert_eq!(registry.requests(), [""; 0]);
}
