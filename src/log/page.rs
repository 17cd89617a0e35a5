//! A build's record as one HTML page that needs nothing else: no script, no file beside it, no network.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::record::{Interval, Layer, Record, Stage, State, Step};
use super::units;

const STYLE: &str = include_str!("page.css");

/// Returns the page.
pub fn page(record: &Record) -> String {
    let outcome = match &record.error {
        Some(_) => "failed",
        None => "succeeded",
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Build " (outcome) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Build " span class=(outcome) { (outcome) } " in " (units::time(record.elapsed)) }
                (facts(record))
                @if let Some(error) = &record.error {
                    pre.error { (error) }
                }
                h2 { "Timeline" }
                (timeline(record))
                @for stage in &record.stages {
                    (steps(stage, record))
                }
                @if let Some(image) = &record.image {
                    h2 { "Layers of the image" }
                    (layers(&image.layers))
                }
            }
        }
    };
    page.into_string()
}

fn facts(record: &Record) -> Markup {
    let started = record.started.replace_nanosecond(0);
    let started = started
        .unwrap_or(record.started)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default();
    html! {
        dl.facts {
            (fact("started", &started))
            (fact("stages", &record.stages.len().to_string()))
            (fact("executed", &record.count(State::Executed).to_string()))
            (fact("cached", &record.count(State::Cached).to_string()))
            (fact("config only", &record.count(State::Recorded).to_string()))
            (fact("pulled", &units::size(record.bytes.pulled)))
            (fact("pushed", &units::size(record.bytes.pushed)))
            (fact("skipped", &units::size(record.bytes.skipped)))
            (fact("fetched", &units::size(record.bytes.fetched)))
            @if let Some(image) = &record.image {
                (fact("image", &image.digest))
                @for name in &image.pushed_to {
                    (fact("pushed to", name))
                }
            }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Rows with bars on a common axis: the phases, then each stage with its steps.
fn timeline(record: &Record) -> Markup {
    let bar =
        |name: &str, class: &str, interval: &Interval| bar(record.elapsed, name, class, interval);
    html! {
        div.timeline {
            @for phase in &record.phases {
                div.row {
                    span.label { (phase.name) }
                    span.track { (bar(phase.name, "phase", &phase.interval)) }
                }
            }
            @for stage in &record.stages {
                @if let Some(interval) = &stage.interval {
                    div.row {
                        span.label { b { (stage.name) } }
                        span.track {
                            (bar(&stage.name, "stage", interval))
                            @if let Some(unpack) = &stage.unpack {
                                (bar("unpack the base", "unpack", unpack))
                            }
                            @for step in &stage.steps {
                                @if let Some(interval) = &step.interval {
                                    (bar(&step.title(), class(step.state), interval))
                                }
                            }
                        }
                    }
                }
            }
            div.row.axis {
                span.label {}
                span.track {
                    @for quarter in 0..=4u32 {
                        span.tick style=(format!("left:{}%", quarter * 25)) {
                            (units::time(record.elapsed * quarter / 4))
                        }
                    }
                }
            }
        }
        p.legend {
            @for state in [State::Executed, State::Cached, State::Recorded, State::Failed] {
                span class={"key " (class(state))} {} (word(state)) " "
            }
            span.key.unpack {} "base unpacked"
        }
    }
}

fn bar(whole: Duration, name: &str, class: &str, interval: &Interval) -> Markup {
    let whole = whole.as_secs_f64().max(0.001);
    let left = 100.0 * interval.begin.as_secs_f64() / whole;
    let width = 100.0 * interval.elapsed.as_secs_f64() / whole;
    html! {
        span class={"bar " (class)}
            style=(format!("left:{left:.3}%;width:{width:.3}%"))
            title=(format!("{name}: {}", units::time(interval.elapsed))) {}
    }
}

fn steps(stage: &Stage, record: &Record) -> Markup {
    let every = record.stages.iter().flat_map(|stage| &stage.steps);
    let largest = every
        .filter_map(|step| step.layer.as_ref())
        .map(|layer| layer.size)
        .max();
    let base: u64 = stage.base_layers.iter().map(|layer| layer.size).sum();
    html! {
        h2 { (stage.name) }
        p {
            code { (stage.text) } " (line " (stage.line) ")"
            @if !stage.base_layers.is_empty() {
                ": " (stage.base_layers.len()) " base layers, " (units::size(base))
            }
            @if stage.interval.is_none() { ": not needed, or not reached" }
        }
        @if !stage.steps.is_empty() {
            table {
                thead { tr { th { "line" } th { "instruction" } th { "result" } th { "why" } th { "time" } th { "layer" } } }
                tbody {
                    @for step in &stage.steps {
                        (row(step, largest.unwrap_or(0)))
                    }
                }
            }
        }
    }
}

fn row(step: &Step, largest: u64) -> Markup {
    let title = step.title();
    let reason = match &step.cache {
        Some(cache) if cache.hit => "found in the cache",
        Some(cache) => cache.reason.as_deref().unwrap_or("not found in the cache"),
        None => "",
    };
    html! {
        tr {
            td.number { (step.line) }
            td {
                @if title == step.text { code { (title) } }
                @else { details { summary { code { (title) } } pre { (step.text) } } }
            }
            td.result { span class={"key " (class(step.state))} {} (word(step.state)) }
            td { (reason) }
            td.number { @if let Some(interval) = &step.interval { (units::time(interval.elapsed)) } }
            td.number {
                @if let Some(layer) = &step.layer {
                    span title=(layer.digest) { (units::size(layer.size)) }
                    (size_bar(layer.size, largest))
                }
            }
        }
    }
}

fn layers(layers: &[Layer]) -> Markup {
    let largest = layers.iter().map(|layer| layer.size).max().unwrap_or(0);
    html! {
        table {
            thead { tr { th { "digest" } th { "size" } } }
            tbody {
                @for layer in layers {
                    tr {
                        td { code { (layer.digest) } }
                        td.number { (units::size(layer.size)) (size_bar(layer.size, largest)) }
                    }
                }
            }
        }
    }
}

fn size_bar(size: u64, largest: u64) -> Markup {
    let width = 100.0 * size as f64 / largest.max(1) as f64;
    html! { span.size { span style=(format!("width:{width:.1}%")) {} } }
}

fn class(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Recorded => "recorded",
        State::Cached => "cached",
        State::Executed => "executed",
        State::Failed => "failed",
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Pending => "not done",
        State::Recorded => "config only",
        State::Cached => "cached",
        State::Executed => "executed",
        State::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::example;
    use super::*;

    #[test]
    fn what_is_typed_cannot_become_markup() {
        let mut record = example();
        record.error = Some("<script>alert(1)</script>".to_owned());
        record.stages[0].steps[0].text = "RUN echo '<img src=x onerror=y>' \"&\"".to_owned();
        record.stages[0].name = "\"><i>".to_owned();
        let page = page(&record);
        for raw in ["<script", "<img", "\"><i>"] {
            assert!(!page.contains(raw), "{raw}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let page = page(&example());
        for reference in ["src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}
