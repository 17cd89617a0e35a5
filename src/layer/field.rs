//! Numbers in tar headers and PAX records.

use super::Time;

/// Reads a number of a header: octal text, or base 256 where the first bit is set; `None` if it is neither or too large.
pub fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    }
}

/// Two's complement over all bytes but the very first bit, which only marks the form.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (i, byte) in field.iter().enumerate() {
        let (width, bits) = if i == 0 { (7, byte & 0x7f) } else { (8, *byte) };
        value = value.checked_mul(1 << width)? | i128::from(bits);
        i64::try_from(value).ok()?;
    }
    i64::try_from(value).ok()
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    let mut value: i64 = 0;
    for digit in &digits[..end] {
        if !(b'0'..=b'7').contains(digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
    }
    Some(value)
}

/// Writes a number as octal text that fills the field up to its final NUL; tells whether it fits.
pub fn write_octal(field: &mut [u8], value: u64) -> bool {
    let Some((last, digits)) = field.split_last_mut() else {
        return false;
    };
    *last = 0;
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    rest == 0
}

/// Reads a whole decimal number of a PAX record.
pub fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a size: decimal and not negative.
pub fn size(text: &[u8]) -> Option<u64> {
    decimal(text).and_then(|n| u64::try_from(n).ok())
}

/// Narrows a user or group id as the kernel does: the small negative ones that some tools write are the top of the range.
pub fn id(number: i64) -> Option<u32> {
    u32::try_from(number)
        .or_else(|_| i32::try_from(number).map(i32::cast_unsigned))
        .ok()
}

/// Reads a PAX time, `[-]seconds[.fraction]`; digits beyond nanoseconds are cut off.
pub fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
    let seconds: i64 = whole.parse().ok()?;
    Some(match (whole.starts_with('-'), nanoseconds) {
        (true, 1..) => Time {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
        _ => Time {
            seconds,
            nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_numbers() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[u8], Option<i64>); 12] = [
            (b"0000644\0",                                   Some(0o644)),
            (b"   644 \0",                                   Some(0o644)),
            (b"\0\0\0\0",                                    Some(0)),
            (b"",                                            Some(0)),
            (b"77777777",                                    Some(0o77777777)),
            (b"12 34\0",                                     Some(0o12)),
            (b"9\0",                                         None),
            (b"-1\0",                                        None),
            (b"\x80\0\0\0\0\0\0\x01\0\0\0\0",                Some(1 << 32)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\xff\0\0\0\0\0\0\0",                None),
            (b"\xff\xff\xff\xfe",                            Some(-2)),
        ];
        for (field, want) in cases {
            assert_eq!(number(field), want, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn octal_fields_say_when_they_are_too_small() {
        let mut field = [0; 8];
        assert!(write_octal(&mut field, 0o7777777));
        assert_eq!(&field, b"7777777\0");
        assert!(!write_octal(&mut field, 0o10000000));
    }

    #[test]
    fn pax_times() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("12",             Some((12, 0))),
            ("12.5",           Some((12, 500_000_000))),
            ("12.1234567899",  Some((12, 123_456_789))),
            ("-1.25",          Some((-2, 750_000_000))),
            ("-0.5",           Some((-1, 500_000_000))),
            ("-3",             Some((-3, 0))),
            ("1.",             Some((1, 0))),
            ("",               None),
            (".5",             None),
            ("1.x",            None),
            ("1e9",            None),
            ("99999999999999999999", None),
        ];
        for (text, want) in cases {
            let got = time(text.as_bytes()).map(|t| (t.seconds, t.nanoseconds));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn ids_wrap_as_in_the_kernel() {
        assert_eq!(id(-2), Some(u32::MAX - 1));
        assert_eq!(id(i64::from(u32::MAX)), Some(u32::MAX));
        assert_eq!(id(1 << 32), None);
    }
}
