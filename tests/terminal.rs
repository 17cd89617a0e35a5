//! What a person at a terminal sees, through a real one.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Finished, Sandbox, meeting, requires, tool};

const WIDTH: usize = 80;

/// Runs the executor on a terminal and returns everything that it was sent.
fn on_terminal(t: &Sandbox, args: &str) -> String {
    on_terminal_until(t, args, |_| false)
}

/// Like [`on_terminal`]; once `is_seen` of what was sent, commands find `go` in the cache that they have at `/m`.
fn on_terminal_until(t: &Sandbox, args: &str, is_seen: impl Fn(&str) -> bool) -> String {
    let command = format!(
        "stty cols {WIDTH} rows 24; exec env -i TERM=xterm HOME={home} PATH=\"$PATH\" KANIKO_DIR={kaniko} {executor} {args}",
        home = t.path("home").display(),
        kaniko = t.path("kaniko").display(),
        executor = env!("CARGO_BIN_EXE_executor"),
    );
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]);
    // away from any Dockerfile of the working directory
    script.current_dir("/");
    script.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut script = script.spawn().unwrap();
    let mut output = script.stdout.take().unwrap();
    let (mut sent, mut part, mut gone) = (Vec::new(), [0; 4096], false);
    loop {
        let size = output.read(&mut part).unwrap();
        if size == 0 {
            break;
        }
        sent.extend_from_slice(&part[..size]);
        if !gone && is_seen(&String::from_utf8_lossy(&sent)) {
            fs_err::write(cache(t).join("go"), "").unwrap();
            gone = true;
        }
    }
    let sent = String::from_utf8(sent).unwrap();
    assert!(script.wait().unwrap().success(), "{sent}");
    sent
}

/// Returns the directory that commands have at `/m`, which is the only cache of these builds.
fn cache(t: &Sandbox) -> PathBuf {
    let mounts = fs_err::read_dir(t.path("kaniko/mounts")).unwrap();
    let mounts: Vec<_> = mounts.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    mounts[0].join("0/content")
}

/// Returns the lines that stand on a terminal in the end.
fn screen(sent: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut letters = sent.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\x1b' if letters.next() == Some('[') => {
                let sequence: String = {
                    let mut sequence = String::new();
                    for letter in letters.by_ref() {
                        sequence.push(letter);
                        if ('@'..='~').contains(&letter) {
                            break;
                        }
                    }
                    sequence
                };
                let (count, end) = sequence.split_at(sequence.len() - 1);
                let count: usize = count.parse().unwrap_or(1);
                match end {
                    "A" => row = row.saturating_sub(count),
                    "B" => row = (row + count).min(lines.len() - 1),
                    "K" if sequence == "2K" => lines[row].clear(),
                    "K" => lines[row].truncate(column),
                    "J" => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            letter if letter.is_control() => {}
            letter => {
                if column == WIDTH {
                    column = 0;
                    row += 1;
                    if row == lines.len() {
                        lines.push(Vec::new());
                    }
                }
                let line = &mut lines[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = letter;
                column += 1;
            }
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect::<String>().trim_end().to_owned();
    lines.into_iter().map(text).collect()
}

const TEXT: &str = "FROM BASE\nRUN for n in 1 2 3; do echo \"line $n of RUN\"; done; test -t 2 && echo terminal\nCOPY a /a\n";

#[test]
fn progress_is_shown_while_it_lasts() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("a", 0o644, vec![7; 3_000_000]);
    t.dockerfile(&TEXT.replace("BASE", &base));
    let sent = on_terminal(
        &t,
        &format!("-c {} -d {}", t.context().display(), t.tag("app")),
    );
    for shown in ["pulling ", "unpacking ", "pushing ", " B of "] {
        assert!(sent.contains(shown), "{shown} is missing in\n{sent}");
    }
    let screen = screen(&sent);
    let whole = screen.join("\n");
    let output = "\nline 1 of RUN\nline 2 of RUN\nline 3 of RUN\nterminal\n";
    assert!(
        whole.contains(output),
        "the command's output is whole in\n{whole}"
    );
    for (text, count) in [
        ("line 2 of RUN", 1),
        ("RUN for n in 1 2 3", 3),
        ("Pushed ", 1),
        ("Built 1 of 1 stage in ", 1),
        ("pulling ", 0),
        ("unpacking ", 0),
        ("pushing ", 0),
    ] {
        let lines = screen.iter().filter(|line| line.contains(text));
        assert_eq!(lines.count(), count, "{text} in\n{whole}");
    }
    let lines = screen
        .iter()
        .filter(|line| !line.is_empty() && line.starts_with("  "));
    assert_eq!(lines.count(), 0, "nothing of the display stays:\n{whole}");
}

#[test]
fn nothing_is_drawn_where_nobody_looks() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(
        &TEXT
            .replace("BASE", &base)
            .replace("COPY a /a", "ENV A=1")
            .replace("test -t 2", "true"),
    );
    let context = t.context();
    let drawn = |text: &str| {
        ["pulling ", "\x1b[2K", "\x1b[1A"]
            .into_iter()
            .any(|part| text.contains(part))
    };
    let finished: Finished = t
        .executor(["-c", context.to_str().unwrap(), "--no-push"])
        .succeeded();
    assert!(
        !drawn(&finished.stderr) && !drawn(&finished.stdout),
        "{finished}"
    );
    let json = on_terminal(
        &t,
        &format!("-c {} --no-push --log-format json", context.display()),
    );
    assert!(!drawn(&json), "{json}");
}

#[test]
fn commands_side_by_side_speak_above_the_display() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    // each waits for the other, so that both are shown at the same time, and then until they have been
    t.dockerfile(&meeting::dockerfile(&base, &meeting::wait_for("/m/go")));
    // a row of the display, drawn while the command was at work
    let row = " RUN --mount=type=cache,id=meeting,target=/m touch /m/a && ec";
    // and below it what the command said last
    let tails = ["a waits", "b waits"].map(|tail| format!("    \x1b[2m{tail}"));
    let context = t.context();
    let sent = on_terminal_until(
        &t,
        &format!(
            "-c {} --no-push --jobs=2 --isolation=namespaces",
            context.display()
        ),
        |sent| sent.matches(row).count() > 1 && tails.iter().all(|tail| sent.contains(tail)),
    );
    let screen = screen(&sent);
    let whole = screen.join("\n");
    for line in ["[left] a waits", "[right] b waits"] {
        assert!(
            screen.iter().any(|on_screen| on_screen == line),
            "{line} in\n{whole}"
        );
    }
    let left = screen.iter().filter(|line| line.starts_with("  "));
    assert_eq!(left.count(), 0, "nothing of the display stays:\n{whole}");
}

/// Returns a `RUN` with a cache at `/m`.
fn run(script: &[&str]) -> String {
    format!(
        "RUN --mount=type=cache,id=m,target=/m {}\n",
        script.join(" && ")
    )
}

#[test]
fn an_unfinished_line_is_shown_below_its_command() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let script = [
        "printf 'first\\n'",
        "printf '%s %%' $((6*7))",
        &format!("{{ {}; }}", meeting::wait_for("/m/go")),
        "printf '\\rdone\\n'",
        "printf last",
    ];
    t.dockerfile(&format!("FROM {base}\n{}", run(&script)));
    let args = format!("-c {} --no-push", t.context().display());
    let sent = on_terminal_until(&t, &args, |sent| sent.contains("    \x1b[2m42 %"));
    let screen = screen(&sent).join("\n");
    assert!(screen.contains("\nfirst\ndone\nlast\n"), "{screen}");
}

#[test]
fn a_command_that_moves_the_cursor_has_the_terminal_to_itself() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let script = [
        "printf 'one\\ntwo\\n'",
        &format!("{{ {}; }}", meeting::wait_for("/m/go")),
        "printf '\\033[2A\\033[2Kthree\\n\\033[1B'",
        "stty size <&2",
    ];
    t.dockerfile(&format!("FROM {base}\n{}", run(&script)));
    let args = format!("-c {} --no-push", t.context().display());
    // the display shows what was said so far
    let sent = on_terminal_until(&t, &args, |sent| sent.contains("    \x1b[2mtwo"));
    let screen = screen(&sent).join("\n");
    assert!(screen.contains("\nthree\ntwo\n24 80\n"), "{screen}");
}

#[test]
fn a_build_outlives_its_terminal() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nRUN --mount=type=cache,id=m,target=/m touch /m/begun; while [ ! -e /m/closed ]; do sleep 0.1; done; echo late\n"
    ));
    let mounts = t.path("kaniko/mounts");
    let script = format!(
        "trap '' HUP; {{ env -i TERM=xterm KANIKO_DIR={} {} -c {} --no-push --isolation=namespaces; echo $? > {}; }} & \
         until ls {}/*/0/content/begun; do sleep 0.1; done",
        t.path("kaniko").display(),
        env!("CARGO_BIN_EXE_executor"),
        t.context().display(),
        t.path("status").display(),
        mounts.display(),
    );
    tool("script", ["-qec", &script, "/dev/null"]);
    // the shell has ended, and so has its terminal
    fs_err::write(cache(&t).join("closed"), "").unwrap();
    let status = loop {
        match fs_err::read_to_string(t.path("status")) {
            Ok(status) if !status.is_empty() => break status,
            _ => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    };
    assert_eq!(status, "0\n");
}
