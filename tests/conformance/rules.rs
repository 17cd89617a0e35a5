//! `testdata/rules`: which cases and tests are about a rule of the language, and that they exist.
//!
//! A line has the rule's id and places: `KIND/CASE` for a case of `testdata/conformance` or `testdata/dockerfile/KIND`, `PATH::TEST` for a test in the file
//! `PATH.rs` or below the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::case;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Tells what is wrong with a place.
fn problem(rule: &str, place: &str) -> Option<String> {
    if let Some((file, test)) = place.split_once("::") {
        let places = [root().join(file), root().join(format!("{file}.rs"))];
        let files = places.into_iter().flat_map(walkdir::WalkDir::new).flatten();
        let mut files = files.filter(|entry| entry.path().extension().is_some_and(|e| e == "rs"));
        let is_there = files.any(|entry| {
            let text = fs_err::read_to_string(entry.path()).unwrap();
            text.contains(&format!("fn {test}("))
        });
        return (!is_there).then(|| format!("{rule}: {file} has no test {test}"));
    }
    let (kind, name) = place.split_once('/').unwrap_or(("", place));
    if kind != "conformance" {
        let path = root().join("testdata/dockerfile").join(kind).join(name);
        let is_there = path.join("Dockerfile").exists();
        return (!is_there).then(|| format!("{rule}: there is no case {place}"));
    }
    let path = root().join("testdata/conformance").join(name).join("case");
    match fs_err::read_to_string(path) {
        Err(_) => Some(format!("{rule}: there is no case {place}")),
        Ok(text) if named(&text).contains(rule) || !is_id(rule) => None,
        Ok(_) => Some(format!(
            "{rule}: the first line of {place} does not name it"
        )),
    }
}

/// Tells whether cases name this.
fn is_id(rule: &str) -> bool {
    rule.rsplit_once('-').is_some_and(|(name, number)| {
        name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') && number.parse::<u32>().is_ok()
    })
}

/// Returns the rules that the first line of a case names: `CON-1, CON-2` or `CON-1 to CON-3`.
fn named(case: &str) -> BTreeSet<String> {
    let first = case.lines().next().unwrap_or_default();
    let words = first.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut found = BTreeSet::new();
    for (index, word) in words.iter().enumerate().filter(|(_, word)| is_id(word)) {
        found.insert((*word).to_owned());
        let (name, from) = word.rsplit_once('-').unwrap();
        let end = (words.get(index + 1) == Some(&"to"))
            .then(|| words.get(index + 2))
            .flatten();
        let end = end.and_then(|end| {
            end.strip_prefix(name)?
                .strip_prefix('-')?
                .parse::<u32>()
                .ok()
        });
        let from: u32 = from.parse().unwrap();
        found.extend(
            (from..end.map_or(from, |end| end + 1)).map(|number| format!("{name}-{number}")),
        );
    }
    found
}

#[test]
fn every_rule_has_a_test() {
    let text = fs_err::read_to_string(root().join("testdata/rules")).unwrap();
    let mut rules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (rule, places) = line.split_once('\t').unwrap_or((line, ""));
        let places: Vec<&str> = places.split_whitespace().collect();
        if places.is_empty() {
            wrong.push(format!("{rule}: nothing is about it"));
        }
        wrong.extend(places.iter().filter_map(|place| problem(rule, place)));
        if rules.insert(rule, places).is_some() {
            wrong.push(format!("{rule}: it is listed twice"));
        }
    }
    for case in case::all() {
        let text = fs_err::read_to_string(case.folder.join("case")).unwrap();
        let unknown = named(&text)
            .into_iter()
            .filter(|rule| !rules.contains_key(rule.as_str()));
        wrong.extend(unknown.map(|rule| format!("{}: there is no rule {rule}", case.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rules.len() > 300, "{} rules", rules.len());
}
