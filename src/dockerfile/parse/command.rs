//! `CMD`, `ENTRYPOINT` and `SHELL` (SH-1).

use super::super::instruction::CommandLine;
use super::super::node::{Arguments, Node};
use super::super::{Instruction, Problem};
use super::no_flags;

/// Returns the exec or shell form that arguments were given in.
pub(super) fn command_line(arguments: &Arguments) -> CommandLine {
    match arguments {
        Arguments::Json(words) => CommandLine::Exec(words.clone()),
        Arguments::Text(text) => CommandLine::Shell(text.clone()),
        Arguments::Words(words) => CommandLine::Shell(words.join(" ")),
        Arguments::Healthcheck(_, command) => command_line(command),
        Arguments::Pairs { .. } | Arguments::Trigger(_) => CommandLine::Shell(String::new()),
    }
}

pub(super) fn cmd(node: &Node) -> Result<Instruction, Problem> {
    no_flags(node)?;
    Ok(Instruction::Cmd(command_line(&node.arguments)))
}

pub(super) fn entrypoint(node: &Node) -> Result<Instruction, Problem> {
    no_flags(node)?;
    Ok(Instruction::Entrypoint(command_line(&node.arguments)))
}

pub(super) fn shell(node: &Node) -> Result<Instruction, Problem> {
    no_flags(node)?;
    match &node.arguments {
        Arguments::Json(words) if words.is_empty() => Err(Problem::AtLeastOneArgument("SHELL")),
        Arguments::Json(words) => Ok(Instruction::Shell(words.clone())),
        _ => Err(Problem::NotJson("SHELL")),
    }
}
