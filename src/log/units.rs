//! Sizes and times as people read them.

use std::time::Duration;

/// Returns a size in decimal units, as registries count.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // what would be printed as 1000.0 belongs to the next unit
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// Returns a length of time with about three digits.
pub fn time(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = tenths / 10;
    match seconds {
        0..60 => format!("{seconds}.{} s", tenths % 10),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (0,             "0 B"),
            (999,           "999 B"),
            (1_000,         "1.0 kB"),
            (999_949,       "999.9 kB"),
            (999_950,       "1.0 MB"),
            (1_234_567,     "1.2 MB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX,      "18446744.1 TB"),
        ];
        for (bytes, want) in cases {
            assert_eq!(size(bytes), want);
        }
    }

    #[test]
    fn times() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (0,          "0.0 s"),
            (49,         "0.0 s"),
            (50,         "0.1 s"),
            (59_949,     "59.9 s"),
            (59_950,     "1 min 00 s"),
            (125_000,    "2 min 05 s"),
            (3_600_000,  "1 h 00 min"),
            (90_061_000, "25 h 01 min"),
        ];
        for (milliseconds, want) in cases {
            assert_eq!(time(Duration::from_millis(milliseconds)), want);
        }
    }
}
