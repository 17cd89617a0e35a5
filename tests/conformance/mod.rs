//! Every Dockerfile means what it means in BuildKit: the cases of `testdata/conformance`, built with `namespaces` on this machine
//! and `in-place` in a container, with one result.
//!
//! `CONFORMANCE=text cargo test conformance` takes the cases whose names contain the text.

mod bases;
mod build;
mod buildah;
mod cached;
mod case;
mod files;
mod moments;
mod outputs;
mod rules;
mod servers;
mod tree;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{container, requires};
use build::{Outcome, Place};
use case::Case;

/// Builds at a time.
const WORKERS: usize = 3;

#[test]
fn cases() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let mut cases = case::all();
    let place = Place::new(&mut cases);
    let wrong = Mutex::new(Vec::new());
    let (first, second): (Vec<&Case>, Vec<&Case>) = {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (index, case) in cases.iter().enumerate() {
            if index % 2 == 0 {
                first.push(case)
            } else {
                second.push(case)
            }
        }
        (first, second)
    };
    let next = AtomicUsize::new(0);
    let digests: Mutex<Vec<(String, String)>> = Mutex::default();
    let report = |case: &Case, isolation: &str, outcome: &Outcome| {
        let mut complaints = check_end(case, isolation, outcome);
        if complaints.is_empty() && case.failure(isolation).is_none() {
            if isolation == "namespaces" {
                complaints = check_image(case, &place);
            }
            complaints.extend(outputs::check(case, &place.out(case, isolation)));
            complaints.extend(moments::check(
                case,
                &place.out(case, isolation).join("layout"),
            ));
        }
        if !complaints.is_empty() {
            let text = format!("{} ({isolation})\n{}", case.name, complaints.join("\n"));
            wrong.lock().unwrap().push(text);
        } else if case.failure("in-place").is_none()
            && case.is_reproducible()
            && !case.expected.in_place_differs
        {
            digests
                .lock()
                .unwrap()
                .push((case.name.clone(), outcome.digest.clone()));
        }
    };
    std::thread::scope(|scope| {
        for part in [&first, &second] {
            let (place, report) = (&place, &report);
            scope.spawn(move || {
                for (case, outcome) in place.in_a_container(part) {
                    report(case, "in-place", &outcome);
                }
            });
        }
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = place.on_the_host(case);
                    report(case, "namespaces", &outcome);
                    // Hundreds of copies of the base's layers would be many.
                    let _ = fs_err::remove_dir_all(place.out(case, "namespaces").join("layout"));
                }
            });
        }
    });
    let mut digests = digests.into_inner().unwrap();
    digests.sort();
    digests.dedup();
    let differ = digests.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let mut wrong = wrong.into_inner().unwrap();
    wrong.extend(differ.map(|pair| format!("{}: the digests differ", pair[0].0)));
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

/// Compares how a build ended.
fn check_end(case: &Case, isolation: &str, outcome: &Outcome) -> Vec<String> {
    let failure = case.failure(isolation);
    let status = failure.map_or(0, |_| case.expected.exit_status);
    let mut complaints = Vec::new();
    if outcome.status != status {
        complaints.push(format!("exit status {}, not {status}", outcome.status));
    }
    for text in failure.unwrap_or(&case.expected.log) {
        if !outcome.log.contains(text) {
            complaints.push(format!("the log has no `{text}`"));
        }
    }
    if !complaints.is_empty() {
        complaints.push(outcome.log.clone());
    }
    complaints
}

/// Compares the image with what is expected.
fn check_image(case: &Case, place: &Place) -> Vec<String> {
    let layout = place.out(case, "namespaces").join("layout");
    let expected = &case.expected;
    let is_timed = expected.moments.is_none();
    let image = tree::read(&layout, &place.known, is_timed.then_some(tree::CREATED));
    let got = timed_as(&image.tree, &expected.tree);
    let (wanted, got) = without_hidden(&expected.tree, got);
    let mut complaints = compare("tree", &wanted, &got);
    complaints.extend(compare("config", &expected.config, &image.config));
    if let Some(history) = &expected.history {
        complaints.extend(compare("history", history, &image.history));
    }
    complaints
}

/// Leaves out what is below a directory that is expected as `... /dir/`.
fn without_hidden(expected: &[String], got: Vec<String>) -> (Vec<String>, Vec<String>) {
    let hidden = expected.iter().filter_map(|line| line.strip_prefix("... "));
    let hidden: Vec<String> = hidden.map(|dir| format!(" {dir}")).collect();
    let is_shown = |line: &String| !hidden.iter().any(|dir| line.contains(dir));
    let expected = expected.iter().filter(|line| !line.starts_with("... "));
    (
        expected.cloned().collect(),
        got.into_iter().filter(is_shown).collect(),
    )
}

/// Takes the times off the lines that are expected without.
fn timed_as(lines: &[String], expected: &[String]) -> Vec<String> {
    let adapt = |line: &String| match line.rsplit_once(" @") {
        Some((rest, _))
            if !expected.contains(line) && !expected.iter().any(|e| is_timed(e, rest)) =>
        {
            rest.to_owned()
        }
        _ => line.clone(),
    };
    lines.iter().map(adapt).collect()
}

fn is_timed(line: &str, rest: &str) -> bool {
    line.strip_prefix(rest)
        .is_some_and(|time| time.starts_with(" @"))
}

/// Tells every line that is missing or too much; the order counts in a history only.
fn compare(what: &str, expected: &[String], got: &[String]) -> Vec<String> {
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        if what != "history" {
            lines.sort();
        }
        lines
    };
    let (expected, got) = (sorted(expected), sorted(got));
    if expected == got {
        return Vec::new();
    }
    let missing = expected.iter().filter(|line| !got.contains(line));
    let missing: Vec<String> = missing.map(|line| format!("  -{line}")).collect();
    let more = got.iter().filter(|line| !expected.contains(line));
    let more: Vec<String> = more.map(|line| format!("  +{line}")).collect();
    vec![format!(
        "{what}: expected -, got +\n{}\n{}",
        missing.join("\n"),
        more.join("\n")
    )]
}
