//! Builds and pushes against a registry that fails, by default in every request with the same probability.
//!
//! The whole series run with `EXECUTOR_FAULT_RUN=whole` in the environment; without it a sample of each.

use std::sync::Mutex;

use crate::support::faulty::Faulty;
use crate::support::{Image, Sandbox};

/// Builds at the same time; most of what they do is to wait.
const CONCURRENT: u64 = 4;

/// Returns how many builds make up a series.
fn builds(whole: u64, sample: u64) -> u64 {
    match std::env::var("EXECUTOR_FAULT_RUN").as_deref() {
        Ok("whole") => whole,
        _ => sample,
    }
}

/// Builds an image of three layers on a base again and again while `percent` of the requests fail, checks every image that was
/// pushed, and returns the average number of requests.
fn series(percent: u8, builds: u64) -> f64 {
    let requests = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..CONCURRENT {
            let requests = &requests;
            scope.spawn(move || {
                let t = Sandbox::new();
                t.base();
                for number in (worker..builds).step_by(CONCURRENT as usize) {
                    let count = build(&t, percent, number);
                    requests.lock().unwrap().push(count);
                }
            });
        }
    });
    let requests = requests.into_inner().unwrap();
    assert_eq!(requests.len() as u64, builds);
    let most = requests.iter().max().copied().unwrap_or(0);
    let average = requests.iter().sum::<usize>() as f64 / builds as f64;
    println!(
        "{percent} % faults: {builds} builds, {average:.1} requests on average, {most} at most"
    );
    average
}

/// Builds, pushes and verifies one image; returns the number of requests.
fn build(t: &Sandbox, percent: u8, number: u64) -> usize {
    let faulty = Faulty::new(&t.registry, percent, 1000 * u64::from(percent) + number);
    t.file("a", 0o644, format!("a {number}\n"));
    t.file("b", 0o644, format!("b {number}\n"));
    t.dockerfile(&format!(
        "FROM {}/base:latest\nCOPY a /a\nCOPY b /b\nWORKDIR /work\nCMD [\"/bin/sh\"]\n",
        faulty.host()
    ));
    let name = format!("app-{number}:1");
    let destination = format!("--destination={}/{name}", faulty.host());
    let finished = t.build([destination]).succeeded();
    let image = Image::pull(&t.registry, &t.tag(&name));
    assert_eq!(image.layer_count(), 4, "{finished}");
    for index in 0..4 {
        image.layer(index); // checks the hash of its tar
    }
    assert_eq!(
        image.layer(1),
        "f 0644 0:0 4 a\n".replace("4 a", &format!("{} a", format!("a {number}\n").len()))
    );
    faulty.requests().len()
}

#[test]
fn builds_survive_one_failure_in_five_requests() {
    let average = series(20, builds(200, 20));
    assert!(average <= 45.0, "{average:.1} requests a build");
}

#[test]
fn builds_survive_two_failures_in_five_requests() {
    series(40, builds(40, 4));
}

#[test]
fn a_registry_that_works_is_asked_no_more_than_needed() {
    let average = series(0, 2);
    assert!(average <= 16.0, "{average:.1} requests a build");
}
