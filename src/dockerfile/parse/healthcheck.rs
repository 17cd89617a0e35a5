//! `HEALTHCHECK` (HC-1 to HC-3).

use super::super::duration;
use super::super::flags::{Flags, Takes};
use super::super::instruction::{CommandLine, Healthcheck};
use super::super::node::{Arguments, Node};
use super::super::{Instruction, Problem};
use super::command::command_line;

const KEYWORD: &str = "HEALTHCHECK";

const FLAGS: [(&str, Takes); 5] = [
    ("interval", Takes::Text),
    ("timeout", Takes::Text),
    ("start-period", Takes::Text),
    ("start-interval", Takes::Text),
    ("retries", Takes::Text),
];

pub(super) fn healthcheck(node: &Node) -> Result<Instruction, Problem> {
    let (kind, arguments) = match &node.arguments {
        Arguments::Healthcheck(kind, arguments) if !kind.is_empty() => (kind, arguments),
        _ => return Err(Problem::AtLeastOneArgument(KEYWORD)),
    };
    let command = command_line(arguments);
    let is_empty = match &command {
        CommandLine::Exec(words) => words.is_empty(),
        CommandLine::Shell(text) => text.is_empty(),
    };
    if kind.eq_ignore_ascii_case("NONE") {
        // Flags are ignored here (INS-6).
        return match is_empty {
            true => Ok(Instruction::Healthcheck(Healthcheck::None)),
            false => Err(Problem::HealthcheckNone),
        };
    }
    let mut flags = Flags::parse(&node.flags, &FLAGS)?;
    if !kind.eq_ignore_ascii_case("CMD") {
        return Err(Problem::HealthcheckType(kind.to_uppercase()));
    }
    if is_empty {
        return Err(Problem::HealthcheckCommand);
    }
    Ok(Instruction::Healthcheck(Healthcheck::Command {
        interval: interval(&mut flags, "interval")?,
        timeout: interval(&mut flags, "timeout")?,
        start_period: interval(&mut flags, "start-period")?,
        start_interval: interval(&mut flags, "start-interval")?,
        retries: retries(&mut flags)?,
        command,
    }))
}

/// Returns nanoseconds; 0 for unset.
fn interval(flags: &mut Flags, flag: &'static str) -> Result<i64, Problem> {
    const MILLISECOND: i64 = 1_000_000;
    let Some(value) = flags.filled(flag) else {
        return Ok(0);
    };
    match duration::parse(&value) {
        Ok(0) => Ok(0),
        Ok(nanoseconds) if nanoseconds < MILLISECOND => Err(Problem::HealthcheckInterval(flag)),
        Ok(nanoseconds) => Ok(nanoseconds),
        Err(error) => Err(Problem::HealthcheckFlag {
            flag,
            value,
            reason: error.to_string(),
        }),
    }
}

fn retries(flags: &mut Flags) -> Result<i64, Problem> {
    let flag = "retries";
    let Some(value) = flags.filled(flag) else {
        return Ok(0);
    };
    match value.parse::<i32>() {
        Ok(retries) if retries < 0 => Err(Problem::NegativeRetries(retries.into())),
        Ok(retries) => Ok(retries.into()),
        Err(_) => Err(Problem::HealthcheckFlag {
            flag,
            value,
            reason: "not a number".to_owned(),
        }),
    }
}
