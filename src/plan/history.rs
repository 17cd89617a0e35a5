//! The `created_by` texts of the history, written as BuildKit writes them.
//!
//! # Spec
//! Language spec 5.2, HIS-2 to HIS-5.

use crate::dockerfile::quote::quoted;
use crate::image::config::Healthcheck;

/// Returns the text of a `RUN`: build args in scope as `|N K=V …`, then the arguments.
pub(super) fn run(build_args: &[(String, String)], arguments: &[String]) -> String {
    let mut words = Vec::new();
    if !build_args.is_empty() {
        words.push(format!("|{}", build_args.len()));
        words.extend(
            build_args
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
    }
    words.extend_from_slice(arguments);
    format!("RUN {} # buildkit", words.join(" "))
}

/// Returns `KEYWORD K=V …`, the values unquoted.
pub(super) fn pairs(keyword: &str, pairs: &[(String, String)]) -> String {
    pairs.iter().fold(keyword.to_owned(), |text, (key, value)| {
        format!("{text} {key}={value}")
    })
}

/// Returns `KEYWORD [a b]`, unquoted, as Go prints a list.
pub(super) fn list(keyword: &str, words: &[String]) -> String {
    format!("{keyword} [{}]", words.join(" "))
}

/// Returns `KEYWORD ["a" "b"]`, each word quoted as Go does it.
pub(super) fn quoted_list(keyword: &str, words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    list(keyword, &words)
}

pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        check.test.join(" "),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

/// Writes nanoseconds as Go's `time.Duration` prints itself: `0s`, `1.5ms`, `1m30s`, `1h0m0s`.
fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let decimal = |value: u64, unit: u64| {
        let fraction = value % unit;
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{fraction:0digits$}", value / unit);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        text.to_owned()
    };
    const SECOND: u64 = 1_000_000_000;
    let text = match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{total}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(total, 1_000)),
        1_000_000..SECOND => format!("{}ms", decimal(total, 1_000_000)),
        _ => {
            let minutes = total / (60 * SECOND);
            let seconds = decimal(total % (60 * SECOND), SECOND);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_gos() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (0,                     "0s"),
            (5_000_000_000,         "5s"),
            (500_000_000,           "500ms"),
            (1_500_000,             "1.5ms"),
            (90_000_000_000,        "1m30s"),
            (3_600_000_000_000,     "1h0m0s"),
            (1_500_000_000,         "1.5s"),
            (10_000_000_000,        "10s"),
            (1_000,                 "1µs"),
            (12,                    "12ns"),
        ];
        for (nanoseconds, want) in cases {
            assert_eq!(duration(nanoseconds), want);
        }
    }

    #[test]
    fn run_lists_build_args() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(run(&[], &words("/bin/x a")), "RUN /bin/x a # buildkit");
        let build_args = [
            ("VER".to_owned(), "1".to_owned()),
            ("OPT".to_owned(), String::new()),
        ];
        assert_eq!(
            run(&build_args, &words("/bin/sh -c echo")),
            "RUN |2 VER=1 OPT= /bin/sh -c echo # buildkit"
        );
    }
}
