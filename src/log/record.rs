//! A build as it was: the value that reports, traces and the closing summary are made of.
//!
//! Serialized it is the content of `build.json`. It has the Dockerfile's text as typed, but neither values of build args nor
//! anything of the environment.

use std::time::Duration;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Everything that is known about a build.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    #[serde(serialize_with = "rfc3339")]
    pub started: OffsetDateTime,
    /// From the start to the moment this was taken.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
    /// What the build failed with.
    pub error: Option<String>,
    pub image: Option<Image>,
    pub bytes: Bytes,
    pub phases: Vec<Phase>,
    /// In the order of the plan.
    pub stages: Vec<Stage>,
}

/// What was built: an image, or an index of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    pub digest: String,
    pub media_type: String,
    /// The layers of the base image included; of an index those of all its images.
    pub layers: Vec<Layer>,
    /// As given; empty if nothing was pushed.
    pub pushed_to: Vec<String>,
}

/// What went through the network; manifests do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Bytes {
    pub pulled: u64,
    pub pushed: u64,
    /// Not pushed, because the registry had it.
    pub skipped: u64,
    /// Of build contexts and of what `ADD` takes from servers.
    pub fetched: u64,
}

/// A part of the whole build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    pub name: &'static str,
    #[serde(flatten)]
    pub interval: Interval,
}

/// One stage of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name, or `stage-N`.
    pub name: String,
    pub base: String,
    /// The base's own layers; empty for another stage and for nothing.
    pub base_layers: Vec<Layer>,
    /// The line of its `FROM`.
    pub line: usize,
    /// The `FROM` as typed.
    pub text: String,
    /// Absent if nothing was done for it.
    pub interval: Option<Interval>,
    /// When its base was unpacked.
    pub unpack: Option<Interval>,
    pub steps: Vec<Step>,
}

/// One instruction of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub line: usize,
    /// As typed.
    pub text: String,
    pub state: State,
    pub cache: Option<Cache>,
    /// Absent if nothing was done for it.
    pub interval: Option<Interval>,
    pub layer: Option<Layer>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not reached, or not needed.
    Pending,
    /// It only changed the image's config.
    Recorded,
    /// Its layer was taken from the cache.
    Cached,
    Executed,
    Failed,
}

/// What the layer cache said to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cache {
    pub key: String,
    pub hit: bool,
    /// Why there was no hit.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    pub digest: String,
    /// Compressed.
    #[serde(rename = "size_bytes")]
    pub size: u64,
}

/// A time from the build's start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interval {
    #[serde(rename = "begin_ms", serialize_with = "milliseconds")]
    pub begin: Duration,
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

impl Interval {
    pub fn end(&self) -> Duration {
        self.begin + self.elapsed
    }
}

impl Record {
    /// Returns all steps, with their stage's position.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &Step)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(position, stage)| stage.steps.iter().map(move |step| (position, step)))
    }

    /// Returns the content of `build.json`.
    pub fn document(&self) -> String {
        #[derive(Serialize)]
        struct Document<'r> {
            /// Of the form; members may be added without a new one.
            version: u32,
            executor: &'static str,
            #[serde(flatten)]
            record: &'r Record,
        }
        let document = Document {
            version: 1,
            executor: env!("CARGO_PKG_VERSION"),
            record: self,
        };
        let text = serde_json::to_string_pretty(&document);
        text.expect("names are text and times are of our age") + "\n"
    }

    /// Returns how many steps ended in a state.
    pub fn count(&self, state: State) -> usize {
        self.steps().filter(|(_, step)| step.state == state).count()
    }
}

impl Step {
    /// Returns the first line, short enough for a log line.
    pub fn title(&self) -> String {
        const LONGEST: usize = 60;
        let line = self.text.lines().next().unwrap_or_default().trim_end();
        let is_whole = line.len() == self.text.trim_end().len();
        match line.chars().count() <= LONGEST && is_whole {
            true => line.to_owned(),
            false => {
                let start: String = line.chars().take(LONGEST).collect();
                format!("{} …", start.trim_end_matches('\\').trim_end())
            }
        }
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn rfc3339<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = time.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}

/// Two stages, with one step in each state.
#[cfg(test)]
pub(super) fn example() -> Record {
    let interval = |begin: u64, elapsed: u64| Interval {
        begin: Duration::from_millis(begin),
        elapsed: Duration::from_millis(elapsed),
    };
    let layer = |size| Layer {
        digest: format!("sha256:{size:064}"),
        size,
    };
    let step = |line, text: &str, state, interval| Step {
        line,
        text: text.to_owned(),
        state,
        cache: None,
        interval,
        layer: None,
    };
    let cache = |hit, reason: Option<&str>| Cache {
        key: "k".repeat(64),
        hit,
        reason: reason.map(str::to_owned),
    };
    let cached = Step {
        cache: Some(cache(true, None)),
        layer: Some(layer(2_000)),
        ..step(2, "COPY a /a", State::Cached, Some(interval(200, 10)))
    };
    let executed = Step {
        cache: Some(cache(false, Some("first build"))),
        layer: Some(layer(5_000_000)),
        ..step(
            3,
            "RUN make \\\n  all",
            State::Executed,
            Some(interval(210, 500)),
        )
    };
    Record {
        started: OffsetDateTime::from_unix_timestamp(1_769_860_800).expect("a time"),
        elapsed: Duration::from_millis(1_000),
        error: Some("error building image: RUN failed".to_owned()),
        image: Some(Image {
            digest: "sha256:d".to_owned(),
            media_type: "m".to_owned(),
            layers: vec![layer(30_000_000), layer(5_000_000)],
            pushed_to: vec!["host/app:1".to_owned()],
        }),
        bytes: Bytes {
            pulled: 1,
            pushed: 2,
            skipped: 3,
            fetched: 4,
        },
        phases: vec![
            Phase {
                name: "plan",
                interval: interval(0, 100),
            },
            Phase {
                name: "build",
                interval: interval(100, 800),
            },
        ],
        stages: vec![
            Stage {
                name: "builder".to_owned(),
                base: "debian:12".to_owned(),
                base_layers: vec![layer(30_000_000)],
                line: 1,
                text: "FROM debian:12 AS builder".to_owned(),
                interval: Some(interval(100, 700)),
                unpack: Some(interval(100, 100)),
                steps: vec![
                    cached,
                    executed,
                    step(5, "ENV A=1", State::Recorded, Some(interval(710, 0))),
                    step(6, "RUN false", State::Failed, Some(interval(710, 90))),
                ],
            },
            Stage {
                name: "stage-1".to_owned(),
                base: "builder".to_owned(),
                base_layers: Vec::new(),
                line: 7,
                text: "FROM builder".to_owned(),
                interval: None,
                unpack: None,
                steps: vec![step(8, "RUN x", State::Pending, None)],
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        let long = format!("RUN {}", "x".repeat(80));
        let cut = format!("RUN {} …", "x".repeat(56));
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("ENV A=1",                  "ENV A=1"),
            ("RUN a \\\n  b",            "RUN a …"),
            ("COPY <<EOF /f\ntext\nEOF", "COPY <<EOF /f …"),
            (&*long,                     &*cut),
        ];
        for (text, want) in cases {
            let step = Step {
                line: 1,
                text: text.to_owned(),
                state: State::Pending,
                cache: None,
                interval: None,
                layer: None,
            };
            assert_eq!(step.title(), want);
        }
    }
}
