//! Properties: nothing panics, and what is printed parses to the same.

use proptest::prelude::*;

use super::expand::{expand, expand_heredoc};
use super::{Dockerfile, Error, Instruction, Keyword, Options, parse, parse_trigger, print};

fn parse_labs(text: &[u8]) -> Result<Dockerfile, Error> {
    let options = Options {
        syntax: Some("docker/dockerfile:labs".to_owned()),
        check: None,
    };
    parse(text, &options)
}

/// Fragments that mean something to some part of the parser.
const FRAGMENTS: [&str; 76] = [
    "FROM ",
    "RUN ",
    "COPY ",
    "ADD ",
    "ARG ",
    "ENV ",
    "LABEL ",
    "CMD ",
    "ENTRYPOINT ",
    "EXPOSE ",
    "VOLUME ",
    "USER ",
    "WORKDIR ",
    "STOPSIGNAL ",
    "SHELL ",
    "HEALTHCHECK ",
    "ONBUILD ",
    "MAINTAINER ",
    "run ",
    "NONE ",
    "AS ",
    "\n",
    "\n",
    "\n",
    "\n",
    "\\\n",
    "`\n",
    " ",
    "\t",
    "\r",
    "\n\n",
    "# ",
    "# escape=`\n",
    "# check=skip=all\n",
    "\\",
    "`",
    "'",
    "\"",
    "[",
    "]",
    "[\"a\",",
    "\"b\"]",
    ",",
    "=",
    "A=",
    "$",
    "${",
    "}",
    "$A",
    ":-",
    "/",
    "#",
    "%",
    "*",
    "?",
    "<<",
    "<<E",
    "<<-E",
    "<<\"E\"",
    "E",
    "\nE\n",
    "-",
    "--",
    "--link ",
    "--mount=type=bind,",
    "--chown=",
    "--interval=1s ",
    "--exclude=a ",
    "--device=d ",
    "a",
    "b",
    "é",
    "\u{a0}",
    "\u{feff}",
    "\\ud800",
    "0",
];

fn fragments() -> impl Strategy<Value = String> {
    let fragment = proptest::sample::select(&FRAGMENTS[..]);
    proptest::collection::vec(fragment, 0..12).prop_map(|parts| parts.concat())
}

/// Checks that every instruction, printed, parses to itself.
fn check_printed(dockerfile: &Dockerfile) -> Result<(), TestCaseError> {
    let escape = dockerfile.escape;
    let same = |printed: &str| {
        let text = format!("# escape={escape}\n{printed}\n");
        parse_labs(text.as_bytes()).map_err(|e| TestCaseError::fail(format!("{e}: {printed:?}")))
    };
    for stage in &dockerfile.stages {
        let again = same(&print::from(&stage.from.value, escape))?;
        prop_assert_eq!(&again.stages[0].from.value, &stage.from.value);
        for instruction in &stage.instructions {
            let printed = print::instruction(&instruction.value, escape);
            if ends_in_lone_escape(&printed, escape) {
                continue;
            }
            let again = same(&format!("FROM x\n{printed}"))?;
            let values: Vec<&Instruction> = again.stages[0]
                .instructions
                .iter()
                .map(|i| &i.value)
                .collect();
            prop_assert_eq!(values, [&instruction.value], "{:?}", printed);
        }
    }
    Ok(())
}

/// Such a text comes about only where a continuation ends the file, and would again need the end of the file.
fn ends_in_lone_escape(printed: &str, escape: char) -> bool {
    let line = printed.lines().next().unwrap_or_default().trim_end();
    line.strip_suffix(escape)
        .is_some_and(|rest| !rest.ends_with(escape))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_labs(&text);
    }

    #[test]
    fn fragments_never_panic(text in fragments()) {
        let _ = parse_labs(text.as_bytes());
        let _ = parse_trigger(&text, true);
        let lookup = |name: &str| (name == "A").then(|| "a b".to_owned());
        for escape in ['\\', '`'] {
            if let Ok(expanded) = expand(&text, escape, &lookup) {
                prop_assert!(expanded.undefined.iter().all(|name| expanded.used.contains(name)));
            }
        }
        let _ = expand_heredoc(&text, &lookup);
    }

    #[test]
    fn printed_instructions_parse_to_the_same(
        keyword in proptest::sample::select(&Keyword::ALL[..]),
        arguments in fragments(),
        end in prop_oneof!["", "\n", "\nE\n", "\nx\nE\n\tE\n"],
        escape in prop_oneof!["\\\\", "`"],
    ) {
        // Printing makes no promise for blanks that are not ASCII or belong to a line end.
        let arguments = arguments.replace('\u{a0}', "_").replace('\r', " ");
        let keyword = keyword.as_str();
        let text = format!("# escape={escape}\nFROM x\n{keyword} {arguments}{end}");
        if let Ok(dockerfile) = parse_labs(text.as_bytes()) {
            check_printed(&dockerfile)?;
        }
    }

    #[test]
    fn text_without_specials_expands_to_itself(text in "[^$'\"\\\\]*") {
        prop_assert_eq!(expand(&text, '\\', &|_| None).unwrap().text, text);
    }
}
