//! When the entries of a history were made, in builds without a fixed time (HIS-9, HIS-10).
//!
//! A line for each entry, and a last one for the image: `base` is when the base image was made, letters are later times in order.

use std::path::Path;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::case::Case;
use super::{bases, tree};

/// Compares the image of a layout with what is expected.
pub fn check(case: &Case, layout: &Path) -> Vec<String> {
    let Some(expected) = &case.expected.moments else {
        return Vec::new();
    };
    let config = tree::config(layout);
    let entries = config["history"].as_array().unwrap().iter();
    let mut times: Vec<_> = entries.map(|entry| read(&entry["created"])).collect();
    times.push(read(&config["created"]));
    let base = read(&Value::from(bases::CREATED));
    let mut moments = times.clone();
    moments.retain(|time| *time != base);
    moments.sort();
    moments.dedup();
    let name = |time: &OffsetDateTime| match moments.iter().position(|moment| moment == time) {
        None => "base".to_owned(),
        Some(number) => char::from(b'a' + u8::try_from(number).unwrap()).to_string(),
    };
    let got: Vec<String> = times.iter().map(name).collect();
    match got == *expected {
        true => Vec::new(),
        false => vec![format!("moments: expected {expected:?}, got {got:?}")],
    }
}

fn read(time: &Value) -> OffsetDateTime {
    OffsetDateTime::parse(time.as_str().unwrap(), &Rfc3339).unwrap()
}
