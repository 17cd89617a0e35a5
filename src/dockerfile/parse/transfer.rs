//! `COPY` and `ADD` (language spec 3.5; HD-13 to HD-17).

use super::super::flags::{Flags, Takes};
use super::super::instruction::{Add, Copy, Transfer};
use super::super::node::{Arguments, Node};
use super::super::{Instruction, Problem};

const COPY_FLAGS: [(&str, Takes); 6] = [
    ("from", Takes::Text),
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Boolean),
    ("exclude", Takes::Texts),
    ("parents", Takes::Boolean),
];

const ADD_FLAGS: [(&str, Takes); 7] = [
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Boolean),
    ("exclude", Takes::Texts),
    ("keep-git-dir", Takes::Boolean),
    ("checksum", Takes::Text),
    ("unpack", Takes::Boolean),
];

pub(super) fn copy(node: &Node) -> Result<Instruction, Problem> {
    let words = words(node, "COPY")?;
    let mut flags = Flags::parse(&node.flags, &COPY_FLAGS)?;
    Ok(Instruction::Copy(Copy {
        transfer: transfer(node, words, &mut flags, "COPY")?,
        from: flags.filled("from"),
        parents: flags.boolean("parents").unwrap_or(false),
    }))
}

pub(super) fn add(node: &Node) -> Result<Instruction, Problem> {
    let words = words(node, "ADD")?;
    let mut flags = Flags::parse(&node.flags, &ADD_FLAGS)?;
    Ok(Instruction::Add(Add {
        transfer: transfer(node, words, &mut flags, "ADD")?,
        checksum: flags.filled("checksum"),
        keep_git_dir: flags.boolean("keep-git-dir"),
        unpack: flags.boolean("unpack"),
    }))
}

fn words<'a>(node: &'a Node, keyword: &'static str) -> Result<&'a [String], Problem> {
    match &node.arguments {
        Arguments::Words(words) | Arguments::Json(words) if words.len() >= 2 => Ok(words),
        _ => Err(Problem::NoDestination(keyword)),
    }
}

fn transfer(
    node: &Node,
    words: &[String],
    flags: &mut Flags,
    keyword: &'static str,
) -> Result<Transfer, Problem> {
    let (destination, arguments) = words.split_last().ok_or(Problem::NoDestination(keyword))?;
    if node.heredoc(destination).is_some() {
        return Err(Problem::HeredocDestination(keyword));
    }
    let mut sources = Vec::new();
    let mut heredocs = Vec::new();
    for argument in arguments {
        match node.heredoc(argument) {
            Some(heredoc) => heredocs.push(heredoc.clone()),
            None => sources.push(argument.clone()),
        }
    }
    // Words are split at any blank, so `<< EOF` and `<<"A B"` have a body but no source (SPL-1).
    let unclaimed = |name: &String| !heredocs.iter().any(|heredoc| heredoc.name == *name);
    if let Some(name) = node
        .heredocs
        .iter()
        .map(|h| &h.name)
        .find(|name| unclaimed(name))
    {
        return Err(Problem::HeredocWord {
            keyword,
            name: name.clone(),
        });
    }
    Ok(Transfer {
        sources,
        heredocs,
        destination: destination.clone(),
        chown: flags.filled("chown"),
        chmod: flags.filled("chmod"),
        link: flags.boolean("link").unwrap_or(false),
        exclude: flags.texts("exclude"),
    })
}
