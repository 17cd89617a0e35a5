//! Values of a mount's options.

use super::super::Sharing;
use super::Error;
use crate::dockerfile;

pub(super) fn boolean(key: &'static str, value: &str) -> Result<bool, Error> {
    dockerfile::boolean(value).ok_or_else(|| invalid(key, value))
}

pub(super) fn number(key: &'static str, value: &str, radix: u32) -> Result<u32, Error> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| u32::from_str_radix(value, radix).ok());
    number.flatten().ok_or_else(|| invalid(key, value))
}

pub(super) fn sharing(value: &str) -> Result<Sharing, Error> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(Error::Sharing(value.to_owned())),
    }
}

/// Parses bytes with an optional binary suffix: `64m`, `1GiB`, `512`.
pub(super) fn size(value: &str) -> Result<u64, Error> {
    let lower = value.to_lowercase();
    let end = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (digits, suffix) = lower.split_at(end);
    let shift = match suffix.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(invalid("size", value)),
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| invalid("size", value))
}

fn invalid(key: &'static str, value: &str) -> Error {
    Error::Value {
        key,
        value: value.to_owned(),
    }
}
