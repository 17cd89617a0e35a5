//! The truth about the cache: what a model of it foresees is executed, and the image is the one that is built without it.

use std::collections::{BTreeMap, BTreeSet};

use crate::cache::Cached;
use crate::support::{Finished, Image, requires};

/// How often what a registry gives back is looked at, beside the digest.
const PULLED: u64 = 10;

/// Random edits of a project with three stages; after each, a build with the cache gives what a build from scratch gives, and executes
/// what a model of the cache foresees. `EXECUTOR_CACHE_EDITS` says how many, `EXECUTOR_CACHE_SEED` where it begins.
#[test]
fn cached_and_uncached_builds_agree() {
    requires!(root);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let edits: u64 = number("EXECUTOR_CACHE_EDITS").unwrap_or(40);
    let seed = number("EXECUTOR_CACHE_SEED").unwrap_or(7);
    let mut random = numbers(seed);
    let mut c = Cached::new();
    c.t.env("SOURCE_DATE_EPOCH", "1000000000");
    let mut project = Project::default();
    let mut known = BTreeSet::new();
    // builds from scratch, which need not be done again for a project that was there before
    let mut scratch = BTreeMap::new();
    let mut base = None;
    for edit in 0..edits {
        project.change(random());
        if base != Some(project.base) {
            project.move_base(&c);
            base = Some(project.base);
        }
        project.write(&c);
        let steps = project.runs();
        let missing: BTreeSet<String> = steps
            .iter()
            .filter(|(_, inputs)| !known.contains(inputs))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let tag = c.t.tag("app");
        let cache = ["--destination", &tag, "--cache", "--cache-copy-layers"];
        let (cached, with) = project.build(&c, &cache);
        let without = scratch
            .entry(project.clone())
            .or_insert_with(|| project.build(&c, &["--no-push"]).1);
        assert_eq!(
            with, *without,
            "seed {seed}, edit {edit}: {project:?}\n{cached}"
        );
        if edit % PULLED == 0 {
            assert_eq!(Image::pull(&c.t.registry, &tag).digest, with);
        }
        // stages are built side by side, each line with the stage's name in front
        let line = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
        let ran: BTreeSet<String> = cached.stdout.lines().map(line).collect();
        assert_eq!(
            ran, missing,
            "seed {seed}, edit {edit}: {project:?}\n{cached}"
        );
        known.extend(steps.into_iter().map(|(_, inputs)| inputs));
    }
}

/// Returns a generator of numbers that are the same for the same seed.
fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Project {
    source: u64,
    settings: u64,
    mode: u64,
    arg: u64,
    swapped: bool,
    label: u64,
    env: u64,
    /// What the base image of two stages holds.
    base: u64,
}

impl Project {
    fn change(&mut self, random: u64) {
        let value = random / 16 % 3;
        match random % 9 {
            0 => self.source = value,
            1 => self.settings = value,
            2 => self.mode = value % 2,
            3 => self.arg = value,
            4 => self.swapped = !self.swapped,
            5 => self.label = value,
            6 => self.env = value,
            7 => self.base = value,
            _ => {} // only times change
        }
    }

    /// Puts another image under the tag that two stages start from.
    fn move_base(&self, c: &Cached) {
        c.dockerfile(&format!(
            "FROM BASE\nCOPY --chmod=644 <<EOF /moved\n{}\nEOF\n",
            self.base
        ));
        let moving = c.t.tag("moving");
        c.t.build(["--destination", &moving]).succeeded();
    }

    /// Builds the project; returns the image's digest.
    fn build(&self, c: &Cached, args: &[&str]) -> (Finished, String) {
        let file = c.t.path("digest");
        let more = [
            format!("--build-arg=ARG={}", self.arg),
            format!("--digest-file={}", file.display()),
        ];
        let args = args.iter().copied().chain(more.iter().map(String::as_str));
        let finished = c.t.build(args).succeeded();
        let digest = fs_err::read_to_string(file).unwrap();
        (finished, digest.trim().to_owned())
    }

    fn write(&self, c: &Cached) {
        let mode = if self.mode == 0 { 0o644 } else { 0o755 };
        c.t.file("src/main", mode, self.source.to_string());
        c.t.file("src/deep/settings", 0o644, self.settings.to_string());
        let (one, two) = (
            "RUN echo one; echo 1 >> /order",
            "RUN echo two; echo 2 >> /order",
        );
        let (one, two) = if self.swapped { (two, one) } else { (one, two) };
        let moving = c.t.tag("moving");
        c.dockerfile(&format!(
            "FROM {moving} AS compile\nCOPY src/main /main\nRUN echo compile; ls -l /main | cut -c1-10 > /out; cat /main >> /out\n\
             FROM BASE AS configure\nARG ARG\nCOPY src/deep /deep\nRUN echo configure; echo $ARG > /conf; cat /deep/settings >> /conf\n\
             FROM {moving}\n{one}\n{two}\nLABEL l={}\nCOPY --from=compile /out /out\nENV E={}\nCOPY --from=configure /conf /conf\nRUN echo last; cat /out /conf > /all; echo $E >> /all\n",
            self.label, self.env
        ));
    }

    /// Returns each RUN in the order in which it would be executed, with what it depends on.
    fn runs(&self) -> Vec<(&'static str, String)> {
        let base = self.base;
        let compile = format!("compile {base} {} {}", self.source, self.mode);
        let configure = format!("configure {} {}", self.arg, self.settings);
        let (one, two) = if self.swapped {
            ("two", "one")
        } else {
            ("one", "two")
        };
        let last = format!(
            "last {base} {} {compile} {configure} {}",
            self.swapped, self.env
        );
        vec![
            ("compile", compile),
            ("configure", configure),
            (one, format!("first {base} {one}")),
            (two, format!("second {base} {one} {two}")),
            ("last", last),
        ]
    }
}
