//! The truth about the cache: what a model of it foresees is executed, and the image is the one that is built without it.

use std::collections::BTreeSet;

use crate::cache::Cached;
use crate::support::{Image, requires};

/// Random edits of a project with three stages; after each, a build with the cache gives what a build from scratch gives, and executes
/// what a model of the cache foresees. `EXECUTOR_CACHE_EDITS` says how many, `EXECUTOR_CACHE_SEED` where it begins.
#[test]
fn cached_and_uncached_builds_agree() {
    requires!(root);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let edits: u64 = number("EXECUTOR_CACHE_EDITS").unwrap_or(15);
    let seed = number("EXECUTOR_CACHE_SEED").unwrap_or(7);
    let mut random = numbers(seed);
    let mut c = Cached::new();
    c.t.env("SOURCE_DATE_EPOCH", "1000000000");
    let mut project = Project::default();
    let mut known = BTreeSet::new();
    for edit in 0..edits {
        project.change(random());
        project.move_base(&c);
        project.write(&c);
        let steps = project.runs();
        let missing: Vec<&str> = steps
            .iter()
            .filter(|(_, inputs)| !known.contains(inputs))
            .map(|(name, _)| *name)
            .collect();
        let (cached, with) = c.build(&["--build-arg", &format!("ARG={}", project.arg)]);
        let plain =
            c.t.build([
                "--destination",
                &c.t.tag("plain"),
                "--build-arg",
                &format!("ARG={}", project.arg),
            ])
            .succeeded();
        let without = Image::pull(&c.t.registry, &c.t.tag("plain"));
        assert_eq!(
            with.digest, without.digest,
            "seed {seed}, edit {edit}: {project:?}\n{cached}\n{plain}"
        );
        // stages are built side by side, each line with the stage's name in front
        let line = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
        let ran: BTreeSet<String> = cached.stdout.lines().map(line).collect();
        let missing: BTreeSet<String> = missing.into_iter().map(str::to_owned).collect();
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

#[derive(Debug, Default)]
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
