//! Without shortcuts a build asks for one thing after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::faulty::Faulty;
use crate::support::{Reply, Sandbox, Web};

fn plodding() -> Sandbox {
    let mut t = Sandbox::new();
    t.env("EXECUTOR_SHORTCUTS", "false");
    t
}

#[test]
fn a_layer_is_fetched_when_the_one_before_it_is_unpacked() {
    let t = plodding();
    t.file("a", 0o644, "a\n");
    t.file("b", 0o644, "b\n");
    t.dockerfile("FROM scratch\nCOPY a /a\nCOPY b /b\n");
    let image = t.build_and_pull::<&str>("two", []);
    let layers = image.manifest["layers"].as_array().unwrap();
    let [first, second] = [0, 1].map(|n| layers[n]["digest"].as_str().unwrap());
    fs_err::remove_file(t.registry.blob(first)).unwrap();
    let registry = Faulty::new(&t.registry, 0, 0);
    t.dockerfile(&format!("FROM {}/two\nCOPY a /c\n", registry.host()));
    t.build(["--no-push", "--insecure-pull"]).failed(1, first);
    let asked = |digest: &str| {
        let requests = registry.requests().into_iter();
        requests.filter(|line| line.ends_with(digest)).count()
    };
    assert!(asked(first) > 0);
    assert_eq!(asked(second), 0, "{:?}", registry.requests());
}

#[test]
fn cached_layers_are_looked_up_one_by_one() {
    let t = plodding();
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let web = Web::new(move |request| {
        if !request.target.contains("/manifests/") {
            return Reply::ok("");
        }
        counted.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // as long as it would take others to come
        std::thread::sleep(Duration::from_millis(100));
        now.fetch_sub(1, Ordering::SeqCst);
        Reply::new(404)
    });
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /1\nCOPY f /2\nCOPY f /3\n");
    let repository = web.url("/cache").replace("http://", "--cache-repo=");
    t.build([
        "--no-push",
        "--cache",
        "--cache-copy-layers",
        "--no-push-cache",
        "--insecure",
        &repository,
    ])
    .succeeded();
    let asked = web.seen().into_iter();
    let asked = asked.filter(|request| request.target.contains("/manifests/"));
    assert!(asked.count() >= 3);
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
