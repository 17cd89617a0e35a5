//! Input that nobody thought of: Dockerfiles, words, expansions and ignore files, made of the test data by cutting and pasting.
//!
//! Each body is a plain function of bytes that panics where something is wrong, so that any fuzzer can drive it. Here a fixed number of
//! inputs from a fixed seed runs each time; for ten minutes of others, with the seed told:
//!
//! ```sh
//! FUZZ_SECONDS=600 cargo test --test integration fuzz:: -- --nocapture
//! ```

mod bodies;

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Inputs of each body in an ordinary run.
const CASES: u32 = 400;

/// What means something to some part of the language.
const FRAGMENTS: &str = "FROM |RUN |COPY |ADD |ARG |ENV |LABEL |CMD |ENTRYPOINT |EXPOSE |VOLUME |USER |WORKDIR |STOPSIGNAL |SHELL |HEALTHCHECK |\
    ONBUILD |MAINTAINER | AS |NONE|\\\n|`\n|\n\n|\r\n|\t|# |# escape=`\n|# check=error=true\n|# syntax=docker/dockerfile:1-labs\n|\\|`|'|\"|[|]|[\"a\",|\
    \"b\"]|,|=|$|${|}|$A|${A|:-|:+|:?|:=|#|##|%|%%|/|//|*|**|?|!|<<|<<E|<<-E|<<\"E\"|\nE\n|\n\tE\n|--|--link |--mount=type=cache,target=/c |--from=a |\
    --chown=1:2 |--exclude=a |--device=d |--platform=|../|./|/./|{a,b}|[a-z]|[^a]|é|\u{a0}|\u{feff}|\\ud800|\0|0|99999999999999999999|scratch|a|b";

/// A change to a text; places count in thousandths of its length.
#[derive(Debug, Clone)]
enum Edit {
    Insert(u16, usize),
    Remove(u16, u16),
    Repeat(u16, u16, u16),
    Byte(u16, u8),
    /// Part of another text of the corpus.
    Splice(u16, usize, u16, u16),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = || 0..1000_u16;
    let length = || 0..40_u16;
    prop_oneof![
        4 => (place(), any::<usize>()).prop_map(|(at, fragment)| Edit::Insert(at, fragment)),
        2 => (place(), length()).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (place(), length(), place()).prop_map(|(at, length, to)| Edit::Repeat(at, length, to)),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        2 => (place(), any::<usize>(), place(), length()).prop_map(|(at, text, from, length)| Edit::Splice(at, text, from, length)),
    ]
}

/// Applies edits to a text of the corpus.
fn edited(corpus: &[Vec<u8>], index: usize, edits: &[Edit]) -> Vec<u8> {
    let fragments: Vec<&str> = FRAGMENTS.split('|').collect();
    let mut text = corpus[index % corpus.len()].clone();
    let place = |thousandths: u16, length: usize| length * usize::from(thousandths) / 1000;
    let part = |text: &[u8], at: u16, length: u16| {
        let at = place(at, text.len());
        let end = (at + usize::from(length)).min(text.len());
        text[at..end].to_vec()
    };
    for edit in edits {
        let (to, removed, new) = match *edit {
            Edit::Insert(at, fragment) => (
                at,
                0,
                fragments[fragment % fragments.len()].as_bytes().to_vec(),
            ),
            Edit::Remove(at, length) => (at, length, Vec::new()),
            Edit::Repeat(at, length, to) => (to, 0, part(&text, at, length)),
            Edit::Byte(at, byte) => (at, 1, vec![byte]),
            Edit::Splice(at, other, from, length) => {
                (at, 0, part(&corpus[other % corpus.len()], from, length))
            }
        };
        let to = place(to, text.len());
        let end = (to + usize::from(removed)).min(text.len());
        text.splice(to..end, new);
    }
    text
}

/// Runs a body on edited texts of a corpus.
fn fuzz(corpus: &[Vec<u8>], body: fn(&[u8])) {
    let input = (any::<usize>(), proptest::collection::vec(edit(), 0..8));
    let config = |cases| Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let run = |seed: [u8; 32], cases: u32| {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(config(cases), rng);
        let outcome = runner.run(&input, |(index, edits)| {
            body(&edited(corpus, index, &edits));
            Ok(())
        });
        if let Err(error) = outcome {
            let shown = match &error {
                proptest::test_runner::TestError::Fail(_, (index, edits)) => {
                    edited(corpus, *index, edits)
                }
                proptest::test_runner::TestError::Abort(_) => Vec::new(),
            };
            panic!(
                "{error}\nseed {seed:?}\ninput {:?}",
                String::from_utf8_lossy(&shown)
            );
        }
    };
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let Some(seconds) = seconds else {
        return run([7; 32], CASES);
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut inputs = 0_u64;
    while Instant::now() < end {
        run(std::array::from_fn(|_| fastrand::u8(..)), 1000);
        inputs += 1000;
    }
    println!("{inputs} inputs in {seconds} seconds");
}

/// Every Dockerfile of the test data.
fn dockerfiles() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let entries = walkdir::WalkDir::new(root).sort_by_file_name();
    let files = entries.into_iter().map(|entry| entry.unwrap().into_path());
    let files = files.filter(|path| path.file_name().is_some_and(|name| name == "Dockerfile"));
    let texts = files.map(|path| fs_err::read(path).unwrap());
    texts.filter(|text| text.len() < 4000).collect()
}

/// Their instructions, without the keywords.
fn words() -> Vec<Vec<u8>> {
    let texts = dockerfiles();
    let lines = texts
        .iter()
        .flat_map(|text| text.split(|byte| *byte == b'\n'));
    let rests = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b' ')?;
        Some(line[at + 1..].to_vec())
    });
    rests.filter(|rest| rest.len() < 200).collect()
}

fn ignore_files() -> Vec<Vec<u8>> {
    let files = [
        "*.md",
        "**/*.md\n!README.md",
        "src/*\n!src/sub\nsrc/sub/d.md",
        "*\n!src/**/*.go",
        "dir\n!dir/keep",
        "[^a-z]*",
        "s**c.go",
        "**/sub/**",
        "tmp/?ne",
        "# x\n\\#x\n\\!x",
        "/foo/\n./bar/../x\n! y",
        "*\n!**/*.go\nsrc/sub/*",
        "a]{b,c}^$+(.",
        "\u{feff}foo\r\n  x  \r\n",
    ];
    files.map(|text| text.as_bytes().to_vec()).into()
}

#[test]
fn parser() {
    fuzz(&dockerfiles(), bodies::dockerfile);
}

#[test]
fn instructions() {
    fuzz(&words(), bodies::words);
}

#[test]
fn expansions() {
    fuzz(&words(), bodies::expansion);
}

#[test]
fn patterns() {
    fuzz(&ignore_files(), bodies::ignore_file);
}
