//! Durations as Go writes them, such as `1m30s`, for Dockerfiles and the command line alike.

/// What is wrong with a text that should be a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("not a duration")]
    Invalid,
    #[error("too long a duration")]
    TooLong,
    #[error("a duration needs a unit such as `s`")]
    NoUnit,
    #[error("unknown unit; use `ns`, `us`, `ms`, `s`, `m` or `h`")]
    UnknownUnit(String),
}

/// Returns the duration in nanoseconds.
///
/// # Errors
/// [`Error::TooLong`] if they do not fit; the others if the text is none.
///
/// # Spec
/// Language spec HC-3; compat spec 1.1.
pub fn parse(text: &str) -> Result<i64, Error> {
    let (negative, mut rest) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(Error::Invalid);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(Error::Invalid);
        }
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, after) = after.split_at(unit_end.unwrap_or(after.len()));
        let nanoseconds: u128 = match unit {
            "" => return Err(Error::NoUnit),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            unit => return Err(Error::UnknownUnit(unit.to_owned())),
        };
        let whole: u64 = match whole {
            "" => 0,
            whole => whole.parse().map_err(|_| Error::TooLong)?,
        };
        // Digits beyond the 18th of a fraction are below a nanosecond, whatever the unit.
        let fraction = &fraction[..fraction.len().min(18)];
        let scale = 10u128.pow(u32::try_from(fraction.len()).expect("at most 18"));
        let part: u128 = fraction.parse().unwrap_or(0);
        total += u128::from(whole) * nanoseconds + part * nanoseconds / scale;
        if total > 1 << 63 {
            return Err(Error::TooLong);
        }
        rest = after;
    }
    let total = i128::try_from(total).expect("at most 2^63");
    i64::try_from(if negative { -total } else { total }).map_err(|_| Error::TooLong)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        const SECOND: i64 = 1_000_000_000;
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("0",         Ok(0)),
            ("0s",        Ok(0)),
            ("6h",        Ok(6 * 3600 * SECOND)),
            ("336h0m0s",  Ok(336 * 3600 * SECOND)),
            ("1m30s",     Ok(90 * SECOND)),
            ("1.5h",      Ok(5400 * SECOND)),
            ("+1s",       Ok(SECOND)),
            ("-1.5s",     Ok(-3 * SECOND / 2)),
            (".5ms1µs",   Ok(501_000)),
            ("3us",       Ok(3_000)),
            ("2μs",       Ok(2_000)),
            ("7ns",       Ok(7)),
            ("1.s",       Ok(SECOND)),
            ("-9223372036854775808ns", Ok(i64::MIN)),
            ("6",         Err(Error::NoUnit)),
            ("1h6",       Err(Error::NoUnit)),
            ("6d",        Err(Error::UnknownUnit("d".into()))),
            ("1 s",       Err(Error::UnknownUnit(" s".into()))),
            ("",          Err(Error::Invalid)),
            ("-",         Err(Error::Invalid)),
            ("h",         Err(Error::Invalid)),
            (".s",        Err(Error::Invalid)),
            ("9223372036854775808ns",  Err(Error::TooLong)),
            ("99999999999h",           Err(Error::TooLong)),
            ("99999999999999999999h",  Err(Error::TooLong)),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
