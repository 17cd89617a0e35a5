//! Build checks: findings about a Dockerfile that is valid but perhaps not what was meant (language spec 7).
//!
//! `text` holds the rules that are decided by the text alone, for all stages; [`stage`] those that only count for a
//! stage that is built. What depends on expanded values is found when the plan is made, with [`Finding::new`] and
//! [`Settings::allows`].

mod base;
pub mod settings;
pub mod stage;
pub(super) mod text;

use std::fmt;

use super::{Dockerfile, Span};
pub use settings::Settings;
pub use stage::names_secret;

/// What a check looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    StageNameCasing,
    FromAsCasing,
    NoEmptyContinuation,
    ConsistentInstructionCasing,
    DuplicateStageName,
    ReservedStageName,
    JSONArgsRecommended,
    MaintainerDeprecated,
    UndefinedArgInFrom,
    UndefinedVar,
    InvalidDefaultArgInFrom,
    WorkdirRelativePath,
    MultipleInstructionsDisallowed,
    LegacyKeyValueFormat,
    InvalidBaseImagePlatform,
    RedundantTargetPlatform,
    FromPlatformFlagConstDisallowed,
    SecretsUsedInArgOrEnv,
    CopyIgnoredFile,
    InvalidDefinitionDescription,
    ExposeProtoCasing,
    ExposeInvalidFormat,
}

impl Rule {
    /// Whether it is off unless asked for by name.
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants are named as users write them.
        fmt::Debug::fmt(self, f)
    }
}

/// One thing a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    pub span: Span,
    pub message: String,
}

impl Finding {
    pub fn new(rule: Rule, span: Span, message: impl Into<String>) -> Self {
        Self {
            rule,
            span,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            span,
            message,
        } = self;
        write!(f, "{rule}: {message} (line {})", span.first_line)
    }
}

/// Returns the error that findings amount to under `check=error=true`, or `None` if there are none.
///
/// ```
/// use executor::dockerfile::{Span, check::{self, Finding, Rule}};
/// let finding = Finding::new(Rule::MaintainerDeprecated, Span::line(2), "use a label");
/// assert_eq!(finding.to_string(), "MaintainerDeprecated: use a label (line 2)");
/// let error = check::violation(&[finding]).unwrap();
/// assert_eq!(error, "lint violation found for rules: MaintainerDeprecated");
/// ```
pub fn violation(findings: &[Finding]) -> Option<String> {
    let mut rules: Vec<String> = findings.iter().map(|f| f.rule.to_string()).collect();
    rules.sort();
    rules.dedup();
    (!rules.is_empty()).then(|| format!("lint violation found for rules: {}", rules.join(", ")))
}

/// Collects the findings that the settings allow.
struct Report<'a> {
    dockerfile: &'a Dockerfile,
    findings: Vec<Finding>,
}

impl Report<'_> {
    fn add(&mut self, rule: Rule, instruction: Span, message: String) {
        self.add_at(rule, instruction, instruction, message);
    }

    fn add_at(&mut self, rule: Rule, instruction: Span, at: Span, message: String) {
        if self.dockerfile.checks.allows(rule, instruction) {
            self.findings.push(Finding::new(rule, at, message));
        }
    }
}
