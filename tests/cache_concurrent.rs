//! Builds side by side that share one cache directory and one repository, some of them killed: all that finish are right, and so is what is left.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{Image, Sandbox, requires};

/// Starts a build whose kaniko dir is its own.
fn start(t: &Sandbox, number: usize) -> Child {
    let dir = t.path(&format!("kaniko-{number}"));
    fs_err::create_dir_all(&dir).unwrap();
    let mut command = t.command([
        format!("--context={}", t.context().display()),
        format!("--destination={}", t.tag(&format!("app{number}"))),
        format!("--cache-repo={}", t.tag("cache")),
        format!("--cache-dir={}", t.path("shared").display()),
        "--cache".to_owned(),
        "--cache-copy-layers".to_owned(),
        "--log-format=text".to_owned(),
    ]);
    command
        .env("KANIKO_DIR", dir)
        .env("SOURCE_DATE_EPOCH", "1000000000")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn builds_side_by_side() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("f", 0o644, "f\n");
    t.dockerfile(&format!(
        "FROM {base}\nCOPY f /f\nRUN head -c 2000000 /dev/zero > /zero; echo one > /one\nRUN cat /one /f > /two\n"
    ));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let rounds: usize = number("EXECUTOR_CACHE_ROUNDS").unwrap_or(2);
    let width: usize = number("EXECUTOR_CACHE_WIDTH").unwrap_or(4);
    let mut digests = Vec::new();
    for round in 0..rounds {
        let mut builds: Vec<Child> = (0..width).map(|number| start(&t, number)).collect();
        // every second one dies somewhere on its way, the later the higher its number
        for (number, build) in builds.iter_mut().enumerate().skip(1).step_by(2) {
            std::thread::sleep(Duration::from_millis(120 * (number + round) as u64));
            build.kill().unwrap();
        }
        for (number, build) in builds.iter_mut().enumerate() {
            let status = build.wait().unwrap();
            if number % 2 == 0 {
                assert!(status.success(), "round {round}, build {number}: {status}");
                let image = Image::pull(&t.registry, &t.tag(&format!("app{number}")));
                digests.push(image.digest);
            }
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");

    // one more finds everything, trusts it, and leaves a store in which every name is right
    let mut last = start(&t, 0);
    assert!(last.wait().unwrap().success());
    let blobs = t.path("shared/blobs");
    for entry in fs_err::read_dir(blobs.join("sha256")).unwrap() {
        let path = entry.unwrap().path();
        let digest = executor::image::Digest::of(&fs_err::read(&path).unwrap());
        assert_eq!(digest.hex(), path.file_name().unwrap().to_str().unwrap());
    }
    // no entry is half there
    for tag in t.registry.tags("cache") {
        Image::pull(&t.registry, &format!("{}:{tag}", t.tag("cache")));
    }
    let entries = fs_err::read_dir(&blobs).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.starts_with(".new-")).collect();
    assert!(left.is_empty(), "{left:?}");
}
