//! A cached layer is the layer: with a cache, empty or filled, the same cases give the same digests.
//!
//! A sample is built by default, every case with `CONFORMANCE_CACHE=all`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::build::Place;
use super::case::{self, Case};
use super::check_end;
use crate::support::requires;

/// One case of so many is in the sample.
const SAMPLE: usize = 9;

/// Builds at a time.
const WORKERS: usize = 2;

#[test]
fn the_cache_changes_nothing() {
    requires!(root);
    let mut cases = case::all();
    cases.retain(|case| case.expected.error.is_none() && case.is_reproducible());
    if std::env::var_os("CONFORMANCE_CACHE").is_none_or(|which| which != "all") {
        let mut index = 0;
        cases.retain(|_| {
            index += 1;
            index % SAMPLE == 1
        });
    }
    let place = Place::new(&mut cases);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let complaints = check(case, &place);
                    if !complaints.is_empty() {
                        let text = format!("{}\n{}", case.name, complaints.join("\n"));
                        wrong.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

/// Builds without a cache, into one, and from it.
fn check(case: &Case, place: &Place) -> Vec<String> {
    let cache = place.path("cache").join(&case.name);
    let more = [
        "--cache=true".to_owned(),
        "--cache-copy-layers=true".to_owned(),
        format!("--cache-repo=oci:{}", cache.display()),
    ];
    let want = place.on_the_host_into("uncached", case, &[]);
    let mut complaints = check_end(case, "namespaces", &want);
    for round in ["filling", "filled"] {
        let got = place.on_the_host_into(round, case, &more);
        complaints.extend(check_end(case, "namespaces", &got));
        if got.digest != want.digest {
            complaints.push(format!("{round}: another digest\n{}", got.log));
        }
    }
    complaints
}
