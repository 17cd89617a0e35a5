//! Checks that modules import downwards only, as the table in `src/lib.rs` says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Modules that every other may use: the crate's own documentation names.
const FREE: [&str; 1] = ["design"];

#[test]
fn imports_point_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = table(&fs_err::read_to_string(src.join("lib.rs")).unwrap());
    let mut wrong = Vec::new();
    for file in rust_files(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        let module = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let module = module.trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) || FREE.contains(&module) {
            continue;
        }
        let Some(allowed) = allowed.get(module) else {
            wrong.push(format!(
                "{}: `{module}` is not in the table of src/lib.rs",
                relative.display()
            ));
            continue;
        };
        for (number, used) in used_modules(&fs_err::read_to_string(&file).unwrap()) {
            if used != module && !allowed.contains(&used) {
                wrong.push(format!(
                    "{}:{number}: `{module}` must not use `{used}`",
                    relative.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    let table = table(include_str!("../src/lib.rs"));
    let mut done = BTreeSet::new();
    while done.len() < table.len() {
        let next = table
            .iter()
            .find(|(name, uses)| !done.contains(*name) && uses.iter().all(|u| done.contains(u)));
        let (name, _) = next.unwrap_or_else(|| {
            panic!(
                "modules in a cycle: {:?}",
                table
                    .keys()
                    .filter(|k| !done.contains(*k))
                    .collect::<Vec<_>>()
            )
        });
        done.insert(name.clone());
    }
}

/// Reads the table: lines of the first `text` block, a module and the modules it may use.
fn table(lib: &str) -> BTreeMap<String, BTreeSet<String>> {
    let block = lib
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let lines = block.lines().map(|line| line.trim_start_matches("//!"));
    let words = lines.map(|line| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    words
        .filter(|w| !w.is_empty())
        .map(|mut w| (w.remove(0), w.into_iter().collect()))
        .collect()
}

/// Returns line numbers and modules of all `crate::name` paths outside comments, grouped imports included.
fn used_modules(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap();
        for rest in code.split("crate::").skip(1) {
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group.split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let name: String = name
                    .trim()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if name.starts_with(|c: char| c.is_lowercase()) {
                    found.push((index + 1, name));
                }
            }
        }
    }
    found
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
