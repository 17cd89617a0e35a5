//! What to do about an error in a Dockerfile's text.

use super::{Error, Problem, quote};

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        let text = match &self.problem {
            Problem::Empty | Problem::NoInstructions | Problem::NoStages => {
                "begin with a FROM instruction, such as `FROM scratch`"
            }
            Problem::BeforeFirstStage => {
                "only ARG may stand before the first FROM; move the instruction below it"
            }
            Problem::LineTooLong => {
                "continue the instruction in the next line with a `\\` at the end"
            }
            Problem::DuplicateDirective(_) => "keep one of the two",
            Problem::InvalidEscape(_) => "write `# escape=\\` or `` # escape=` ``",
            Problem::InvalidCheck(_) => {
                "write `# check=skip=Rule,Rule;error=true` without blanks; `skip=all` turns all rules off"
            }
            Problem::UnterminatedHeredoc { name, nearly } => {
                let closing = format!(
                    "the closing line must be {} alone, without blanks before or after it",
                    quote::quoted(name)
                );
                return Some(match nearly {
                    Some(line) => format!("{closing}, unlike line {line}"),
                    None => closing,
                });
            }
            Problem::NotStrings(_) => "quote every element of the array",
            Problem::NoEqualsSign(_) => "write `NAME=value`; a value with blanks needs quotes",
            Problem::UnknownInstruction {
                suggestion: Some(keyword),
                ..
            } => {
                return Some(format!(
                    "write {keyword}, or end the line before with the escape character if this continues it"
                ));
            }
            Problem::UnknownInstruction {
                suggestion: None, ..
            } => "if the line continues the one before, end that with the escape character",
            Problem::UnknownFlag { known, .. } => return Some(flags(known)),
            Problem::DuplicateFlag(_) => "the flag takes one value; keep one of the two",
            Problem::MissingFlagValue(flag) => return Some(format!("write `--{flag}=VALUE`")),
            Problem::NotBoolean { flag, .. } => {
                return Some(format!(
                    "write `--{flag}`, `--{flag}=true` or `--{flag}=false`"
                ));
            }
            Problem::TwoArguments(keyword)
            | Problem::AtLeastOneArgument(keyword)
            | Problem::ExactlyOneArgument(keyword)
            | Problem::NoDestination(keyword)
            | Problem::BlankName(keyword)
            | Problem::NotJson(keyword) => {
                return form(keyword).map(|form| format!("write `{form}`"));
            }
            Problem::FromArguments => {
                return form("FROM")
                    .map(|form| format!("write `{form}`; a comment needs a line of its own"));
            }
            Problem::StageName(_) => {
                "begin with a letter; then letters, digits, `_`, `-` and `.`; variables have no meaning here"
            }
            Problem::HeredocDestination(_) => {
                "the last word says where the files go: `COPY <<NAME /path`"
            }
            Problem::HeredocWord { .. } => {
                "give the heredoc a name without blanks, right after `<<`"
            }
            Problem::EmptyVolume => "remove the empty string",
            Problem::Network(_) => "write default, none or host",
            Problem::Security(_) => "write sandbox or insecure",
            Problem::DeviceNeedsLabs => {
                "put `# syntax=docker/dockerfile:1-labs` in the first line of the Dockerfile"
            }
            Problem::MountFields { .. } => {
                "options are separated by commas; one that has a comma or a quote is quoted as a whole: `--mount=type=cache,\"target=/a,b\"`"
            }
            Problem::MountFromVariable => {
                "write `FROM $IMAGE AS name` with a global ARG, then `from=name`"
            }
            Problem::HealthcheckNone => "write `HEALTHCHECK NONE` alone, or `HEALTHCHECK CMD …`",
            Problem::HealthcheckCommand | Problem::HealthcheckType(_) => {
                return form("HEALTHCHECK").map(|form| format!("write `{form}`"));
            }
            Problem::HealthcheckInterval(_) | Problem::HealthcheckFlag { .. } => {
                "durations have units, such as 1m30s or 500ms, and --retries is a number"
            }
            Problem::NegativeRetries(_) => "0 means the runtime's own number",
            Problem::OnbuildOnbuild | Problem::OnbuildTrigger(_) => {
                "any instruction but FROM, MAINTAINER and ONBUILD can be a trigger"
            }
            Problem::TriggerCount => "write an ONBUILD for each instruction",
        };
        Some(text.to_owned())
    }
}

/// Returns how an instruction is written.
fn form(keyword: &str) -> Option<&'static str> {
    const FORMS: [&str; 16] = [
        "ADD [flags] SOURCE… DESTINATION",
        "ARG NAME[=default] …",
        "COPY [flags] SOURCE… DESTINATION",
        "ENV NAME=value …",
        "EXPOSE PORT[/PROTOCOL] …",
        "FROM [--platform=PLATFORM] IMAGE [AS NAME]",
        "HEALTHCHECK [flags] CMD COMMAND",
        "LABEL NAME=value …",
        "MAINTAINER NAME",
        "ONBUILD INSTRUCTION …",
        "RUN [flags] COMMAND",
        "SHELL [\"PROGRAM\", \"ARGUMENT\"]",
        "STOPSIGNAL SIGNAL",
        "USER USER[:GROUP]",
        "VOLUME PATH …",
        "WORKDIR PATH",
    ];
    let is_it = |form: &&str| form.split(' ').next() == Some(keyword);
    FORMS.into_iter().find(is_it)
}

/// Says which flags an instruction has.
fn flags(known: &[&str]) -> String {
    match known {
        [] => {
            "the instruction has no flags; `--` before the first argument lets it begin with `--`"
                .to_owned()
        }
        known => {
            let known: Vec<String> = known.iter().map(|flag| format!("--{flag}")).collect();
            format!("its flags are {}", known.join(", "))
        }
    }
}
