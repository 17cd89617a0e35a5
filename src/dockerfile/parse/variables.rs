//! `ARG`, `ENV` and `LABEL` (SPL-3, SPL-4, VAR-1).

use super::super::instruction::{ArgDeclaration, KeyValue};
use super::super::node::{Arguments, Node};
use super::super::{Instruction, Problem};
use super::no_flags;

/// Flags of `ARG` are ignored (INS-6).
pub(super) fn arg(node: &Node) -> Result<Instruction, Problem> {
    let Arguments::Words(words) = &node.arguments else {
        return Err(Problem::AtLeastOneArgument("ARG"));
    };
    if words.is_empty() {
        return Err(Problem::AtLeastOneArgument("ARG"));
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(Problem::BlankName("ARG")),
            Some((name, default)) => Ok(ArgDeclaration {
                name: name.to_owned(),
                default: Some(default.to_owned()),
            }),
            None => Ok(ArgDeclaration {
                name: word.clone(),
                default: None,
            }),
        })
        .collect::<Result<_, _>>()
        .map(Instruction::Arg)
}

pub(super) fn env(node: &Node) -> Result<Instruction, Problem> {
    pairs(node, "ENV").map(Instruction::Env)
}

pub(super) fn label(node: &Node) -> Result<Instruction, Problem> {
    pairs(node, "LABEL").map(Instruction::Label)
}

fn pairs(node: &Node, keyword: &'static str) -> Result<Vec<KeyValue>, Problem> {
    let pairs = match &node.arguments {
        Arguments::Pairs { pairs, .. } if !pairs.is_empty() => pairs,
        _ => return Err(Problem::AtLeastOneArgument(keyword)),
    };
    no_flags(node)?;
    if pairs.iter().any(|pair| pair.key.is_empty()) {
        return Err(Problem::BlankName(keyword));
    }
    Ok(pairs.clone())
}
