//! `RUN` and its flags (language spec 3.3, 3.4; HD-9).

use super::super::flags::{Flags, Takes};
use super::super::heredoc::Introducer;
use super::super::instruction::{CommandLine, Mount, Network, Run, Security};
use super::super::node::Node;
use super::super::{Instruction, Problem, csv};
use super::command::command_line;

const FLAGS: [(&str, Takes); 4] = [
    ("mount", Takes::Texts),
    ("network", Takes::Text),
    ("security", Takes::Text),
    ("device", Takes::Texts),
];

pub(super) fn run(node: &Node, labs: bool) -> Result<Instruction, Problem> {
    let mut flags = Flags::parse(&node.flags, &FLAGS)?;
    let devices = flags.texts("device");
    if !devices.is_empty() && !labs {
        return Err(Problem::DeviceNeedsLabs);
    }
    let command = command_line(&node.arguments);
    let heredoc_is_script = match &command {
        CommandLine::Shell(text) => node.heredocs.len() == 1 && Introducer::parse(text).is_some(),
        CommandLine::Exec(_) => false,
    };
    Ok(Instruction::Run(Run {
        mounts: flags
            .texts("mount")
            .iter()
            .map(|text| mount(text))
            .collect::<Result<_, _>>()?,
        network: flags.text("network").map(network).transpose()?,
        security: flags.text("security").map(security).transpose()?,
        devices,
        command,
        heredocs: node.heredocs.clone(),
        heredoc_is_script,
    }))
}

fn network(value: String) -> Result<Network, Problem> {
    match value.as_str() {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err(Problem::Network(value)),
    }
}

fn security(value: String) -> Result<Security, Problem> {
    match value.as_str() {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        _ => Err(Problem::Security(value)),
    }
}

fn mount(text: &str) -> Result<Mount, Problem> {
    let fields = csv::fields(text).map_err(|reason| Problem::MountFields {
        text: text.to_owned(),
        reason,
    })?;
    let fields: Vec<_> = fields
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (field, None),
        })
        .collect();
    let from_variable = fields.iter().any(|(key, value)| {
        key.eq_ignore_ascii_case("from") && value.as_ref().is_some_and(|v| v.contains('$'))
    });
    match from_variable {
        true => Err(Problem::MountFromVariable),
        false => Ok(Mount { fields }),
    }
}
