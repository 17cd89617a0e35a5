//! Completion scripts in the shells they are for, and the manual page.

use crate::support::{Sandbox, tool};

/// Returns a file that holds the completion script for a shell.
fn script(t: &Sandbox, shell: &str) -> String {
    let finished = t.executor(["completion", shell]).succeeded();
    let file = t.path(shell);
    fs_err::write(&file, finished.stdout).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn bash_completes() {
    let t = Sandbox::new();
    let script = script(&t, "bash");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("executor --cache-r",           "--cache-repo --cache-run-layers"),
        ("executor --isolation na",      "namespaces"),
        ("executor --log-format ''",     "color text json"),
        ("executor lo",                  "login logout"),
        ("executor push --digest-f",     "--digest-file"),
        ("executor completion ''",       "-h --help bash zsh fish"),
    ];
    for (words, want) in cases {
        let count = words.split(' ').count() - 1;
        let words = words.replace("''", "\"\"");
        let last = words.rsplit(' ').next().unwrap();
        let before = words.rsplit(' ').nth(1).unwrap();
        let program = format!(
            "source {script}; COMP_WORDS=({words}); COMP_CWORD={count}; _executor executor {last} {before}; echo \"${{COMPREPLY[*]}}\""
        );
        let got = tool("bash", ["--norc", "-c", &program]);
        assert_eq!(got.trim_end(), want, "{words}");
    }
}

#[test]
fn fish_completes() {
    let t = Sandbox::new();
    let script = script(&t, "fish");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("executor --cache-r",       "--cache-repo\n--cache-run-layers"),
        ("executor --isolation na",  "namespaces"),
        ("executor logo",            "logout"),
        ("executor push --digest-f", "--digest-file"),
    ];
    for (line, want) in cases {
        let home = t.path("home");
        let program = format!(
            "set -x HOME {}; source {script}; complete --do-complete '{line}'",
            home.display()
        );
        let got = tool("fish", ["--no-config", "-c", &program]);
        let words: Vec<&str> = got
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        assert_eq!(words.join("\n"), want, "{line}");
    }
}

#[test]
fn zsh_completes() {
    let t = Sandbox::new();
    let script = script(&t, "zsh");
    // zsh completes on a terminal only: one is made, a key is pressed, and the line that it leaves is read
    let program = t.path("complete.zsh");
    fs_err::write(
        &program,
        format!(
            "zmodload zsh/zpty\n\
             zpty shell 'zsh -f -i'\n\
             zpty -w shell \"PS1=; autoload -U compinit; compinit -u -d {dump}; source {script}; compdef _executor executor; echo rea\"dy\n\
             zpty -r -m shell ignored '*ready*'\n\
             zpty -w -n shell \"executor --skip-push-p\t\"\n\
             zpty -r -m shell line '*--skip-push-permission-check*' && echo completed\n\
             zpty -d shell\n",
            dump = t.path("zcompdump").display(),
        ),
    )
    .unwrap();
    let got = tool("zsh", ["-f", program.to_str().unwrap()]);
    assert_eq!(got.trim_end(), "completed");
}

#[test]
fn the_manual_can_be_read() {
    let t = Sandbox::new();
    let file = t.path("executor.1");
    let finished = t.executor(["man"]).succeeded();
    fs_err::write(&file, finished.stdout).unwrap();
    let faults = tool("mandoc", ["-Tlint", "-Werror", file.to_str().unwrap()]);
    assert_eq!(faults, "");
    let text = tool("mandoc", ["-Tascii", file.to_str().unwrap()]);
    // bold letters are printed over themselves
    let plain: String = {
        let mut letters: Vec<char> = Vec::new();
        for letter in text.chars() {
            match letter {
                '\u{8}' => drop(letters.pop()),
                other => letters.push(other),
            }
        }
        letters.into_iter().collect()
    };
    for part in [
        "SYNOPSIS",
        "--destination",
        "COMMANDS",
        "KANIKO_DIR",
        "EXIT STATUS",
        "executor push <path>",
    ] {
        assert!(plain.contains(part), "{part} is missing in\n{plain}");
    }
}
