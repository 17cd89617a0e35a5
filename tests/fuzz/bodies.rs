//! What must hold of any input.

use std::collections::BTreeMap;

use executor::context::dockerignore::{self, Matcher, Verdict};
use executor::dockerfile::expand::{expand, expand_heredoc};
use executor::dockerfile::{self, Dockerfile, Error, Keyword, Platforms};
use executor::image::{ImageConfig, Platform};
use executor::layer::LayerPath;
use executor::plan::{self, Configs};

fn parse(text: &[u8], syntax: Option<&str>) -> Result<Dockerfile, Error> {
    let options = dockerfile::Options {
        syntax: syntax.map(str::to_owned),
        check: None,
    };
    dockerfile::parse(text, &options)
}

/// A whole file is refused with a place in it, or understood; what is understood can be planned or refused likewise.
pub fn dockerfile(text: &[u8]) {
    let lines = text.split(|byte| *byte == b'\n').count();
    let parsed = parse(text, None);
    let labs = parse(text, Some("docker/dockerfile:labs"));
    if parsed.is_ok() {
        assert!(labs.is_ok(), "labs only adds to the language: {labs:?}");
    }
    let dockerfile = match parsed {
        Ok(dockerfile) => dockerfile,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let (_, _) = (error.help(), error.word());
            if let Some(span) = error.span {
                let in_order = 1 <= span.first_line && span.first_line <= span.last_line;
                assert!(in_order && span.last_line <= lines, "{span:?} of {lines}");
            }
            return;
        }
    };
    assert!(!dockerfile.stages.is_empty());
    let mut last = 0;
    for stage in &dockerfile.stages {
        let instructions = stage.instructions.iter().map(|located| located.span);
        for span in std::iter::once(stage.from.span).chain(instructions) {
            assert!(
                last < span.first_line && span.last_line <= lines,
                "{span:?} after {last}"
            );
            last = span.last_line;
        }
    }
    planned(&dockerfile);
}

/// Plans with bases that are all alike.
fn planned(dockerfile: &Dockerfile) {
    let platform: Platform = "linux/amd64".parse().unwrap();
    let options = plan::Options {
        targets: Vec::new(),
        every_stage: false,
        build_args: BTreeMap::from([("A".to_owned(), "a b".to_owned())]),
        platforms: Platforms {
            build: platform.clone(),
            target: platform.clone(),
        },
        platform_is_explicit: false,
        source_date_epoch: None,
        contexts: Vec::new(),
        context_time: None,
        epoch_time: None,
    };
    let mut configs = Configs::new();
    let check = |error: &plan::Error| {
        assert!(!error.to_string().is_empty());
        let (_, _) = (error.help(), error.word());
    };
    for _ in 0..10 {
        match plan::required_images(dockerfile, &options, &configs) {
            Ok(missing) if missing.is_empty() => break,
            Ok(missing) => configs.extend(missing.into_iter().map(|key| {
                let config = ImageConfig::scratch(key.1.clone());
                (key, config)
            })),
            Err(error) => return check(&error),
        }
    }
    match plan::plan(dockerfile, &options, &configs) {
        Ok(plan) => {
            assert!(plan.target < plan.stages.len());
            for stage in &plan.stages {
                assert!(stage.config.config.working_dir.starts_with('/'));
            }
        }
        Err(error) => check(&error),
    }
}

/// The arguments of every instruction.
pub fn words(text: &[u8]) {
    for keyword in Keyword::ALL {
        let mut file = format!("FROM scratch\n{} ", keyword.as_str()).into_bytes();
        file.extend_from_slice(text);
        dockerfile(&file);
    }
    let _ = dockerfile::parse_trigger(&String::from_utf8_lossy(text), true);
}

/// Words and bodies, with every escape.
pub fn expansion(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let lookup = |name: &str| match name {
        "A" => Some("a b".to_owned()),
        "V" => Some("value".to_owned()),
        "E" => Some(String::new()),
        _ => None,
    };
    for escape in ['\\', '`'] {
        let Ok(expanded) = expand(&text, escape, &lookup) else {
            continue;
        };
        assert!(
            expanded
                .undefined
                .iter()
                .all(|name| expanded.used.contains(name))
        );
        assert!(expanded.words.iter().all(|word| !word.is_empty()) || text.contains(['\'', '"']));
        if !text.contains(['$', '\'', '"', escape]) {
            assert_eq!(expanded.text, text);
        }
        // What is quoted singly stays as it is.
        let quoted = format!("'{}'", text.replace('\'', ""));
        let kept = expand(&quoted, escape, &lookup).unwrap();
        assert_eq!(kept.text, text.replace('\'', ""));
    }
    if let Ok(expanded) = expand_heredoc(&text, &lookup)
        && !text.contains(['$', '\\'])
    {
        assert_eq!(expanded.text, text);
    }
}

const TREE: &str = "a.md README.md b.txt .env foo foobar foobar/x x x/foo src src/a.go src/b.md src/sub src/sub/c.go src/sub/d.md src/sub/deep \
    src/sub/deep/e.go dir dir/keep dir/keep/k dir/drop dir/drop/d tmp tmp/one tmp/two tmp/two/three";

/// A file of patterns: a verdict on a path is the same alone and on the way down, and nothing that is kept is cut off.
pub fn ignore_file(text: &[u8]) {
    let Ok(matcher) = dockerignore::parse(text) else {
        return;
    };
    let paths: Vec<LayerPath> = TREE.split_whitespace().map(LayerPath::clean).collect();
    let verdict = |path: &LayerPath| -> Verdict {
        let above = path.ancestors();
        let steps = above.iter().chain([path]).filter(|path| !path.is_root());
        steps.fold(matcher.root(), |verdict, path| {
            matcher.enter(&verdict, path)
        })
    };
    for path in &paths {
        let own = verdict(path);
        assert_eq!(own.excluded(), matcher.excludes(path), "{path}");
        let below = paths
            .iter()
            .filter(|below| *below != path && below.starts_with(path));
        for below in below.filter(|below| !verdict(below).excluded()) {
            assert!(
                matcher.keeps_below(&own, path),
                "{below} is kept below {path}"
            );
        }
    }
    // Twice the same patterns say the same as once, unless one takes back.
    if !matcher.has_exceptions() {
        let twice = [text, b"\n", text].concat();
        let twice: Matcher = dockerignore::parse(&twice).unwrap();
        for path in &paths {
            assert_eq!(twice.excludes(path), matcher.excludes(path), "{path}");
        }
    }
}
