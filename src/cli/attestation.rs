//! What `--sbom`, `--provenance` and `--attest` say.
//!
//! # Spec
//! The flags of `docker buildx build`; BuildKit, `docs/attestations/`.

use super::value::parse_bool;
use super::values::Values;
use crate::attest::{self, Mode, provenance};
use crate::log::go_quote;

/// One wish: for a kind of statement, or against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attestation {
    Sbom(bool),
    Provenance(Option<provenance::Options>),
}

/// Reads the value of `--sbom`: a boolean, or options.
pub fn sbom(text: &str) -> Result<Attestation, String> {
    if let Ok(wanted) = parse_bool(text) {
        return Ok(Attestation::Sbom(wanted));
    }
    let mut wanted = true;
    for (key, value) in pairs(text)? {
        match key {
            "disabled" => wanted = !parse_bool(value)?,
            "generator" => {
                return Err(format!(
                    "the generator {} cannot be run; --sbom alone lists the packages that the executor finds itself",
                    go_quote(value)
                ));
            }
            _ => return Err(unknown(key)),
        }
    }
    Ok(Attestation::Sbom(wanted))
}

/// Reads the value of `--provenance`: a boolean, or options.
pub fn provenance(text: &str) -> Result<Attestation, String> {
    let mut options = provenance::Options {
        mode: Mode::Min,
        builder_id: String::new(),
        reproducible: false,
    };
    let mut wanted = true;
    match parse_bool(text) {
        Ok(is_wanted) => wanted = is_wanted,
        Err(_) => {
            for (key, value) in pairs(text)? {
                match (key, value) {
                    ("mode", "min") => options.mode = Mode::Min,
                    ("mode", "max") => options.mode = Mode::Max,
                    ("mode", _) => return Err("the mode must be \"min\" or \"max\"".to_owned()),
                    ("builder-id", id) => options.builder_id = id.to_owned(),
                    ("reproducible", value) => options.reproducible = parse_bool(value)?,
                    ("disabled", value) => wanted = !parse_bool(value)?,
                    ("version", "v1") => {}
                    ("version", _) => return Err("the version must be \"v1\"".to_owned()),
                    _ => return Err(unknown(key)),
                }
            }
        }
    }
    Ok(Attestation::Provenance(wanted.then_some(options)))
}

/// Reads a value of `--attest`: `type=sbom` or `type=provenance`, with the options of either.
pub fn attest(text: &str) -> Result<Attestation, String> {
    let pairs = pairs(text)?;
    let kind = pairs
        .iter()
        .find(|(key, _)| *key == "type")
        .map(|(_, value)| *value);
    let others = pairs.iter().filter(|(key, _)| *key != "type");
    let others: Vec<String> = others
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let options = match others.is_empty() {
        true => "true".to_owned(),
        false => others.join(","),
    };
    match kind {
        Some("sbom") => sbom(&options),
        Some("provenance") => provenance(&options),
        _ => Err("the type must be \"sbom\" or \"provenance\"".to_owned()),
    }
}

/// Combines all three flags; one of its own counts more than `--attest`.
pub fn options(values: &Values) -> attest::Options {
    let mut options = attest::Options::default();
    let given = values.list("attest").iter().map(|text| attest(text));
    let sboms = values.list("sbom").iter().map(|text| sbom(text));
    let provenances = values
        .list("provenance")
        .iter()
        .map(|text| provenance(text));
    for wish in given.chain(sboms).chain(provenances) {
        match wish.expect("the value was checked") {
            Attestation::Sbom(wanted) => options.sbom = wanted,
            Attestation::Provenance(wanted) => options.provenance = wanted,
        }
    }
    options
}

fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let fields = text.split(',').map(str::trim);
    let pair =
        |field: &'_ str| format!("expected true, false or key=value, got {}", go_quote(field));
    fields
        .map(|field| field.split_once('=').ok_or_else(|| pair(field)))
        .collect()
}

fn unknown(key: &str) -> String {
    format!("unknown option {}", go_quote(key))
}

#[cfg(test)]
mod tests {
    use super::super::{args, table};
    use super::*;

    #[test]
    fn spellings() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("--no-push",                              "nothing"),
            ("--sbom",                                 "sbom"),
            ("--sbom=true --sbom=false",               "nothing"),
            ("--sbom --provenance",                    "sbom min"),
            ("--provenance=false",                     "nothing"),
            ("--provenance=mode=max",                  "max"),
            ("--provenance=mode=max,builder-id=https://ci/1,reproducible=true", "max https://ci/1 reproducible"),
            ("--attest type=sbom --attest=type=provenance,mode=max", "sbom max"),
            ("--attest type=provenance,mode=max --provenance=mode=min", "min"),
            ("--attest type=sbom,disabled=true",       "nothing"),
            ("--sbom=generator=x/y",                   "invalid argument \"generator=x/y\" for \"--sbom\" flag: the generator \"x/y\" cannot be run; --sbom alone lists the packages that the executor finds itself"),
            ("--sbom=yes",                             "invalid argument \"yes\" for \"--sbom\" flag: expected true, false or key=value, got \"yes\""),
            ("--provenance=mode=all",                  "invalid argument \"mode=all\" for \"--provenance\" flag: the mode must be \"min\" or \"max\""),
            ("--provenance=version=v0.2",              "invalid argument \"version=v0.2\" for \"--provenance\" flag: the version must be \"v1\""),
            ("--provenance=inline-only=true",          "invalid argument \"inline-only=true\" for \"--provenance\" flag: unknown option \"inline-only\""),
            ("--attest=mode=max",                      "invalid argument \"mode=max\" for \"--attest\" flag: the type must be \"sbom\" or \"provenance\""),
        ];
        for (words, want) in cases {
            let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let got = args::parse(table::EXECUTOR, &args).map(|parsed| {
                let options = options(&parsed.values);
                let mut parts = Vec::new();
                parts.extend(options.sbom.then(|| "sbom".to_owned()));
                if let Some(provenance) = options.provenance {
                    parts.push(format!("{:?}", provenance.mode).to_lowercase());
                    parts.extend(Some(provenance.builder_id).filter(|id| !id.is_empty()));
                    parts.extend(provenance.reproducible.then(|| "reproducible".to_owned()));
                }
                match parts.is_empty() {
                    true => "nothing".to_owned(),
                    false => parts.join(" "),
                }
            });
            assert_eq!(
                got.unwrap_or_else(|error| error.to_string()),
                want,
                "{words}"
            );
        }
    }
}
