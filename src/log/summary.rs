//! The lines at the end of a step and of a build.

use super::record::{Bytes, Record, Stage, State};
use super::units;

/// Returns the line about a step that ended: which one, what became of it, how long it took, how large its layer is.
pub fn of_step(stage: &Stage, index: usize) -> Option<String> {
    let step = stage.steps.get(index)?;
    let place = format!("[{} {}/{}]", stage.name, index + 1, stage.steps.len());
    let took = step.interval.map(|interval| units::time(interval.elapsed));
    let took = took.unwrap_or_default();
    let layer = step.layer.as_ref();
    let layer = layer.map(|layer| format!(", layer of {}", units::size(layer.size)));
    let layer = layer.unwrap_or_default();
    let title = step.title();
    Some(match (step.state, &step.cache) {
        (State::Recorded | State::Pending, _) => {
            format!("{place} {title}: only the config changed")
        }
        (State::Cached, _) => format!("{place} {title}: cached, {took}{layer}"),
        (State::Executed, Some(_)) => format!("{place} {title}: not cached, {took}{layer}"),
        (State::Executed, None) => format!("{place} {title}: done, {took}{layer}"),
        (State::Failed, _) => format!("{place} {title}: failed, {took}"),
    })
}

/// Returns the line at the end of a build.
pub fn of_build(record: &Record) -> String {
    let at_work = record
        .stages
        .iter()
        .filter(|stage| stage.interval.is_some());
    let Bytes {
        pulled,
        pushed,
        skipped,
        fetched,
    } = record.bytes;
    let fetched = match fetched {
        0 => String::new(),
        _ => format!("; fetched {} for the context and ADD", units::size(fetched)),
    };
    format!(
        "Built {} of {} in {}: {} executed, {} cached, {} in the config alone; pulled {}, pushed {}, skipped {} that registries had{fetched}",
        at_work.count(),
        counted(record.stages.len(), "stage"),
        units::time(record.elapsed),
        counted(record.count(State::Executed), "step"),
        record.count(State::Cached),
        record.count(State::Recorded),
        units::size(pulled),
        units::size(pushed),
        units::size(skipped),
    )
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::example;
    use super::*;
    use expect_test::expect;

    #[test]
    fn steps() {
        let record = example();
        let lines = (0..4).filter_map(|index| of_step(&record.stages[0], index));
        expect![[r#"
            [builder 1/4] COPY a /a: cached, 0.0 s, layer of 2.0 kB
            [builder 2/4] RUN make …: not cached, 0.5 s, layer of 5.0 MB
            [builder 3/4] ENV A=1: only the config changed
            [builder 4/4] RUN false: failed, 0.1 s
        "#]]
        .assert_eq(&lines.map(|line| line + "\n").collect::<String>());
    }

    #[test]
    fn builds() {
        expect!["Built 1 of 2 stages in 1.0 s: 1 step executed, 1 cached, 1 in the config alone; pulled 1 B, pushed 2 B, skipped 3 B that registries had; fetched 4 B for the context and ADD"].assert_eq(&of_build(&example()));
    }
}
