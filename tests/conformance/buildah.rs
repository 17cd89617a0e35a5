//! The same cases built by Buildah (Debian's package), which does not share a line with BuildKit or with us.
//!
//! Files and config are compared with what the case expects. Where Buildah differs, the file `buildah` in the case's folder says why,
//! and below an empty line how: `-` what the specification wants, `+` what Buildah makes, or `cannot build`. A seeded sample is compared by
//! default, everything with `CONFORMANCE_BUILDAH=all`; `UPDATE_EXPECT=1` rewrites the differences but not the reasons.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::build::{EPOCH, Place};
use super::case::{self, Case};
use super::tree::Files;
use super::{compare, timed_as, without_hidden};
use crate::support::requires;

/// One case of so many is in the sample.
const SAMPLE: usize = 9;

/// Builds at a time.
const WORKERS: usize = 2;

/// What it makes in an image to mount something over it, and leaves there.
const STUBS: [&str; 7] = [
    "d 0755 0:0 /dev",
    "d 0755 0:0 /proc",
    "d 0755 0:0 /run",
    "d 0755 0:0 /sys",
    "f 0755 0:0 /etc/hostname \"\"",
    "f 0755 0:0 /etc/hosts \"\"",
    "f 0755 0:0 /etc/resolv.conf \"\"",
];

/// Tells whether a line of a config says nothing: empty fields, and those of Docker's format that describe a container.
fn is_of_no_account(line: &str) -> bool {
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    let of_a_container = "unknown AttachStderr AttachStdin AttachStdout Domainname Hostname Image OpenStdin StdinOnce Tty ArgsEscaped";
    of_a_container.split(' ').any(|known| known == key) || matches!(value, "" | "[]" | "null")
}

#[test]
fn buildah_agrees() {
    let version = Command::new("buildah").arg("--version").output();
    requires!(version.is_ok(), "needs Debian's package buildah");
    requires!(root);
    let mut cases = case::all();
    cases.retain(|case| case.expected.error.is_none() && !case.is_only_ours());
    if std::env::var_os("CONFORMANCE_BUILDAH").is_none_or(|which| which != "all")
        && cases.len() > SAMPLE
    {
        let mut index = 0;
        cases.retain(|_| {
            index += 1;
            index % SAMPLE == 0
        });
    }
    let place = Place::new(&mut cases);
    let registries = format!(
        "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"permissive\"\n[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}\"\ninsecure = true\n",
        place.registry.host()
    );
    fs_err::write(place.path("registries.conf"), registries).unwrap();
    fs_err::write(
        place.path("policy.json"),
        r#"{"default":[{"type":"insecureAcceptAnything"}]}"#,
    )
    .unwrap();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (place, cases, next, wrong) = (&place, &cases, &next, &wrong);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let differences = differences(case, place, worker);
                    wrong.lock().unwrap().extend(check(case, &differences));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

/// Compares differences with those that are explained.
fn check(case: &Case, differences: &str) -> Option<String> {
    let file = case.folder.join("buildah");
    let explained = fs_err::read_to_string(&file).unwrap_or_default();
    let (reason, known) = explained
        .split_once("\n\n")
        .unwrap_or((explained.trim_end(), ""));
    if known.trim_end() == differences.trim_end() && (differences.is_empty() || !reason.is_empty())
    {
        return None;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        match differences.is_empty() {
            true => fs_err::remove_file(file).unwrap(),
            false => fs_err::write(file, format!("{reason}\n\n{differences}\n")).unwrap(),
        }
        return None;
    }
    Some(format!(
        "{}: explained\n{known}\nfound\n{differences}",
        case.name
    ))
}

/// Builds a case with Buildah; returns how it differs from what is expected.
fn differences(case: &Case, place: &Place, worker: usize) -> String {
    let out = place.out(case, "buildah");
    let Err(log) = build(case, place, worker, &out) else {
        let manifest = fs_err::read(out.join("manifest.json")).unwrap();
        let files = Files::read(&out, &manifest, &place.known);
        let expected = &case.expected;
        // It gives all files one time.
        let plain = |lines: &[String]| -> Vec<String> {
            let times = |line: &String| line.rsplit_once(" @").map(|(rest, _)| rest.to_owned());
            lines
                .iter()
                .map(|line| times(line).unwrap_or_else(|| line.clone()))
                .collect()
        };
        let wanted = plain(&expected.tree);
        let (wanted, mut got) = without_hidden(&wanted, timed_as(&files.tree(), &wanted));
        got.retain(|line| !STUBS.contains(&line.as_str()) || wanted.contains(line));
        let mut lines = compare("tree", &wanted, &got);
        let mut wanted = expected.config.clone();
        // It never says that arguments are escaped, which only ever mattered on Windows.
        wanted.retain(|line| line != "ArgsEscaped true");
        let mut got = files.config();
        got.retain(|line| !is_of_no_account(line));
        lines.extend(compare("config", &wanted, &got));
        let lines = lines.iter().flat_map(|text| text.lines());
        let lines = lines
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.is_empty());
        let _ = fs_err::remove_dir_all(&out);
        return masked(&lines.collect::<Vec<_>>().join("\n"));
    };
    eprintln!("{}: {log}", case.name);
    "cannot build".to_owned()
}

/// Masks the name of the host, which is another each time.
fn masked(lines: &str) -> String {
    let mut parts = lines.split("HOSTNAME=");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        text = format!("{text}HOSTNAME=…{rest}");
    }
    text
}

/// Builds into a directory; returns the log of a build that failed.
fn build(case: &Case, place: &Place, worker: usize, out: &Path) -> Result<(), String> {
    let mut bud: Vec<String> =
        "bud --isolation chroot --layers=false --identity-label=false --format docker"
            .split(' ')
            .map(str::to_owned)
            .collect();
    bud.extend(["--timestamp", EPOCH, "--tag", &case.name].map(str::to_owned));
    let mut file = "Dockerfile".to_owned();
    for arg in &case.args {
        match arg.split_once('=') {
            Some(("--dockerfile", path)) if place.work(case).join(path).exists() => {
                path.clone_into(&mut file);
            }
            Some(("--dockerfile", path)) => file = format!("context/{path}"),
            Some(("--custom-platform", platform)) => bud.push(format!("--platform={platform}")),
            _ => bud.push(arg.clone()),
        }
    }
    bud.extend(["--file".to_owned(), file, "context".to_owned()]);
    run(case, place, worker, &bud)?;
    let target = format!("dir:{}", out.display());
    run(
        case,
        place,
        worker,
        &["push".to_owned(), case.name.clone(), target],
    )
}

/// Runs Buildah with a storage of the worker's own.
fn run(case: &Case, place: &Place, worker: usize, args: &[String]) -> Result<(), String> {
    let storage = place.path(&format!("storage-{worker}"));
    let (command, rest) = args.split_first().unwrap();
    let output = Command::new("buildah")
        .arg("--root")
        .arg(storage.join("root"))
        .arg("--runroot")
        .arg(storage.join("run"))
        .args(["--storage-driver", "vfs", "--registries-conf"])
        .arg(place.path("registries.conf"))
        .args([command, "--signature-policy"])
        .arg(place.path("policy.json"))
        .args(rest)
        .current_dir(place.work(case))
        .env("TMPDIR", place.path("work"))
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
