//! Instructions that only describe the image: `EXPOSE`, `MAINTAINER`, `ONBUILD`, `STOPSIGNAL`, `USER`, `VOLUME`, `WORKDIR`.

use super::super::keyword::Keyword;
use super::super::node::{Arguments, Node};
use super::super::{Instruction, Problem, words};
use super::no_flags;

/// Returns the one argument, which is the rest of the line (SPL-2).
fn argument(node: &Node, keyword: &'static str) -> Result<String, Problem> {
    match &node.arguments {
        Arguments::Text(text) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Problem::ExactlyOneArgument(keyword)),
    }
}

pub(super) fn maintainer(node: &Node) -> Result<Instruction, Problem> {
    let name = argument(node, "MAINTAINER")?;
    no_flags(node)?;
    Ok(Instruction::Maintainer(name))
}

/// Flags of `STOPSIGNAL` are ignored (INS-6).
pub(super) fn stopsignal(node: &Node) -> Result<Instruction, Problem> {
    argument(node, "STOPSIGNAL").map(Instruction::Stopsignal)
}

pub(super) fn user(node: &Node) -> Result<Instruction, Problem> {
    let user = argument(node, "USER")?;
    no_flags(node)?;
    Ok(Instruction::User(user))
}

pub(super) fn workdir(node: &Node) -> Result<Instruction, Problem> {
    let path = argument(node, "WORKDIR")?;
    no_flags(node)?;
    Ok(Instruction::Workdir(path))
}

/// Ports are sorted as text (EXP-PORT-3).
pub(super) fn expose(node: &Node) -> Result<Instruction, Problem> {
    let mut ports = match &node.arguments {
        Arguments::Words(words) if !words.is_empty() => words.clone(),
        _ => return Err(Problem::AtLeastOneArgument("EXPOSE")),
    };
    no_flags(node)?;
    ports.sort();
    Ok(Instruction::Expose(ports))
}

pub(super) fn volume(node: &Node) -> Result<Instruction, Problem> {
    let paths: Vec<String> = match &node.arguments {
        Arguments::Words(words) | Arguments::Json(words) if !words.is_empty() => {
            words.iter().map(|word| word.trim().to_owned()).collect()
        }
        _ => return Err(Problem::AtLeastOneArgument("VOLUME")),
    };
    no_flags(node)?;
    if paths.iter().any(String::is_empty) {
        return Err(Problem::EmptyVolume);
    }
    Ok(Instruction::Volume(paths))
}

pub(super) fn onbuild(node: &Node) -> Result<Instruction, Problem> {
    let typed = match &node.arguments {
        Arguments::Trigger(typed) if !typed.is_empty() => typed,
        _ => return Err(Problem::AtLeastOneArgument("ONBUILD")),
    };
    no_flags(node)?;
    match Keyword::find(typed) {
        Some(Keyword::Onbuild) => return Err(Problem::OnbuildOnbuild),
        Some(keyword @ (Keyword::From | Keyword::Maintainer)) => {
            return Err(Problem::OnbuildTrigger(keyword.as_str()));
        }
        _ => {}
    }
    let (_, trigger) = words::split_first(&node.text);
    let mut trigger = trigger.unwrap_or_default().to_owned();
    for heredoc in &node.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.raw_body);
        trigger.push_str(&heredoc.name);
    }
    Ok(Instruction::Onbuild(trigger))
}
