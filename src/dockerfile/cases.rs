//! Runs the case folders `testdata/dockerfile/{ok,err}`: a `Dockerfile` and what it is `expected` to parse to.
//!
//! `UPDATE_EXPECT=1` rewrites what is expected.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::expect_file;

use super::instruction::{CommandLine, Healthcheck, Heredoc, KeyValue, Run, Transfer};
use super::{Dockerfile, Error, Instruction, Options, Span, parse, print};

const OPTIONS: Options = Options {
    syntax: None,
    check: None,
};

fn folder(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/dockerfile")
        .join(kind);
    let mut cases: Vec<PathBuf> = fs_err::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 60, "{kind}: only {} cases", cases.len());
    cases
}

fn read(case: &Path) -> Vec<u8> {
    fs_err::read(case.join("Dockerfile")).unwrap()
}

#[test]
fn ok() {
    for case in folder("ok") {
        match parse(&read(&case), &OPTIONS) {
            Ok(dockerfile) => expect_file![case.join("expected")].assert_eq(&dump(&dockerfile)),
            Err(error) => panic!("{}: {error}", case.display()),
        }
    }
}

#[test]
fn err() {
    for case in folder("err") {
        match parse(&read(&case), &OPTIONS) {
            Ok(dockerfile) => panic!("{}: {}", case.display(), dump(&dockerfile)),
            Err(error) => check_report(&case, &error),
        }
    }
}

#[test]
fn printed_cases_parse_to_the_same() {
    for case in folder("ok") {
        let text = read(&case);
        if std::str::from_utf8(&text).is_err() {
            continue; // Printing is for text.
        }
        let dockerfile = parse(&text, &OPTIONS).unwrap();
        for stage in &dockerfile.stages {
            for instruction in &stage.instructions {
                let printed = print::instruction(&instruction.value, dockerfile.escape);
                let text = format!(
                    "# escape={}\n# syntax=docker/dockerfile:labs\nFROM x\n{printed}\n",
                    dockerfile.escape
                );
                let again = parse(text.as_bytes(), &OPTIONS).unwrap();
                let again = &again.stages[0].instructions[0].value;
                assert_eq!(*again, instruction.value, "{}: {printed}", case.display());
            }
        }
    }
}

/// Checks that the report of a case, which the integration tests compare whole, is of this error.
fn check_report(case: &Path, error: &Error) {
    let report = fs_err::read_to_string(case.join("expected")).unwrap();
    let mut parts = vec![format!("error building image: {error}\n")];
    parts.extend(error.help().map(|help| format!("help: {help}\n")));
    let line = error.span.map(|span| span.first_line.to_string());
    parts.extend(line.map(|line| format!("> {line} |")));
    for part in parts {
        let found = report.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.contains(&part), "{}: {part}", case.display());
    }
}

/// Prints a parsed Dockerfile as compact lines.
fn dump(dockerfile: &Dockerfile) -> String {
    let mut out = String::new();
    if dockerfile.escape != '\\' {
        writeln!(out, "escape {}", dockerfile.escape).unwrap();
    }
    if let Some(syntax) = &dockerfile.syntax {
        let builtin = if syntax.builtin { "builtin" } else { "foreign" };
        let labs = if syntax.labs { " labs" } else { "" };
        writeln!(out, "syntax {} {builtin}{labs}", syntax.reference).unwrap();
    }
    for args in &dockerfile.global_args {
        let value = Instruction::Arg(args.value.clone());
        writeln!(out, "{} global {}", lines(args.span), arguments(&value)).unwrap();
    }
    for stage in &dockerfile.stages {
        let from = &stage.from.value;
        write!(
            out,
            "{} stage {} {:?}",
            lines(stage.from.span),
            stage.index,
            from.image
        )
        .unwrap();
        if let Some(platform) = &from.platform {
            write!(out, " platform={platform:?}").unwrap();
        }
        if let Some(name) = &stage.name {
            write!(out, " name={name:?}").unwrap();
        }
        out.push('\n');
        for instruction in &stage.instructions {
            let keyword = instruction.value.keyword().as_str();
            let text = arguments(&instruction.value);
            writeln!(out, "{} {keyword} {text}", lines(instruction.span)).unwrap();
        }
    }
    for finding in &dockerfile.findings {
        writeln!(out, "finding {finding}").unwrap();
    }
    out
}

fn lines(span: Span) -> String {
    match span.first_line == span.last_line {
        true => span.first_line.to_string(),
        false => format!("{}-{}", span.first_line, span.last_line),
    }
}

fn arguments(instruction: &Instruction) -> String {
    match instruction {
        Instruction::Add(add) => {
            let flags = [
                ("checksum", add.checksum.clone()),
                ("keep-git-dir", add.keep_git_dir.map(|v| v.to_string())),
                ("unpack", add.unpack.map(|v| v.to_string())),
            ];
            transfer(&flags, &add.transfer)
        }
        Instruction::Copy(copy) => {
            let parents = copy.parents.then(|| "true".to_owned());
            transfer(
                &[("from", copy.from.clone()), ("parents", parents)],
                &copy.transfer,
            )
        }
        Instruction::Arg(args) => args
            .iter()
            .map(|arg| match &arg.default {
                Some(default) => format!("{}={default:?}", arg.name),
                None => arg.name.clone(),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Instruction::Cmd(command) | Instruction::Entrypoint(command) => command_line(command),
        Instruction::Env(pairs) | Instruction::Label(pairs) => {
            let pair = |pair: &KeyValue| format!("{:?}={:?}", pair.key, pair.value);
            pairs.iter().map(pair).collect::<Vec<_>>().join(" ")
        }
        Instruction::Expose(words) | Instruction::Shell(words) | Instruction::Volume(words) => {
            format!("{words:?}")
        }
        Instruction::Healthcheck(Healthcheck::None) => "none".to_owned(),
        Instruction::Healthcheck(Healthcheck::Command {
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
            command,
        }) => format!(
            "interval={interval} timeout={timeout} start_period={start_period} start_interval={start_interval} retries={retries} {}",
            command_line(command)
        ),
        Instruction::Maintainer(text)
        | Instruction::Onbuild(text)
        | Instruction::Stopsignal(text)
        | Instruction::User(text)
        | Instruction::Workdir(text) => format!("{text:?}"),
        Instruction::Run(command) => run(command),
    }
}

fn run(run: &Run) -> String {
    let mut out = String::new();
    for mount in &run.mounts {
        out.push_str("mount{");
        for (key, value) in &mount.fields {
            match value {
                Some(value) => write!(out, " {key}={value:?}").unwrap(),
                None => write!(out, " {key}").unwrap(),
            }
        }
        out.push_str(" } ");
    }
    if let Some(network) = run.network {
        write!(out, "network={network:?} ").unwrap();
    }
    if let Some(security) = run.security {
        write!(out, "security={security:?} ").unwrap();
    }
    for device in &run.devices {
        write!(out, "device={device:?} ").unwrap();
    }
    out.push_str(&command_line(&run.command));
    if run.heredoc_is_script {
        out.push_str(" script");
    }
    out.push_str(&heredocs(&run.heredocs));
    out
}

fn transfer(flags: &[(&str, Option<String>)], transfer: &Transfer) -> String {
    let mut out = format!("{:?} -> {:?}", transfer.sources, transfer.destination);
    let common = [
        ("chown", transfer.chown.clone()),
        ("chmod", transfer.chmod.clone()),
        ("link", transfer.link.then(|| "true".to_owned())),
    ];
    for (name, value) in flags.iter().chain(&common) {
        if let Some(value) = value {
            write!(out, " {name}={value:?}").unwrap();
        }
    }
    for pattern in &transfer.exclude {
        write!(out, " exclude={pattern:?}").unwrap();
    }
    out.push_str(&heredocs(&transfer.heredocs));
    out
}

fn heredocs(heredocs: &[Heredoc]) -> String {
    let mut out = String::new();
    for heredoc in heredocs {
        let kind = if heredoc.expand { "expand" } else { "literal" };
        let body = String::from_utf8_lossy(&heredoc.body);
        write!(out, "\n    heredoc {:?} {kind} {body:?}", heredoc.name).unwrap();
        if heredoc.raw_body != body {
            write!(out, " raw {:?}", heredoc.raw_body).unwrap();
        }
    }
    out
}

fn command_line(command: &CommandLine) -> String {
    match command {
        CommandLine::Exec(words) => format!("exec {words:?}"),
        CommandLine::Shell(text) => format!("shell {text:?}"),
    }
}
