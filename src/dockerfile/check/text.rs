//! Checks of the text alone, which count for every stage.

use std::collections::BTreeMap;

use super::super::keyword::Keyword;
use super::super::node::{Arguments, Node};
use super::super::{Dockerfile, Span, quote};
use super::{Finding, Report, Rule, base, stage};

/// Returns what is found, sorted by line.
pub(in super::super) fn findings(nodes: &[Node], dockerfile: &Dockerfile) -> Vec<Finding> {
    let mut report = Report {
        dockerfile,
        findings: Vec::new(),
    };
    let majority = majority(nodes);
    for node in nodes {
        instruction(node, majority, &mut report);
    }
    stage_names(&mut report);
    global_args(&mut report);
    base::findings(&mut report);
    report.findings.sort_by_key(|finding| finding.span);
    report.findings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
    Mixed,
}

fn case(word: &str) -> Case {
    match word {
        word if word == word.to_uppercase() => Case::Upper,
        word if word == word.to_lowercase() => Case::Lower,
        _ => Case::Mixed,
    }
}

/// Returns the case most keywords have; upper if there is a tie.
fn majority(nodes: &[Node]) -> Case {
    let count = |want| {
        nodes
            .iter()
            .filter(|node| case(&node.keyword) == want)
            .count()
    };
    match count(Case::Lower) > count(Case::Upper) {
        true => Case::Lower,
        false => Case::Upper,
    }
}

fn instruction(node: &Node, majority: Case, report: &mut Report<'_>) {
    let span = node.span;
    if node.empty_continuation {
        let message = "a blank line inside a continued instruction".to_owned();
        report.add_at(
            Rule::NoEmptyContinuation,
            span,
            Span::line(span.last_line),
            message,
        );
    }
    if case(&node.keyword) != majority {
        let wanted = if majority == Case::Upper {
            "upper"
        } else {
            "lower"
        };
        let message = format!(
            "`{}` is not in {wanted} case like most keywords",
            node.keyword
        );
        report.add(Rule::ConsistentInstructionCasing, span, message);
    }
    match (Keyword::find(&node.keyword), &node.arguments) {
        (Some(Keyword::From), Arguments::Words(words)) => from_as(node, words, report),
        (Some(Keyword::Maintainer), _) => {
            let message = "MAINTAINER is deprecated; use a label".to_owned();
            report.add(Rule::MaintainerDeprecated, span, message);
        }
        (Some(keyword), Arguments::Pairs { legacy: true, .. }) => {
            let message = format!(
                "write `{0} key=value` instead of `{0} key value`",
                keyword.as_str()
            );
            report.add(Rule::LegacyKeyValueFormat, span, message);
        }
        (Some(Keyword::Arg), Arguments::Words(words)) => {
            let names = words.iter().filter_map(|word| word.split('=').next());
            description(node, names.collect(), report);
        }
        _ => {}
    }
}

fn from_as(node: &Node, words: &[String], report: &mut Report<'_>) {
    let [_, word, name] = words else { return };
    let (from, word_case) = (case(&node.keyword), case(word));
    if from != word_case || from == Case::Mixed {
        let message = format!("`{}` and `{word}` differ in case", node.keyword);
        report.add(Rule::FromAsCasing, node.span, message);
    }
    if name.chars().any(char::is_uppercase) {
        let message = format!("stage name {} has upper-case letters", quote::quoted(name));
        report.add(Rule::StageNameCasing, node.span, message);
    }
    description(node, vec![name], report);
}

/// A comment directly above should begin with the name of what it describes.
fn description(node: &Node, names: Vec<&str>, report: &mut Report<'_>) {
    let Some(comment) = node.comments.last() else {
        return;
    };
    let described = comment.split(' ').next().unwrap_or_default();
    if !names.contains(&described) {
        let message = format!(
            "the comment above does not begin with `{}`; separate it by an empty comment if it describes something else",
            names.first().unwrap_or(&"")
        );
        report.add(Rule::InvalidDefinitionDescription, node.span, message);
    }
}

fn stage_names(report: &mut Report<'_>) {
    let mut seen = BTreeMap::new();
    for stage in &report.dockerfile.stages {
        let Some(name) = stage.name.as_deref() else {
            continue;
        };
        let span = stage.from.span;
        if matches!(name, "scratch" | "context") {
            let message = format!("stage name `{name}` is reserved");
            report.add(Rule::ReservedStageName, span, message);
        }
        if let Some(line) = seen.insert(name, span.first_line) {
            let message = format!("stage name `{name}` is already used in line {line}");
            report.add(Rule::DuplicateStageName, span, message);
        }
    }
}

fn global_args(report: &mut Report<'_>) {
    for declarations in &report.dockerfile.global_args {
        for arg in declarations
            .value
            .iter()
            .filter(|arg| stage::names_secret(&arg.name))
        {
            let message = stage::secret_message("ARG", &arg.name);
            report.add(Rule::SecretsUsedInArgOrEnv, declarations.span, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::parse;

    #[test]
    fn rules() {
        #[rustfmt::skip]
        let cases: [(&str, &[&str]); 40] = [
            ("FROM x",                                        &[]),
            ("from x as Y",                                   &["StageNameCasing 1"]),
            ("FROM x as y",                                   &["FromAsCasing 1"]),
            ("FROM x aS y",                                   &["FromAsCasing 1"]),
            ("FROM x\nRUN a \\\n\n  b",                       &["NoEmptyContinuation 4"]),
            ("FROM x\nrun a\nRUN b",                          &["ConsistentInstructionCasing 2"]),
            ("from x\nrun a\nRUN b",                          &["ConsistentInstructionCasing 3"]),
            ("FROM x\nrun a",                                 &["ConsistentInstructionCasing 2"]),
            ("From x\nRun a",                                 &["ConsistentInstructionCasing 1", "ConsistentInstructionCasing 2"]),
            ("FROM x AS a\nFROM y AS a",                      &["DuplicateStageName 2"]),
            ("FROM x AS scratch\nFROM x AS context",          &["ReservedStageName 1", "ReservedStageName 2"]),
            ("FROM x\nMAINTAINER Bob",                        &["MaintainerDeprecated 2"]),
            ("FROM x\nENV A b\nLABEL a b\nENV A=b",           &["LegacyKeyValueFormat 2", "LegacyKeyValueFormat 3"]),
            ("ARG V=1\nFROM x:$V",                            &[]),
            ("ARG V=1\nARG W=\"$V.2\"\nFROM x:$W",            &[]),
            ("FROM x:${V:-1}",                                &[]),
            ("FROM x:$TARGETARCH",                            &[]),
            ("FROM --platform=$BUILDPLATFORM x",              &[]),
            ("ARG VERSION=1\nFROM x:$VERSOIN",                &["UndefinedArgInFrom 2"]),
            ("FROM --platform=$NOPE x",                       &["UndefinedArgInFrom 1"]),
            ("FROM --platform=$TARGETPLATFORM x",             &["RedundantTargetPlatform 1"]),
            ("FROM --platform=${TARGETPLATFORM} x",           &["RedundantTargetPlatform 1"]),
            ("FROM --platform=linux/amd64 x",                 &["FromPlatformFlagConstDisallowed 1"]),
            ("FROM --platform=linux/amd64 x AS build-amd64",  &[]),
            ("FROM --platform=linux/amd64 x AS linux",        &[]),
            ("FROM --platform=linux/amd64 x AS other",        &["FromPlatformFlagConstDisallowed 1"]),
            ("ARG GITHUB_TOKEN\nFROM x",                      &["SecretsUsedInArgOrEnv 1"]),
            ("ARG PUBLIC_KEY\nFROM x",                        &[]),
            ("# check=skip=all\nFROM x as y",                 &[]),
            ("# check=skip=FromAsCasing\nFROM x as Y",        &["StageNameCasing 2"]),
            ("#\n# check=skip=FromAsCasing\nFROM x as y\nFROM x as z", &["FromAsCasing 4"]),
            ("FROM x\n\n# check=skip=NoEmptyContinuation\nRUN a\\\n\nb", &[]),
            ("# other\nFROM x AS y",                          &[]),
            ("# check=experimental=all\n# other\nFROM x AS y",  &["InvalidDefinitionDescription 3"]),
            ("# check=experimental=all\n# y is\nFROM x AS y", &[]),
            ("# check=experimental=all\n# y is\n\nFROM x AS y", &[]),
            ("# check=experimental=all\n# z\n#\nFROM x AS y", &[]),
            ("# check=experimental=all\n# z\nARG A B\nFROM x", &["InvalidDefinitionDescription 3"]),
            ("# check=experimental=all\n# B of\nARG A B\nFROM x", &[]),
            ("# check=experimental=all\nFROM x AS y",         &[]),
        ];
        for (text, want) in cases {
            let got: Vec<String> = parse(text)
                .unwrap()
                .findings
                .iter()
                .map(|finding| format!("{} {}", finding.rule, finding.span.first_line))
                .collect();
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn hint() {
        let findings = parse("ARG VERSION=1\nFROM x:1$VERSOIN").unwrap().findings;
        assert_eq!(
            findings[0].to_string(),
            "UndefinedArgInFrom: `VERSOIN` is neither a global ARG nor automatic (did you mean VERSION?) (line 2)"
        );
    }
}
