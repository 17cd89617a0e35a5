//! The Dockerfile language: text in, stages of typed instructions out.
//!
//! Nothing here does I/O, and nothing is expanded while parsing: an instruction keeps its words as written, and
//! [`expand`] is applied when a plan is made, because only then are the variables known.
//!
//! # Reading order
//! `lines` joins physical lines, `node` takes an instruction apart (with `flags`, `words`, `json_form`, `heredoc`), `parse`
//! applies each keyword's rules, [`check`] looks for what is valid but probably not meant. [`mod@print`] is the way back.
//!
//! # Spec
//! `docker/dockerfile:1` and labs; rule ids (`LEX-1` …) in comments and tests are those of the project's language specification.

pub mod span;

mod boolean;
pub mod csv;
mod directive;
pub mod duration;
mod flags;
mod heredoc;
mod json_form;
mod keyword;
mod lines;
mod node;
mod words;

pub mod error;
mod help;
pub mod instruction;
mod parse;

pub mod check;
pub mod expand;
pub mod print;
pub mod quote;
mod suggest;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod properties;

use crate::image::Platform;
pub use boolean::boolean;
pub use directive::Syntax;
pub use error::{Error, Problem};
pub use instruction::Instruction;
pub use keyword::Keyword;
use parse::Parsed;
pub use span::{Located, Span};
pub use suggest::suggest;

/// A parsed Dockerfile: every instruction of every stage, needed or not, is syntactically valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `ARG`s before the first `FROM`, in order. Their quotes go when they are expanded, and they may refer to earlier ones.
    pub global_args: Vec<Located<Vec<instruction::ArgDeclaration>>>,
    pub stages: Vec<Stage>,
    /// The escape character in effect for expansion: `\` or a backtick.
    pub escape: char,
    /// The frontend asked for, by directive or option.
    pub syntax: Option<Syntax>,
    /// Which checks apply.
    pub checks: check::Settings,
    /// What the checks of the text found, sorted by line.
    pub findings: Vec<check::Finding>,
}

/// One `FROM` and the instructions up to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Position in the file, from 0.
    pub index: usize,
    /// Lower case; absent without `AS`.
    pub name: Option<String>,
    pub from: Located<From>,
    pub instructions: Vec<Located<Instruction>>,
}

/// `FROM [--platform=P] IMAGE`, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    pub image: String,
    /// Never empty.
    pub platform: Option<String>,
    /// The stage's name as typed, for checks.
    pub name_as_typed: Option<String>,
}

/// Platforms of this build, for the automatic args.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platforms {
    pub build: Platform,
    pub target: Platform,
}

/// Names that `FROM` may use without declaration, and stages after a bare `ARG` (language spec 2.7).
pub const AUTOMATIC_ARGS: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// What overrides the directives (DIR-7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Build arg `BUILDKIT_SYNTAX`.
    pub syntax: Option<String>,
    /// Build arg `BUILDKIT_DOCKERFILE_CHECK`.
    pub check: Option<String>,
}

/// Parses a Dockerfile.
///
/// ```
/// use executor::dockerfile::{Options, parse};
/// let options = Options { syntax: None, check: None };
/// let dockerfile = parse(b"FROM alpine AS base\nRUN echo hi\n", &options)?;
/// assert_eq!(dockerfile.stages[0].name.as_deref(), Some("base"));
/// let error = parse(b"FROM alpine\nRUM x\n", &options).unwrap_err();
/// assert_eq!(error.to_string(), "dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?)");
/// # Ok::<(), executor::dockerfile::Error>(())
/// ```
///
/// # Errors
/// The first mistake, where those that are found without knowing the instruction come before all others.
pub fn parse(text: &[u8], options: &Options) -> Result<Dockerfile, Error> {
    if text.is_empty() {
        return Err(Problem::Empty.in_file());
    }
    let directives = directive::read(text)?;
    let syntax = options.syntax.as_deref().or(directives.syntax.as_deref());
    let syntax = syntax.map(Syntax::new);
    let labs = syntax.as_ref().is_some_and(|syntax| syntax.labs);
    let mut checks = match (&options.check, &directives.check) {
        (Some(value), _) => check::Settings::parse(value).map_err(Problem::in_file)?,
        (None, Some((value, span))) => {
            check::Settings::parse(value).map_err(|problem| problem.at(*span))?
        }
        (None, None) => check::Settings::default(),
    };
    let nodes = node::read(text, directives.escape, directives.lines)?;
    if nodes.is_empty() {
        return Err(Problem::NoInstructions.in_file());
    }
    for node in &nodes {
        for comment in &node.comments {
            if let Some(("check", value)) = directive::directive(comment) {
                checks.add_comment(node.span, value);
            }
        }
    }
    let mut dockerfile = Dockerfile {
        global_args: Vec::new(),
        stages: Vec::new(),
        escape: directives.escape,
        syntax,
        checks,
        findings: Vec::new(),
    };
    for node in &nodes {
        dockerfile.push(node, parse::node(node, labs)?)?;
    }
    if dockerfile.stages.is_empty() {
        return Err(Problem::NoStages.in_file());
    }
    dockerfile.findings = check::text::findings(&nodes, &dockerfile);
    Ok(dockerfile)
}

/// Parses a trigger as `ONBUILD` stored it, with `\` as the escape (OB-4); `labs` is the Dockerfile's that it runs in.
///
/// ```
/// use executor::dockerfile::{Keyword, parse_trigger};
/// assert_eq!(parse_trigger("ADD . /app", false)?.keyword(), Keyword::Add);
/// # Ok::<(), executor::dockerfile::Error>(())
/// ```
///
/// # Errors
/// As for [`parse()`]; lines count from the trigger's first. A `FROM` is refused, and so is more than one instruction.
pub fn parse_trigger(text: &str, labs: bool) -> Result<Instruction, Error> {
    let nodes = node::read(text.as_bytes(), '\\', 0)?;
    let [node] = &nodes[..] else {
        return Err(Problem::TriggerCount.in_file());
    };
    match parse::node(node, labs)? {
        Parsed::Instruction(instruction) => Ok(instruction),
        Parsed::From(_) => Err(Problem::OnbuildTrigger("FROM").at(node.span)),
    }
}

impl Dockerfile {
    fn push(&mut self, node: &node::Node, parsed: Parsed) -> Result<(), Error> {
        let located = Located {
            span: node.span,
            text: node.text.trim_end().to_owned(),
            value: (),
        };
        match parsed {
            Parsed::From(from) => self.stages.push(Stage {
                index: self.stages.len(),
                name: from.name_as_typed.as_ref().map(|name| name.to_lowercase()),
                from: located.with(from),
                instructions: Vec::new(),
            }),
            Parsed::Instruction(instruction) => match (self.stages.last_mut(), instruction) {
                (Some(stage), instruction) => stage.instructions.push(located.with(instruction)),
                (None, Instruction::Arg(args)) => self.global_args.push(located.with(args)),
                (None, _) => return Err(Problem::BeforeFirstStage.at(node.span)),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(text: &str) -> Result<Dockerfile, Error> {
        let options = Options {
            syntax: None,
            check: None,
        };
        super::parse(text.as_bytes(), &options)
    }

    #[test]
    fn triggers() {
        #[rustfmt::skip]
        let cases = [
            ("RUN echo  hi",              Ok("RUN echo  hi")),
            ("run <<EOF\nx\nEOF",         Ok("RUN <<EOF\nx\nEOF")),
            ("COPY <<A <<-\"B\" /d/\n1\nA\n\t2\nB", Ok("COPY <<A <<-\"B\" /d/\n1\nA\n\t2\nB")),
            ("ADD . /app",                Ok("ADD . /app")),
            ("# escape=`\nRUN a`\n",      Ok("RUN a`")),
            ("FOO x",                     Err("dockerfile parse error on line 1: unknown instruction: FOO (did you mean FROM?)")),
            ("COPY --nope a /b",          Err("dockerfile parse error on line 1: unknown flag: --nope")),
            ("COPY a",                    Err("dockerfile parse error on line 1: COPY requires at least two arguments, but only one was provided. Destination could not be determined")),
            ("FROM x",                    Err("dockerfile parse error on line 1: FROM isn't allowed as an ONBUILD trigger")),
            ("RUN a\nRUN b",              Err("an ONBUILD trigger must be one instruction")),
            ("",                          Err("an ONBUILD trigger must be one instruction")),
            ("RUN <<EOF\nx",              Err("unterminated heredoc")),
        ];
        for (text, want) in cases {
            let got = parse_trigger(text, false)
                .map(|i| print::instruction(&i, '\\'))
                .map_err(|e| e.to_string());
            assert_eq!(
                got,
                want.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn stored_triggers_parse_again() {
        let text = "FROM x\nONBUILD RUN cat <<A <<-'B'\n1\nA\n\t2\n\tB\n";
        let dockerfile = parse(text).unwrap();
        let Instruction::Onbuild(trigger) = &dockerfile.stages[0].instructions[0].value else {
            panic!("{dockerfile:?}");
        };
        assert_eq!(trigger, "RUN cat <<A <<-'B'\n1\nA\n\t2\nB");
        let Instruction::Run(run) = parse_trigger(trigger, false).unwrap() else {
            panic!("{trigger}");
        };
        assert_eq!(run.heredocs.len(), 2);
        assert_eq!(run.heredocs[1].body, b"2\n");
    }

    #[test]
    fn options_override_directives() {
        let options = Options {
            syntax: Some("docker/dockerfile:labs".to_owned()),
            check: Some("skip=all".to_owned()),
        };
        let text = "# syntax=example/other\n# check=error=true\nFROM x as Y\nRUN --device=d z\n";
        let dockerfile = super::parse(text.as_bytes(), &options).unwrap();
        assert!(dockerfile.syntax.unwrap().labs);
        assert!(!dockerfile.checks.error);
        assert_eq!(dockerfile.findings, []);
        let options = Options {
            syntax: None,
            check: Some("nonsense".to_owned()),
        };
        let error = super::parse(text.as_bytes(), &options).unwrap_err();
        assert_eq!(
            (error.span, error.to_string().as_str()),
            (None, "invalid check option \"nonsense\"")
        );
    }
}
