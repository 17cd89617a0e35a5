//! Durations as Go writes them, such as `1m30s` (HC-3).

/// Returns the duration in nanoseconds, or what is wrong with the text.
pub(super) fn parse(text: &str) -> Result<i64, &'static str> {
    const INVALID: &str = "not a duration";
    const TOO_LONG: &str = "too long a duration";
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(INVALID);
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(INVALID);
        }
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let unit = match &after[..end] {
            "" => return Err("a duration needs a unit such as `s`"),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err("unknown unit; use `ns`, `us`, `ms`, `s`, `m` or `h`"),
        };
        let whole: i128 = match whole {
            "" => 0,
            whole => i128::from(whole.parse::<u64>().map_err(|_| TOO_LONG)?),
        };
        total += whole * unit + part(fraction, unit);
        if total > i128::from(i64::MAX) {
            return Err(TOO_LONG);
        }
        rest = &after[end..];
    }
    i64::try_from(sign * total).map_err(|_| TOO_LONG)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Returns the fraction of a unit; digits too fine to matter are cut.
fn part(fraction: &str, unit: i128) -> i128 {
    let mut scale = unit;
    fraction
        .bytes()
        .map(|digit| {
            let value = scale * i128::from(digit - b'0') / 10;
            scale /= 10;
            value
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations() {
        #[rustfmt::skip]
        let cases = [
            ("0",       Some(0)),
            ("0s",      Some(0)),
            ("1m30s",   Some(90_000_000_000)),
            ("500ms",   Some(500_000_000)),
            ("1.5h",    Some(5_400_000_000_000)),
            (".5s",     Some(500_000_000)),
            ("1.s",     Some(1_000_000_000)),
            ("+1s",     Some(1_000_000_000)),
            ("-1s",     Some(-1_000_000_000)),
            ("3us",     Some(3_000)),
            ("2µs",     Some(2_000)),
            ("7ns",     Some(7)),
            ("",        None),
            ("-",       None),
            ("5",       None),
            ("1d",      None),
            ("s",       None),
            (".s",      None),
            ("1 s",     None),
            ("99999999999h", None),
            ("99999999999999999999999999999999s", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text).ok(), want, "{text}");
        }
    }
}
