//! `FROM` (FROM-1, FROM-2, FROM-9).

use super::super::flags::{Flags, Takes};
use super::super::node::{Arguments, Node};
use super::super::{From, Problem};

pub(super) fn from(node: &Node) -> Result<From, Problem> {
    let Arguments::Words(words) = &node.arguments else {
        return Err(Problem::FromArguments);
    };
    let (image, name) = match &words[..] {
        [image] => (image, None),
        [image, word, name] if word.eq_ignore_ascii_case("AS") => (image, Some(name)),
        _ => return Err(Problem::FromArguments),
    };
    if let Some(name) = name.filter(|name| !is_stage_name(&name.to_lowercase())) {
        return Err(Problem::StageName(name.clone()));
    }
    let mut flags = Flags::parse(&node.flags, &[("platform", Takes::Text)])?;
    Ok(From {
        image: image.clone(),
        platform: flags.filled("platform"),
        name_as_typed: name.cloned(),
    })
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}
