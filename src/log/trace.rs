//! A build's record as an OpenTelemetry trace, in the JSON encoding of OTLP.
//!
//! # Spec
//! Compat spec 3.1: a root span `build`, spans for phases, and one named `Command` for each instruction. OTLP 1.5, JSON Protobuf
//! Encoding: ids in hexadecimal, 64-bit numbers as text.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::record::{Interval, Record, Stage, State, Step};

/// How a trace is written.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Leaves out what stands in the Dockerfile, and messages that may quote it.
    pub omit_dockerfile: bool,
    /// Not 0.
    pub trace_id: u128,
    /// Said of the whole; a `service.name` takes the place of ours.
    pub attributes: &'a [(String, String)],
    /// Letters of a value; the rest is cut off.
    pub value_limit: usize,
}

/// Spans under construction.
struct Spans<'r> {
    record: &'r Record,
    options: Options<'r>,
    spans: Vec<Value>,
}

const INTERNAL: u8 = 1;
const OK: u8 = 1;
const ERROR: u8 = 2;
const ROOT: u64 = 1;

/// Returns the body of an export request.
pub fn export<'r>(record: &'r Record, options: Options<'r>) -> Value {
    let mut spans = Spans {
        record,
        options,
        spans: Vec::new(),
    };
    spans.build();
    let version = env!("CARGO_PKG_VERSION");
    let own = [("service.name", "executor"), ("service.version", version)];
    let given = options.attributes.iter();
    let given = given.map(|(name, value)| (&**name, &**value));
    // of two of the same name the last one counts
    let of_whole: BTreeMap<&str, &str> = own.into_iter().chain(given).collect();
    let of_whole = of_whole.into_iter();
    let of_whole: Vec<Value> = of_whole.map(|(n, v)| options.text(n, v)).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": of_whole},
        "scopeSpans": [{
            "scope": {"name": "executor", "version": version},
            "spans": spans.spans,
        }],
    }]})
}

impl Options<'_> {
    fn text(&self, key: &str, value: &str) -> Value {
        let end = value.char_indices().nth(self.value_limit);
        let value = &value[..end.map_or(value.len(), |(end, _)| end)];
        json!({"key": key, "value": {"stringValue": value}})
    }
}

impl Spans<'_> {
    fn build(&mut self) {
        let record = self.record;
        let mut attributes = vec![
            number("bytes.pulled", record.bytes.pulled),
            number("bytes.pushed", record.bytes.pushed),
            number("bytes.skipped", record.bytes.skipped),
            number("bytes.fetched", record.bytes.fetched),
        ];
        if let Some(image) = &record.image {
            attributes.push(self.options.text("image.digest", &image.digest));
        }
        let status = match &record.error {
            None => json!({"code": OK}),
            Some(_) if self.options.omit_dockerfile => json!({"code": ERROR}),
            Some(error) => json!({"code": ERROR, "message": error}),
        };
        let whole = Interval {
            begin: Duration::ZERO,
            elapsed: record.elapsed,
        };
        self.add("build", None, whole, attributes, status);
        let mut parent_of_stages = ROOT;
        for phase in &record.phases {
            let id = self.add(
                phase.name,
                Some(ROOT),
                phase.interval,
                Vec::new(),
                json!({}),
            );
            if phase.name == "build" {
                parent_of_stages = id;
            }
        }
        for stage in &record.stages {
            if let Some(interval) = stage.interval {
                self.stage(parent_of_stages, interval, stage);
            }
        }
    }

    fn stage(&mut self, parent: u64, interval: Interval, stage: &Stage) {
        let mut attributes = vec![number("dockerfile.line", stage.line as u64)];
        if !self.options.omit_dockerfile {
            attributes.push(self.options.text("stage.name", &stage.name));
            attributes.push(self.options.text("stage.base", &stage.base));
        }
        let id = self.add("stage", Some(parent), interval, attributes, json!({}));
        if let Some(unpack) = stage.unpack {
            self.add("unpack", Some(id), unpack, Vec::new(), json!({}));
        }
        for step in &stage.steps {
            if let Some(interval) = step.interval {
                self.step(id, interval, step);
            }
        }
    }

    fn step(&mut self, parent: u64, interval: Interval, step: &Step) {
        let keyword = step.text.split_whitespace().next().unwrap_or_default();
        let mut attributes = vec![
            number("dockerfile.line", step.line as u64),
            self.options
                .text("instruction.keyword", &keyword.to_uppercase()),
            boolean("cache.hit", step.state == State::Cached),
        ];
        if !self.options.omit_dockerfile {
            attributes.push(self.options.text("instruction.text", &step.text));
        }
        if let Some(layer) = &step.layer {
            attributes.push(self.options.text("layer.digest", &layer.digest));
            attributes.push(number("layer.size_bytes", layer.size));
        }
        let status = match step.state {
            State::Failed => json!({"code": ERROR}),
            _ => json!({}),
        };
        self.add("Command", Some(parent), interval, attributes, status);
    }

    /// Adds a span and returns its id.
    fn add(
        &mut self,
        name: &str,
        parent: Option<u64>,
        interval: Interval,
        attributes: Vec<Value>,
        status: Value,
    ) -> u64 {
        let id = self.spans.len() as u64 + 1;
        self.spans.push(json!({
            "traceId": format!("{:032x}", self.options.trace_id),
            "spanId": format!("{id:016x}"),
            "parentSpanId": parent.map(|id| format!("{id:016x}")).unwrap_or_default(),
            "name": name,
            "kind": INTERNAL,
            "startTimeUnixNano": self.nanoseconds(interval.begin),
            "endTimeUnixNano": self.nanoseconds(interval.end()),
            "attributes": attributes,
            "status": status,
        }));
        id
    }

    fn nanoseconds(&self, after_start: Duration) -> String {
        let time: OffsetDateTime = self.record.started + after_start;
        time.unix_timestamp_nanos().to_string()
    }
}

fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn boolean(key: &str, value: bool) -> Value {
    json!({"key": key, "value": {"boolValue": value}})
}

#[cfg(test)]
mod tests {
    use super::super::record::example;
    use super::*;

    /// Prints a trace, a line for each span: parent, id, name, start and length in milliseconds, attributes.
    fn check(omit_dockerfile: bool) -> String {
        let record = example();
        let options = Options {
            omit_dockerfile,
            trace_id: 0xabc,
            attributes: &[],
            value_limit: usize::MAX,
        };
        let export = export(&record, options);
        let spans = &export["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let short = |id: &Value| id.as_str().unwrap().trim_start_matches('0').to_owned();
        let time = |value: &Value| value.as_str().unwrap().parse::<i128>().unwrap() / 1_000_000;
        let start = record.started.unix_timestamp_nanos() / 1_000_000;
        let line = |span: &Value| {
            let (begin, end) = (&span["startTimeUnixNano"], &span["endTimeUnixNano"]);
            let attributes = span["attributes"].as_array().unwrap().iter();
            let attributes = attributes.map(|attribute| {
                let (_, value) = attribute["value"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .next()
                    .unwrap();
                format!(" {}={value}", attribute["key"].as_str().unwrap())
            });
            assert_eq!(span["traceId"], format!("{:032x}", 0xabc));
            format!(
                "{:>1} {} {} +{} {}{} {}\n",
                short(&span["parentSpanId"]),
                short(&span["spanId"]),
                span["name"].as_str().unwrap(),
                time(begin) - start,
                time(end) - time(begin),
                attributes.collect::<String>(),
                span["status"]
            )
        };
        spans.as_array().unwrap().iter().map(line).collect()
    }

    #[test]
    fn spans() {
        expect_test::expect![[r#"
               1 build +0 1000 bytes.pulled="1" bytes.pushed="2" bytes.skipped="3" bytes.fetched="4" image.digest="sha256:d" {"code":2,"message":"error building image: RUN failed"}
             1 2 plan +0 100 {}
             1 3 build +100 800 {}
             3 4 stage +100 700 dockerfile.line="1" stage.name="builder" stage.base="debian:12" {}
             4 5 unpack +100 100 {}
             4 6 Command +200 10 dockerfile.line="2" instruction.keyword="COPY" cache.hit=true instruction.text="COPY a /a" layer.digest="sha256:0000000000000000000000000000000000000000000000000000000000002000" layer.size_bytes="2000" {}
             4 7 Command +210 500 dockerfile.line="3" instruction.keyword="RUN" cache.hit=false instruction.text="RUN make \\\n  all" layer.digest="sha256:0000000000000000000000000000000000000000000000000000000005000000" layer.size_bytes="5000000" {}
             4 8 Command +710 0 dockerfile.line="5" instruction.keyword="ENV" cache.hit=false instruction.text="ENV A=1" {}
             4 9 Command +710 90 dockerfile.line="6" instruction.keyword="RUN" cache.hit=false instruction.text="RUN false" {"code":2}
        "#]].assert_eq(&check(false));
    }

    #[test]
    fn spans_without_the_dockerfile() {
        expect_test::expect![[r#"
               1 build +0 1000 bytes.pulled="1" bytes.pushed="2" bytes.skipped="3" bytes.fetched="4" image.digest="sha256:d" {"code":2}
             1 2 plan +0 100 {}
             1 3 build +100 800 {}
             3 4 stage +100 700 dockerfile.line="1" {}
             4 5 unpack +100 100 {}
             4 6 Command +200 10 dockerfile.line="2" instruction.keyword="COPY" cache.hit=true layer.digest="sha256:0000000000000000000000000000000000000000000000000000000000002000" layer.size_bytes="2000" {}
             4 7 Command +210 500 dockerfile.line="3" instruction.keyword="RUN" cache.hit=false layer.digest="sha256:0000000000000000000000000000000000000000000000000000000005000000" layer.size_bytes="5000000" {}
             4 8 Command +710 0 dockerfile.line="5" instruction.keyword="ENV" cache.hit=false {}
             4 9 Command +710 90 dockerfile.line="6" instruction.keyword="RUN" cache.hit=false {"code":2}
        "#]].assert_eq(&check(true));
    }
}
