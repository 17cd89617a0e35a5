//! What is copied from an image of which only a part was unpacked is what is copied from the whole.

use std::fmt::Write;

use fastrand::Rng;

use crate::support::{Sandbox, requires};

/// How many random Dockerfiles are built, twice each; `EXECUTOR_EXCERPTS` says otherwise.
const DOCKERFILES: usize = 8;
const SEED: u64 = 5;

const DIRECTORIES: [&str; 8] = [
    "a",
    "a/b",
    "a/b/c",
    "a.d",
    "usr",
    "usr/lib",
    "usr/lib/x",
    "opt",
];

#[test]
fn copies_from_a_part_are_copies_from_the_whole() {
    requires!(root);
    let mut t = Sandbox::new();
    t.env("SOURCE_DATE_EPOCH", "1000000000");
    let base = t.base();
    let mut random = Rng::with_seed(SEED);
    let (script, paths) = tree(&mut random);
    t.dockerfile(&format!(
        "FROM {base}\nRUN <<EOF\nset -e\n{script}EOF\nRUN rm /tree/opt/gone && ln /tree/usr/0 /tree/late\n"
    ));
    t.build_and_pull("tree", ["--isolation=namespaces"]);
    let tree = t.tag("tree");
    let layers = |name: &str, dockerfile: &str| {
        t.dockerfile(dockerfile);
        let image = t.build_and_pull(name, ["--isolation=namespaces", "--insecure-pull"]);
        let mut layers = image.manifest["layers"].as_array().cloned().unwrap();
        layers.retain(|layer| layer["size"] != 0);
        layers
    };
    let count = std::env::var("EXECUTOR_EXCERPTS").map(|n| n.parse().unwrap());
    for round in 0..count.unwrap_or(DOCKERFILES) {
        let copies = copies(&mut random, &paths);
        // A command may look at anything, so its root is whole.
        let part = format!("FROM {tree} AS from\nFROM scratch\n{copies}");
        let whole = format!("FROM {tree} AS from\nRUN true\nFROM scratch\n{copies}");
        let (part, whole) = (layers("part", &part), layers("whole", &whole));
        assert_eq!(part, whole, "round {round}: {copies}");
    }
}

/// A script that makes files, directories and links of all kinds, and all their paths.
fn tree(random: &mut Rng) -> (String, Vec<String>) {
    let mut script = String::from("mkdir -p /tree/opt && cd /tree && echo gone > opt/gone\n");
    let mut paths = Vec::new();
    for dir in DIRECTORIES {
        writeln!(script, "mkdir -p {dir}").unwrap();
        paths.push(format!("/tree/{dir}"));
        for file in 0..random.u8(1..4) {
            writeln!(script, "echo {dir} {file} > {dir}/{file}").unwrap();
            paths.push(format!("/tree/{dir}/{file}"));
        }
    }
    for link in 0..12 {
        let dir = random.choice(DIRECTORIES).unwrap();
        let target = random.choice(&paths).unwrap().clone();
        let name = format!("{dir}/link{link}");
        let kind = random.u8(0..4);
        match kind {
            0 => writeln!(script, "ln -s {target} {name}"),
            1 => {
                let up = "../".repeat(dir.split('/').count());
                writeln!(script, "ln -s {up}{} {name}", &target["/tree/".len()..])
            }
            // not by a name that a pattern matches
            2 => writeln!(script, "ln -s /tree/nothing {dir}/dangling{link}"),
            _ => writeln!(
                script,
                "if [ -f {target} ]; then ln {target} {name}; else ln -s {target} {name}; fi"
            ),
        }
        .unwrap();
        if kind != 2 {
            paths.push(format!("/tree/{name}"));
        }
    }
    (script, paths)
}

/// Some COPY instructions of random sources, all of which exist.
fn copies(random: &mut Rng, paths: &[String]) -> String {
    let mut text = String::new();
    for _ in 0..random.u8(1..4) {
        let source = random.choice(paths).unwrap();
        let flags = random.choice(["", "--parents ", "--link "]).unwrap();
        match random.u8(0..4) {
            0 => writeln!(text, "COPY {flags}--from=from {source} /to/"),
            1 => writeln!(text, "COPY {flags}--from=from {source}* /some/"),
            2 => writeln!(text, "COPY {flags}--from=from /tree/*/l* {source} /many/"),
            _ => writeln!(
                text,
                "COPY --from=from --exclude=**/1 /tree/usr {source} /two/"
            ),
        }
        .unwrap();
    }
    text
}
