//! Checks of one stage; only those of stages that are built count.

use super::super::instruction::{CommandLine, Healthcheck};
use super::super::{Instruction, Located, Span, Stage, quote};
use super::{Finding, Rule, Settings};

/// Returns what is found in a stage's text.
///
/// `shell_is_set` says whether a `SHELL` is inherited from the stage's base.
pub fn findings(stage: &Stage, shell_is_set: bool, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut shell_is_set = shell_is_set;
    for instruction in &stage.instructions {
        let span = instruction.span;
        let mut report = |rule, message: String| {
            if settings.allows(rule, span) {
                findings.push(Finding::new(rule, span, message));
            }
        };
        match &instruction.value {
            Instruction::Shell(_) => shell_is_set = true,
            Instruction::Cmd(CommandLine::Shell(_))
            | Instruction::Entrypoint(CommandLine::Shell(_))
                if !shell_is_set =>
            {
                let keyword = keyword(instruction);
                let message = format!(
                    "{keyword} in shell form keeps signals from reaching the program; prefer JSON arguments"
                );
                report(Rule::JSONArgsRecommended, message);
            }
            Instruction::Arg(args) => {
                for arg in args.iter().filter(|arg| names_secret(&arg.name)) {
                    report(
                        Rule::SecretsUsedInArgOrEnv,
                        secret_message("ARG", &arg.name),
                    );
                }
            }
            Instruction::Env(pairs) => {
                for pair in pairs.iter().filter(|pair| names_secret(&pair.key)) {
                    report(
                        Rule::SecretsUsedInArgOrEnv,
                        secret_message("ENV", &pair.key),
                    );
                }
            }
            _ => {}
        }
    }
    findings.extend(repeated(stage, settings));
    findings.sort_by_key(|finding| finding.span);
    findings
}

/// Finds instructions of which only the last counts; the finding stands at the earlier one (ENT-4).
fn repeated(stage: &Stage, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut earlier: [(&str, Option<Span>); 3] =
        [("CMD", None), ("ENTRYPOINT", None), ("HEALTHCHECK", None)];
    for instruction in &stage.instructions {
        let index = match &instruction.value {
            Instruction::Cmd(_) => 0,
            Instruction::Entrypoint(_) => 1,
            Instruction::Healthcheck(Healthcheck::Command { .. } | Healthcheck::None) => 2,
            _ => continue,
        };
        let (keyword, span) = &mut earlier[index];
        if let Some(span) = span.replace(instruction.span)
            && settings.allows(Rule::MultipleInstructionsDisallowed, span)
        {
            let message = format!("a later {keyword} of this stage replaces this one");
            findings.push(Finding::new(
                Rule::MultipleInstructionsDisallowed,
                span,
                message,
            ));
        }
    }
    findings
}

fn keyword(instruction: &Located<Instruction>) -> String {
    let typed = instruction
        .text
        .split_whitespace()
        .next()
        .unwrap_or_default();
    typed.to_uppercase()
}

pub(super) fn secret_message(keyword: &str, name: &str) -> String {
    format!(
        "{keyword} {} looks like a secret, which would stay in the image",
        quote::quoted(name)
    )
}

/// Whether a variable's name says that it holds a secret.
pub fn names_secret(name: &str) -> bool {
    const SECRET: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    const HARMLESS: [&str; 3] = ["public", "file", "version"];
    let name = name.to_lowercase();
    let any = |words: &[&str]| name.split('_').any(|token| words.contains(&token));
    any(&SECRET) && !any(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::parse;
    use super::*;

    #[test]
    fn secrets() {
        #[rustfmt::skip]
        let cases = [
            ("GITHUB_TOKEN", true),
            ("API_KEY",      true),
            ("apikey",       true),
            ("PUBLIC_KEY",   false),
            ("TOKEN_FILE",   false),
            ("KEY_VERSION",  false),
            ("MONKEY",       false),
            ("AUTHOR",       false),
        ];
        for (name, want) in cases {
            assert_eq!(names_secret(name), want, "{name}");
        }
    }

    #[test]
    fn stages() {
        #[rustfmt::skip]
        let cases: [(&str, bool, &[&str]); 9] = [
            ("FROM x\nCMD a",                                    false, &["JSONArgsRecommended 2"]),
            ("FROM x\nCMD a",                                    true,  &[]),
            ("FROM x\nENTRYPOINT a",                             false, &["JSONArgsRecommended 2"]),
            ("FROM x\nSHELL [\"s\"]\nCMD a",                     false, &[]),
            ("FROM x\nCMD [\"a\"]\nENTRYPOINT [\"b\"]",          false, &[]),
            ("FROM x\nCMD [\"a\"]\nCMD [\"b\"]\nCMD [\"c\"]",    false, &["MultipleInstructionsDisallowed 2", "MultipleInstructionsDisallowed 3"]),
            ("FROM x\nHEALTHCHECK NONE\nHEALTHCHECK CMD a",      false, &["MultipleInstructionsDisallowed 2"]),
            ("FROM x\nARG A_TOKEN\nENV PASSWORD=1 X=2",          false, &["SecretsUsedInArgOrEnv 2", "SecretsUsedInArgOrEnv 3"]),
            ("# check=skip=JSONArgsRecommended\nFROM x\nCMD a",  false, &[]),
        ];
        for (text, shell_is_set, want) in cases {
            let dockerfile = parse(text).unwrap();
            let got: Vec<String> =
                findings(&dockerfile.stages[0], shell_is_set, &dockerfile.checks)
                    .iter()
                    .map(|f| format!("{} {}", f.rule, f.span.first_line))
                    .collect();
            assert_eq!(got, want, "{text}");
        }
    }
}
