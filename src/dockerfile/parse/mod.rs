//! From a taken-apart instruction to a typed one; one file per family.

mod command;
mod from;
mod healthcheck;
mod metadata;
mod run;
mod transfer;
mod variables;

use super::flags::Flags;
use super::keyword::Keyword;
use super::node::Node;
use super::suggest::{in_case_of, suggest};
use super::{Error, From, Instruction, Problem};

/// `FROM` starts a stage, anything else belongs to one.
#[derive(Debug)]
pub(super) enum Parsed {
    From(From),
    Instruction(Instruction),
}

/// Applies the rules of the node's keyword; `labs` says whether syntax of the labs channel is allowed.
pub(super) fn node(node: &Node, labs: bool) -> Result<Parsed, Error> {
    parsed(node, labs).map_err(|problem| problem.at(node.span))
}

fn parsed(node: &Node, labs: bool) -> Result<Parsed, Problem> {
    let Some(keyword) = Keyword::find(&node.keyword) else {
        return Err(unknown(&node.keyword));
    };
    let instruction = match keyword {
        Keyword::From => return from::from(node).map(Parsed::From),
        Keyword::Add => transfer::add(node)?,
        Keyword::Arg => variables::arg(node)?,
        Keyword::Cmd => command::cmd(node)?,
        Keyword::Copy => transfer::copy(node)?,
        Keyword::Entrypoint => command::entrypoint(node)?,
        Keyword::Env => variables::env(node)?,
        Keyword::Expose => metadata::expose(node)?,
        Keyword::Healthcheck => healthcheck::healthcheck(node)?,
        Keyword::Label => variables::label(node)?,
        Keyword::Maintainer => metadata::maintainer(node)?,
        Keyword::Onbuild => metadata::onbuild(node)?,
        Keyword::Run => run::run(node, labs)?,
        Keyword::Shell => command::shell(node)?,
        Keyword::Stopsignal => metadata::stopsignal(node)?,
        Keyword::User => metadata::user(node)?,
        Keyword::Volume => metadata::volume(node)?,
        Keyword::Workdir => metadata::workdir(node)?,
    };
    Ok(Parsed::Instruction(instruction))
}

fn unknown(typed: &str) -> Problem {
    let suggestion = suggest(typed, Keyword::ALL.map(Keyword::as_str));
    Problem::UnknownInstruction {
        keyword: typed.to_owned(),
        suggestion: suggestion.map(|keyword| in_case_of(typed, keyword)),
    }
}

/// Refuses every flag.
fn no_flags(node: &Node) -> Result<(), Problem> {
    Flags::parse(&node.flags, &[]).map(drop)
}
