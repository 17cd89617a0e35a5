//! Compares keywords and shell texts with those of an independent parser.
//!
//! It judges plain files only: it refuses heredocs, `ARG` with several names, continuation by a backtick, instructions
//! without arguments and blank lines in continued ones, and it takes the flags of `RUN` for part of the command.

use dockerfile_parser::{Dockerfile, Instruction, ShellOrExecExpr};

use super::instruction::CommandLine;
use super::{Located, Options, parse};

const PLAIN: [&str; 7] = [
    "FROM alpine\n",
    "ARG V=3\nFROM alpine:$V AS base\nRUN echo hi\nFROM base\nCOPY --from=base /a /b\n",
    "from debian:12\nrun apt-get update && \\\n    apt-get install -y \\\n    # a comment inside\n    curl\ncmd [\"curl\", \"-f\"]\n",
    "FROM scratch\nENV A=1 B=\"x y\"\nENV C d e\nLABEL a=b \"c d\"='e f'\nENTRYPOINT [\"/x\"]\n",
    "# comment\n\nFROM alpine\nWORKDIR /a b\nUSER 1:2\nEXPOSE 80 90/udp\nVOLUME /a\nSTOPSIGNAL 9\nONBUILD RUN x\n",
    "FROM alpine\nHEALTHCHECK CMD curl x\nMAINTAINER Bob\nADD a b /c/\nSHELL [\"/bin/sh\", \"-c\"]\nENTRYPOINT a b\n",
    "FROM alpine\nRUN [\"a\", \"b c\", \"\\\"d\\\"\"]\nRUN [ -f /x ] && echo\nCMD one  two\n",
];

/// Keyword and command, if any, of each instruction according to the other parser.
fn theirs(text: &str) -> Vec<(String, String)> {
    let dockerfile = Dockerfile::parse(text).unwrap();
    let command = |expression: &ShellOrExecExpr| match expression {
        ShellOrExecExpr::Shell(shell) => shell.to_string(),
        ShellOrExecExpr::Exec(exec) => format!("{:?}", exec.as_str_vec()),
    };
    dockerfile
        .instructions
        .iter()
        .map(|instruction| match instruction {
            Instruction::From(_) => ("FROM".to_owned(), String::new()),
            Instruction::Arg(_) => ("ARG".to_owned(), String::new()),
            Instruction::Label(_) => ("LABEL".to_owned(), String::new()),
            Instruction::Run(run) => ("RUN".to_owned(), command(&run.expr)),
            Instruction::Entrypoint(entrypoint) => {
                ("ENTRYPOINT".to_owned(), command(&entrypoint.expr))
            }
            Instruction::Cmd(cmd) => ("CMD".to_owned(), command(&cmd.expr)),
            Instruction::Copy(_) => ("COPY".to_owned(), String::new()),
            Instruction::Env(_) => ("ENV".to_owned(), String::new()),
            Instruction::Misc(misc) => (misc.instruction.content.to_uppercase(), String::new()),
        })
        .collect()
}

fn ours(text: &str) -> Vec<(String, String)> {
    let options = Options {
        syntax: None,
        check: None,
    };
    let dockerfile = parse(text.as_bytes(), &options).unwrap();
    let mut found = Vec::new();
    found.extend(
        dockerfile
            .global_args
            .iter()
            .map(|_| ("ARG".to_owned(), String::new())),
    );
    for stage in &dockerfile.stages {
        found.push(("FROM".to_owned(), String::new()));
        for Located { value, .. } in &stage.instructions {
            let command = match value {
                super::Instruction::Run(run) => Some(&run.command),
                super::Instruction::Cmd(command) | super::Instruction::Entrypoint(command) => {
                    Some(command)
                }
                _ => None,
            };
            let command = match command {
                Some(CommandLine::Shell(text)) => text.clone(),
                Some(CommandLine::Exec(words)) => format!("{words:?}"),
                None => String::new(),
            };
            found.push((value.keyword().as_str().to_owned(), command));
        }
    }
    found
}

#[test]
fn plain_files_read_the_same() {
    for text in PLAIN {
        assert_eq!(ours(text), theirs(text), "{text}");
    }
}
#[test]
fn the_other_parser_refuses_what_we_read() {
    let texts = [
        "FROM a\nRUN <<EOF\nx\nEOF\n",
        "FROM a\nCOPY <<EOF /x\nx\nEOF\n",
        "FROM a\nARG A B=1\n",
        "# escape=`\nFROM a\nRUN a `\n b\n",
        "FROM a\nCMD\n",
        "FROM a\nRUN a \\\n\n b\n",
    ];
    for text in texts {
        assert!(Dockerfile::parse(text).is_err(), "{text}");
        assert_eq!(ours(text)[0].0, "FROM", "{text}");
    }
}
